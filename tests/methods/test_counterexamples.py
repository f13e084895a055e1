"""No rigorous certificate claims more than the tight radius of its votes: there is no counterexample to any
of the tables of contents and of installed plug-ins, with any of its switches. Wrong certificates have them.

Compared are default parameters in a few coordinates, under votes of a fixed number.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from built_methods import SCHEMA, build
from certificate_draws import GAUSSIAN
from lab import forget
from lab import lab as lab  # a fixture
from plug_ins import describe
from scipy import special, stats
from tiny_study import write_study
from warm import warm_python

from rs.cli.slice_queue import jobs_of, read_queue
from rs.errors import UserError
from rs.methods import catalog
from rs.methods.certificates.cohen import Cohen
from rs.methods.certificates.probabilities import certified, gaussian_radius
from rs.methods.counterexamples import DIMENSION, ERROR, PROBABILITIES, Worst, counterexample
from rs.methods.interfaces import Certified
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.laplace import Laplace
from rs.methods.noise.uniform import Uniform
from rs.methods.soundness import noises_of
from rs.provenance import user_cache
from rs.statistics.bounds import clopper_pearson_upper
from rs.statistics.draws import Draws

CHECKOUT = Path(__file__).parents[2]
RIGOROUS = [name for name in catalog.table("certificates") if catalog.find("certificates", name).rigorous]
NOT_COMPARED = {  # (certificate, noise family): why, and the test that takes the comparison's place
    ("group_sequential", "gaussian"): (
        "votes of a fixed number make it `cohen`; its own claims need votes that its rule stopped",
        "tests/statistics/test_group_sequential.py",
    ),
}
QUICK = {"table_draws": 20_000}
BY_QUADRATURE = ("bilateral", "dual")  # their tables take seconds


def switched(name: str) -> list[dict[str, Any]]:
    """Its defaults, and every other value of a parameter that has a few, beside the other defaults."""
    properties = SCHEMA["$defs"]["certificates"][name]["properties"]
    own = {key: properties[key] for key in SCHEMA["$defs"]["certificates"][name]["x-parameters"]}
    values = {
        key: [True, False] if facts.get("type") == "boolean" else facts.get("enum", [])
        for key, facts in own.items()
    }
    others = [{key: v} for key, of in values.items() for v in of if v != own[key].get("default")]
    return [{}, *others]


def quick(name: str, **more: Any) -> Any:
    own = SCHEMA["$defs"]["certificates"][name]["properties"]
    return build("certificates", name, **{k: v for k, v in QUICK.items() if k in own}, **more)


CASES = [
    pytest.param(name, more, id="-".join([name, *map(str, more.values())]), marks=marks)
    for name in RIGOROUS
    for marks in ([pytest.mark.slow] if name in BY_QUADRATURE else [],)
    for more in switched(name)
]


@pytest.mark.parametrize(("name", "more"), CASES)
def test_there_is_no_counterexample_to_a_rigorous_certificate(name, more):
    certificate = quick(name, **more)
    compared = list(noises_of(certificate, lambda spec: catalog.build("noises", spec)))
    for spec, noise in compared:
        assert counterexample(certificate, noise, certificate.norms[spec["name"]]) is None
    listed = {family for certificate, family in NOT_COMPARED if certificate == name}
    left = set(certificate.norms) - {spec["name"] for spec, _ in compared}
    assert left <= listed, "a family that is not compared stands in NOT_COMPARED, with the reason"
    if hasattr(certificate, "rule"):
        assert set(certificate.norms) <= listed, "claims of votes that a rule stopped are not compared"


def test_what_is_not_compared_is_there_and_tested_elsewhere():
    for (name, family), (_, place) in NOT_COMPARED.items():
        assert family in catalog.find("certificates", name).norms
        assert name in (CHECKOUT / place).read_text()


@dataclass(frozen=True)
class Mistaken:
    """CERTIFY with a mistake: what it claims of draws, given what is right."""

    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}

    mistake: Callable[[Draws, Certified], Certified]

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        return self.mistake(draws, Cohen().certify(draws, noise, alpha))


def without_a_bound(draws: Draws, right: Certified) -> Certified:
    top = draws.selection.counts.argmax(1)
    q = 1 - draws.estimation.counts[np.arange(len(draws)), top] / draws.estimation.n
    return certified(top, q < 0.5, gaussian_radius(0.5, q, q))


def without_abstention(draws: Draws, right: Certified) -> Certified:
    """Bounds of both classes; where they overlap, the radius loses its sign."""
    counts, n = draws.estimation.counts.copy(), draws.estimation.n
    rows, top = np.arange(len(draws)), draws.selection.counts.argmax(1)
    q_a = clopper_pearson_upper(n - counts[rows, top], n, 5e-7)
    counts[rows, top] = 0
    p_b = np.minimum(q_a, clopper_pearson_upper(counts.max(1), n, 5e-7))
    return Certified(top, 0.25 * np.abs(special.ndtri(q_a) + special.ndtri(p_b)))


def runner_up(draws: Draws, right: Certified, share: float) -> Certified:
    """The runner-up by a share of its frequency beside a bound of p_A."""
    p_b = share * np.sort(draws.estimation.counts, axis=1)[:, -2] / draws.estimation.n
    q = np.where(right.prediction < 0, 1.0, special.ndtr(-right.radius / 0.5))
    return certified(right.prediction, q + p_b < 1, gaussian_radius(0.5, q, np.minimum(p_b, q)))


MISTAKES: dict[str, Callable[[Draws, Certified], Certified]] = {
    "a radius 5 % too large": lambda draws, right: replace(right, radius=1.05 * right.radius),
    "a variance for sigma": lambda draws, right: replace(right, radius=right.radius / 0.5),
    "a radius of an linf ball": lambda draws, right: replace(right, radius=right.radius * DIMENSION**0.5),
    "frequencies without a bound": without_a_bound,
    "no abstention": without_abstention,
    "half of the runner-up": lambda draws, right: runner_up(draws, right, 0.5),
    "the class with the fewest votes": lambda draws, right: Certified(
        draws.estimation.counts.argmin(1), np.zeros(len(draws))
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistaken_certificate_has_a_counterexample(mistake):
    found = counterexample(Mistaken(MISTAKES[mistake]), GAUSSIAN, 2.0)
    assert found is not None
    assert found.claimed > found.tight
    if np.isfinite(found.claimed):
        p_a, p_b, *_ = special.ndtri(found.probabilities)
        assert found.tight == pytest.approx((p_a - p_b) / 4, rel=0.02, abs=0.005)


def once(draws: Draws, right: Certified) -> Certified:
    """Wrong for the first image: one wrong claim can be the error that alpha allows."""
    return replace(right, radius=np.where(draws.images == 0, 10.0, right.radius))


@pytest.mark.parametrize("certify", [lambda draws, right: right, once])
def test_what_is_right_as_often_as_it_says_has_none(certify):
    assert counterexample(Mistaken(certify), GAUSSIAN, 2.0) is None


@pytest.mark.parametrize(
    ("noise", "norm", "quantile"),
    [
        (Gaussian(0.5), 2.0, stats.norm(scale=0.5).ppf),
        (Gaussian(0.5), np.inf, stats.norm(scale=0.5 / np.sqrt(DIMENSION)).ppf),
        (Laplace(0.5), 1.0, stats.laplace(scale=0.5).ppf),
        (Uniform(0.5), 1.0, stats.uniform(scale=2 * 0.5).ppf),
    ],
)
def test_classifiers_change_where_the_closed_form_says(noise, norm, quantile):
    """Half-spaces are the worst classifiers: they change at half the distance of the quantiles of p_A and
    p_B. None changes before, and one does as soon as the draws can tell.
    """
    worst = Worst(noise, norm)
    for p in PROBABILITIES[1::2]:
        r = float(quantile(p[0]) - quantile(p[1])) / 2
        assert not worst.changes(r * 0.999, p, ERROR)
        assert worst.changes(r + max(0.05 * r, 0.03), p, ERROR)


class Steps(Gaussian):
    """Noise with atoms, which a radius may make use of."""

    def sample(self, shape, generator):
        return super().sample(shape, generator).round()


def test_nothing_is_said_of_a_discrete_noise():
    assert not Worst(Steps(0.5), 2.0).changes(5.0, (0.95, 0.05), ERROR)


MINE = """
from dataclasses import dataclass
from typing import ClassVar
from rs.methods.certificates.cohen import Cohen
from rs.methods.interfaces import Certified
@dataclass(frozen=True)
class Mine:
    "Cohen et al.'s radius, times a factor."
    source: ClassVar[str] = "here"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    factor: float = 1.05
    def certify(self, draws, noise, alpha):
        found = Cohen().certify(draws, noise, alpha)
        return Certified(found.prediction, found.radius * self.factor)
"""


@pytest.fixture
def mine(lab):
    (lab / "broken.py").write_text(MINE)
    describe(lab, "lab", "1.0", {"rs.certificates": {"mine": "broken:Mine"}})
    return lab / "broken.py"


@pytest.fixture
def with_mine(tiny):
    """A study with the certificate, at its factor of 1.05."""
    tiny["attacks"], tiny["certificates"] = [], [{"name": "mine", "alpha": 0.1}]
    return tiny


def test_a_wrong_plug_in_is_refused_before_a_study_starts(mine, with_mine, plan_of):
    with pytest.raises(UserError) as caught:
        catalog.build_plug_ins(plan_of(with_mine).study)
    message = str(caught.value)
    votes = "votes of p_A = 0.8 and p_B = 0.2 under noise gaussian (sigma 0.5)"
    assert message.startswith(
        f"{mine}:14: certificate mine: claims an l2 radius of 0.442 from {votes}, but a classifier"
    )
    assert "\n" not in message
    assert not list(user_cache.folder("compared").glob("*"))
    with_mine["certificates"][0]["factor"] = 1.0
    catalog.build_plug_ins(plan_of(with_mine).study)


def test_a_slice_does_not_start_with_it(mine, with_mine, tmp_path):
    study, queue = write_study(tmp_path / "study.yaml", with_mine), tmp_path / "queue.yaml"
    queue.write_text(yaml.safe_dump({"queue": [{"study": [str(study)]}]}))
    with pytest.raises(UserError, match="certificate mine: claims an l2 radius"):
        jobs_of(read_queue(queue))


@pytest.mark.slow
def test_snakemake_does_not_start_with_it(mine, with_mine, tmp_path):
    study = write_study(tmp_path / "study.yaml", with_mine)
    command = [warm_python(), "-m", "snakemake", "-n", "-s", CHECKOUT / "Snakefile", "--configfile", study]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(mine.parent), str(CHECKOUT)])}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 1
    assert f"rs: {mine}:14: certificate mine: claims an l2 radius" in done.stderr


def test_an_estimate_and_what_refuses_such_votes_are_not_compared(mine):
    mine.write_text(MINE.replace("= True", "= False"))
    assert catalog.build("certificates", {"name": "mine"}).factor == 1.05
    forget()
    mine.write_text(MINE.replace("found = Cohen", "assert draws.dimension > 9; found = Cohen"))
    assert catalog.build("certificates", {"name": "mine"}).rigorous


def test_a_comparison_is_kept_until_the_code_changes(mine, monkeypatch):
    sound = {"name": "mine", "factor": 1.0}
    catalog.build("certificates", sound)
    assert len(list(user_cache.folder("compared").glob("mine-*.json"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr("rs.methods.counterexamples.counterexample", None)  # it would raise
        catalog.build("certificates", sound)
    mine.write_text(MINE.replace("* self.factor", "* (self.factor + 0)"))
    catalog.build("certificates", sound)
    assert len(list(user_cache.folder("compared").glob("mine-*.json"))) == 2
