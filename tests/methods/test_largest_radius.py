"""The largest radius that a certificate can say with so many votes, a fact beside every result."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from certificate_draws import random_votes, soft_draws
from scipy import special

from rs.methods.certificates.bilateral import Bilateral
from rs.methods.certificates.cohen import Cohen, CohenLinf
from rs.methods.certificates.dual import Dual
from rs.methods.certificates.dual_published import DualPublished
from rs.methods.certificates.renyi import Renyi, RenyiSound
from rs.methods.certificates.soft import SoftHoeffding
from rs.methods.certificates.tcertify import TCertify, TCertifySound
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.mixed_norm import MixedNorm
from rs.report.certified import certified_section
from rs.settings.sampling import Stop
from rs.stages.certified_rows import largest_radius
from rs.statistics.draws import Draws
from rs.tables.certified import accuracy_rows, claims_of
from rs.tables.noise import smoothed_with

NOISE = Gaussian(0.5)
CASES = (Cohen(), Cohen(randomised=True), CohenLinf(), TCertify(), TCertifySound(), Renyi(), RenyiSound())
CASES += (Bilateral(), DualPublished(radii=40, draws=5000))


@pytest.mark.parametrize("certificate", CASES, ids=repr)
def test_no_votes_say_more(certificate):
    votes = random_votes(3, 60, 1000)
    sure = Draws.from_counts([100, 0, 0], [[1000, 0, 0], [999, 1, 0]], 784)
    most = largest_radius(certificate, votes, NOISE, 0.001, 1000)
    for draws in (votes, sure):
        assert certificate.certify(draws, NOISE, 0.001).radius.max() <= most
    assert most == certificate.certify(sure, NOISE, 0.001).radius[0] > 0


def test_it_is_the_formula_for_the_gaussian():
    votes = random_votes(3, 5, 1000)
    for n, alpha in ((100, 0.001), (100_000, 0.01)):
        expected = 0.5 * special.ndtri(alpha ** (1 / n))
        assert largest_radius(Cohen(), votes, NOISE, alpha, n) == pytest.approx(expected, rel=1e-9)


def test_soft_scores_and_sequential_votes_have_one():
    scores = np.array([[900.0, 100.0]])
    soft = soft_draws(scores, scores, scores, 1000)
    most = largest_radius(SoftHoeffding(), soft, NOISE, 0.001, 1000)
    assert 0 < SoftHoeffding().certify(soft, NOISE, 0.001).radius[0] < most
    assert most == pytest.approx(-0.5 * special.ndtri(math.sqrt(math.log(1000) / 2000)), rel=1e-6)
    votes = random_votes(3, 5, 1000)
    stopped = replace(votes, stopping="sequential", stop=asdict(Stop(radii=(0.5,))))
    fixed = largest_radius(Cohen(), votes, NOISE, 0.001, 1000)
    assert 0 < largest_radius(Cohen(), stopped, NOISE, 0.001, 1000) < fixed


def test_what_the_published_choice_of_lambda_costs():
    """100 selection votes choose a lambda that is too small for p_A near 1."""
    votes = random_votes(2, 5, 1000)
    caps = [
        largest_radius(DualPublished(lambda_votes=chosen), votes, Gaussian(1.0), 0.001, 100_000)
        for chosen in ("selection", "estimation")
    ]
    assert caps == pytest.approx([1.96, 2.47], abs=0.03)
    assert largest_radius(Cohen(), votes, Gaussian(1.0), 0.001, 100_000) == pytest.approx(3.811, abs=1e-3)


@pytest.mark.slow
def test_8_of_255_is_out_of_reach_of_the_published_mixed_norm():
    """Theorem 7's epsilon with 100,000 samples, on CIFAR-10's 3,072 coordinates, k = 250: whatever the
    votes, and with the lambda that serves best.
    """
    votes = replace(random_votes(2, 5, 1000), dimension=3072)
    noise, published = MixedNorm(1.0, 250, match="paper"), DualPublished(lambda_votes="estimation")
    assert 7 / 255 < largest_radius(published, votes, noise, 0.001, 100_000) < 8 / 255


def test_more_votes_reach_further_under_the_mixed_norm():
    """No cap where the draws of the table end: 3,000 of them, and one vote in ten million."""
    votes, noise, dual = random_votes(2, 5, 1000), MixedNorm(0.5, 2.0), Dual(table_draws=3000)
    votes = replace(votes, dimension=5)
    caps = [largest_radius(dual, votes, noise, 0.001, n) for n in (10**3, 10**5, 10**7)]
    assert caps[0] < 0.85 * caps[1] < 0.85**2 * caps[2]


def test_tables_and_page_tell_it(tmp_path):
    claims = {"norm": 2.0, "alpha": 0.001, "n": 1000, "rigorous": True, "factor": 1.0, "decided": True}
    votes = {"image": [0, 1], "label": [0, 0], "prediction": [0, 1], "radius": [0.4, 0.3]}
    named = {"run": "a", "label": "a", **smoothed_with({"name": "gaussian", "sigma": 0.5})}
    rows = {"certified_accuracy": [], "average_certified_radius": []}
    for name, most in (("cohen", 1.2345), ("dual", 0.5)):
        frame = pd.DataFrame(votes).assign(certificate=name, largest_radius=most, **claims)
        (claim,) = claims_of(frame, named)
        rows["certified_accuracy"] += accuracy_rows(claim, [0.0, 1.0])
        rows["average_certified_radius"].append({**claim.columns, **claim.average()})
    for name, found in rows.items():
        table = pd.DataFrame(found)
        assert dict(zip(table["certificate"], table["largest_radius"], strict=True)) == {
            "cohen": 1.2345,
            "dual": 0.5,
        }
        table.to_parquet(tmp_path / f"{name}.parquet")
    for name in ("certified_accuracy_over_seeds", "average_certified_radius_over_seeds"):
        pd.DataFrame().to_parquet(tmp_path / f"{name}.parquet")
    (table,) = certified_section(tmp_path, None, {}, live=True).tables
    place = [head for head, _ in table.columns].index("largest radius")
    assert [row[place].text for row in table.rows] == ["1.234", "0.5"]
    old = pd.DataFrame(votes).assign(certificate="log", **claims)  # a log says nothing of it
    (claim,) = claims_of(old, named)
    assert math.isnan(claim.columns["largest_radius"])
