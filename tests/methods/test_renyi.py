"""STN's certificate as written and as released: intervals, their level, and the factor on the accuracy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from rs.methods.certificates.renyi import Renyi
from rs.methods.certificates.sison_glaz import sison_glaz
from rs.methods.noise.gaussian import Gaussian
from rs.stages import certified_rows
from rs.stages import certify as evaluation
from rs.statistics.draws import Draws

GAUSSIAN = Gaussian(1.0)
WRITTEN, RELEASED = Renyi(), Renyi(intervals="sison_glaz")


def radius(votes: list[int], alpha: float, certificate: Renyi) -> float:
    draws = Draws.from_counts([1, 0] * (len(votes) // 2), votes, 784)
    return float(certificate.certify(draws, GAUSSIAN, alpha).radius[0])


@pytest.mark.parametrize(
    ("certificate", "alpha", "expected"),
    [
        (WRITTEN, 0.05, 1.4584),
        (WRITTEN, 0.95, 2.0028),
        # a plain loop over the released code's 100 orders gives 1.7974585 and 2.6345592
        (RELEASED, 0.05, 1.7975),
        (RELEASED, 0.95, 2.6346),
    ],
)
def test_what_100_votes_for_one_class_certify(certificate: Renyi, alpha: float, expected: float) -> None:
    assert radius([100] + [0] * 9, alpha, certificate) == pytest.approx(expected, abs=5e-5)


def test_1_4_at_sigma_0_7_needs_the_released_level_and_unanimous_votes() -> None:
    needed, unanimous, one_other = 1.4 / 0.7, [100] + [0] * 9, [99, 1] + [0] * 8
    for certificate in (WRITTEN, RELEASED):
        assert radius(unanimous, 0.05, certificate) < needed < radius(unanimous, 0.95, certificate)
        assert radius(one_other, 0.95, certificate) < needed


# statsmodels 0.15.0: multinomial_proportions_confint(counts, alpha, "sison-glaz"), lower end of the largest
# frequency and upper end of the second
FROM_STATSMODELS = [
    ([98, 2, 0, 0, 0, 0, 0, 0, 0, 0], 0.05, 0.96, 0.042819639728537334),
    ([90, 6, 4, 0, 0, 0, 0, 0, 0, 0], 0.95, 0.9, 0.06473840350074453),
    ([29, 19, 18, 14, 7, 6, 4, 2, 1, 0], 0.5, 0.24, 0.2404838295727105),
    ([45, 28, 23, 4, 0, 0, 0, 0, 0, 0], 0.95, 0.44, 0.2944234474230049),
    ([20, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0.05, 1.0, 0.08413060253178598),
    ([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0.95, 1.0, 0.1),  # nu(n) counts as 1, also of a single vote
    ([99, 1, 0, 0, 0, 0, 0, 0, 0, 0], 0.05, 0.0, 1.0),  # nu never crosses 0.95 below n
]


@pytest.mark.parametrize(("counts", "alpha", "lower", "upper"), FROM_STATSMODELS)
def test_sison_glaz_intervals_are_those_of_statsmodels(
    counts: list[int], alpha: float, lower: float, upper: float
) -> None:
    shuffled = np.random.default_rng(0).permutation(counts)
    others = np.array([c for c, *_ in FROM_STATSMODELS])
    below, above = sison_glaz(np.vstack([others, shuffled]), alpha)  # rows do not touch one another
    n = sum(counts)
    assert max(counts[0] / n - below[-1], 0) == pytest.approx(lower, abs=1e-12)
    assert min(counts[1] / n + above[-1], 1) == pytest.approx(upper, abs=1e-9)


def theorem_2(p_1: float, p_2: float) -> float:
    """The radius at sigma = 1 on a fine grid of orders, for whichever of the two is larger."""
    orders = 1 + np.exp(np.linspace(-9, 9, 40_001))
    logs = np.logaddexp((1 - orders) * np.log(p_1), (1 - orders) * np.log(p_2)) - np.log(2)
    mean = np.exp(logs / (1 - orders))
    return float(np.sqrt(max(np.max(-2 / orders * np.log(1 - p_1 - p_2 + 2 * mean)), 0)))


@pytest.mark.parametrize("counts", [[90, 6, 4, 0], [45, 28, 23, 4], [40, 30, 20, 10]])
def test_released_radii_are_theorem_2_at_sison_and_glazs_ends(counts: list[int]) -> None:
    below, above = sison_glaz(np.array([counts]), 0.95)
    p_1, p_2 = counts[0] / 100 - below[0], counts[1] / 100 + above[0]
    assert 0 < p_1 < 1
    assert radius(counts, 0.95, RELEASED) == pytest.approx(theorem_2(p_1, p_2), rel=1e-4)


def test_written_radii_are_theorem_2_at_clopper_and_pearsons_ends() -> None:
    """Each end has half of alpha; where the intervals overlap the two change their roles."""
    for hits, others in ((90, 10), (60, 40), (52, 48)):
        p_1 = stats.beta.ppf(0.025, hits, 100 - hits + 1)
        p_2 = stats.beta.ppf(0.975, others + 1, 100 - others)
        assert radius([hits, others], 0.05, WRITTEN) == pytest.approx(theorem_2(p_1, p_2), rel=1e-4)


def test_the_factor_on_the_accuracy_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise, made = {"name": "gaussian", "sigma": 1}, Draws.from_counts([10, 0], [100, 0], 784)
    draws = dataclasses.replace(made, origin={"noise": noise, "seed": 0})
    monkeypatch.setattr(certified_rows, "merge", lambda *args: draws)
    names: list[dict[str, Any]] = [
        {"name": "renyi", "alpha": 0.05, "label": "as written"},
        {"name": "renyi", "alpha": 0.95, "accuracy_factor": 0.95, "label": "as released"},
        {"name": "renyi_sound", "alpha": 0.05, "label": "sound"},
    ]
    spec = {"test": {"max": 1}, "data_size": 1, "seed": 0, "noise": noise, "n0": 10, "n": 100}
    selection = [tmp_path / "draws/select-10/0-1-1_block0.parquet"]
    evaluation.certify({**spec, "certificates": names}, selection, [], tmp_path / "c.parquet", "code")
    rows = pq.read_table(tmp_path / "c.parquet").to_pylist()
    assert [(r["certificate"], r["alpha"], r["factor"]) for r in rows] == [
        ("as written", 0.05, 0.95),
        ("as released", 0.95, 0.95),
        ("sound", 0.05, 1.0),
    ]
    assert rows[1]["radius"] > 2 > rows[0]["radius"]
