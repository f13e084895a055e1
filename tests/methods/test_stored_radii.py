"""From random counts or scores to the radius that is stored, for every rigorous certificate: 40 digits.

Where a certificate's own formula is written out anew, the stored radius is that one, rounded down. And
whatever it does with its alpha, no radius of votes can exceed what the Neyman-Pearson lemma allows where the
bounds of p_A and of p_B both had all of it. Quadrature and tables (`spherical`, `mixed_norm`, `sup_norm`) are
held against mpmath in test_dual.py, test_dual_tables.py and test_bilateral.py.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import exact_radii as exact
import mpmath
import numpy as np
import pytest
from certificate_draws import GAUSSIAN, LAPLACE, soft_draws

import rs
from rs.methods import catalog
from rs.methods.certificates.group_sequential import GroupSequential
from rs.methods.noise.gaussian import Gaussian
from rs.settings.sampling import Stop
from rs.statistics.draws import Draws, Votes
from rs.statistics.group_sequential import GroupSequentialRule
from rs.statistics.paired_draws import PairedDraws
from rs.study.schema import schema

ALPHA, CLASSES = 0.001, 4
NOISES: dict[str, dict[str, Any]] = {
    "gaussian": {"name": "gaussian", "sigma": 0.37},
    "laplace": {"name": "laplace", "scale": 0.21},
}
LEVEL = {"gaussian": 0.37, "laplace": 0.21}
RIGOROUS = {name: facts for name, facts in schema()["$defs"]["certificates"].items() if facts["x-rigorous"]}
PAIRS = [(name, noise) for name, facts in RIGOROUS.items() for noise in NOISES if noise in facts["x-norms"]]
# the share of alpha that p_A's bound has, the formula, and how near a search comes to its best point
FORMULAS = {
    ("cohen", "gaussian"): (1.0, exact.gaussian, 1e-8),
    ("group_sequential", "gaussian"): (1.0, exact.gaussian, 1e-8),  # of votes that no test stopped
    ("cohen_linf", "gaussian"): (1.0, exact.gaussian, 1e-8),
    ("dual", "gaussian"): (1.0, exact.gaussian, 1e-8),
    ("bilateral", "gaussian"): (0.5, exact.gaussian, 1e-8),
    ("tcertify_sound", "gaussian"): (0.5, exact.gaussian, 1e-8),
    ("renyi_sound", "gaussian"): (0.5, exact.renyi, 1e-4),
    ("pixeldp", "gaussian"): (0.5, exact.private_gaussian, 1e-4),
    ("laplace_l1", "laplace"): (0.5, exact.li_laplace, 1e-8),
    ("pixeldp", "laplace"): (0.5, exact.private_laplace, 1e-8),
}
MOST = {"gaussian": exact.gaussian, "laplace": exact.laplace}
SOFT = [  # with the bound of the scores
    ("soft_hoeffding", "gaussian", 1.0, exact.gaussian, "hoeffding"),
    ("soft_bernstein", "gaussian", 1.0, exact.gaussian, "bernstein"),
    ("pixeldp_soft", "gaussian", 0.5, exact.private_gaussian, "hoeffding"),
    ("pixeldp_soft", "gaussian", 0.5, exact.private_gaussian, "bernstein"),
    ("pixeldp_soft", "laplace", 0.5, exact.private_laplace, "hoeffding"),
    ("pixeldp_soft", "laplace", 0.5, exact.private_laplace, "bernstein"),
]


def test_every_rigorous_certificate_is_held_against_its_formula():
    assert {*FORMULAS, *((row[0], row[1]) for row in SOFT), ("incremental", "gaussian")} == set(PAIRS)


@functools.cache
def votes() -> tuple[np.ndarray, np.ndarray]:
    """Selection and estimation votes: sure images and close ones, a few votes and many."""
    draw = np.random.default_rng(4)
    selection, estimation = [], []
    for n in (40, 3000, 100_000):
        for sure in (0.55, 0.8, 0.97, 0.9999):
            rest = draw.dirichlet(np.ones(CLASSES - 1)) * (1 - sure)
            law = draw.permutation([sure, *rest])
            selection.append(draw.multinomial(100, law))
            estimation.append(draw.multinomial(n, law))
    return np.array(selection), np.array(estimation)


@pytest.mark.parametrize(("certificate", "noise"), FORMULAS)
def test_radii_of_votes_are_rounded_down(certificate, noise):
    share, formula, near = FORMULAS[certificate, noise]
    selection, estimation = votes()
    dimension = 1 if certificate != "cohen_linf" else 7
    more = {"table_draws": 1000} if certificate in ("dual", "bilateral") else {}
    if "x-rule" in RIGOROUS[certificate]:  # certify_counts refuses what its rule did not stop
        draws = Draws.from_counts(selection, estimation, dimension)
        family = catalog.build("noises", NOISES[noise])
        found = catalog.build("certificates", {"name": certificate}).certify(draws, family, ALPHA)
    else:
        found = rs.certify_counts(
            (selection, estimation), certificate, ALPHA, noise=NOISES[noise], dimension=dimension, **more
        )
    assert (found.radius > 0).any()
    with mpmath.workdps(40):
        scale = mpmath.sqrt(dimension) if certificate == "cohen_linf" else 1
        for image, (top, counts) in enumerate(zip(selection.argmax(1), estimation, strict=True)):
            radius, sure = float(found.radius[image]), found.prediction[image] >= 0
            assert found.prediction[image] in (top, -1)
            q_a, p_b = exact.pair(counts, top, ALPHA, share)
            if not sure:
                assert radius == 0
                assert q_a + p_b >= 1 - mpmath.mpf(1e-9)
                continue
            right = formula(LEVEL[noise], q_a, p_b) / scale
            assert radius <= right
            assert radius == pytest.approx(float(right), rel=near, abs=1e-9)
            n, others = int(counts.sum()), np.delete(counts, top)
            q_all = exact.upper(n - int(counts[top]), n, ALPHA, 1.0)
            p_all = min(q_all, exact.upper(int(others.max()), n, ALPHA, 1.0))
            assert radius <= MOST[noise](LEVEL[noise], q_all, p_all) / scale


def test_radii_of_tests_are_those_asked_for_and_rounded_down():
    """What a test at failure rate x rejects is 1 - p_A >= x, so that no radius above sigma Phi^-1(1 - x) is
    right.
    """
    sigma, radii = LEVEL["gaussian"], (0.1, 0.4, 0.7)
    rule = GroupSequentialRule(Stop(ALPHA, radii), sigma, 9600, 160, 0.01)
    most = rule.design.certify[-1]  # failures of 9,600 votes, of each radius
    drawn = Draws.from_counts([90, 10], np.stack([9600 - most, most], 1), dimension=1)
    found = GroupSequential().certify(
        dataclasses.replace(drawn, stopping="sequential", stop=rule.record()), Gaussian(sigma), ALPHA
    )
    with mpmath.workdps(40):
        for radius, at_least, needed in zip(found.radius, radii, rule.design.needed, strict=True):
            rate = mpmath.mpf(float(needed))
            assert at_least <= radius <= exact.gaussian(sigma, rate, rate)
            assert radius == pytest.approx(at_least, rel=1e-7)


def test_radii_of_two_networks_votes_are_rounded_down():
    """Clopper-Pearson's bound of the first one and the martingale's root for the differences, added."""
    share, n, rows = 0.25, 2000, [(9_900, 12, 1), (9_100, 3, 40), (9_999, 0, 0), (7_200, 60, 55)]
    for first, losses, gains in rows:
        both = 1500
        plain = Draws.from_counts([90, 10], [[both + gains, n - both - gains]], dimension=1)
        beside, same = (
            np.array([[both + losses, n - both - losses]]),
            np.array([[both, n - both - losses - gains]]),
        )
        votes = Votes(np.array([[first, 10_000 - first]]))
        draws = PairedDraws(**vars(plain), first=votes, beside=beside, both=same)
        found = rs.certify_counts(rs.Counts(draws, NOISES["gaussian"]), "incremental", ALPHA)
        with mpmath.workdps(40):
            q_a = exact.upper(10_000 - first, 10_000, ALPHA, share)
            q_a += exact.difference(losses, gains, n, (1 - mpmath.mpf(share)) * mpmath.mpf(ALPHA))
            right = exact.gaussian(LEVEL["gaussian"], q_a, q_a)
            assert found.radius[0] <= right
            assert found.radius[0] == pytest.approx(float(right), rel=1e-8)


@pytest.mark.parametrize(("certificate", "noise", "share", "formula", "bound"), SOFT)
def test_radii_of_scores_are_rounded_down(certificate, noise, share, formula, bound):
    draw, n = np.random.default_rng(5), 20_000
    mean = draw.dirichlet([14, 1, 0.7, 0.2], 30)
    sums = mean * n
    sums[:, -1] += n - sums.sum(1)
    squares = (mean**2 + draw.uniform(0.01, 0.3, mean.shape) * mean * (1 - mean)) * n
    family = {"gaussian": GAUSSIAN, "laplace": LAPLACE}[noise]
    method = {"name": certificate} | ({"bound": bound} if certificate == "pixeldp_soft" else {})
    found = catalog.build("certificates", method).certify(soft_draws(mean, sums, squares, n), family, ALPHA)
    assert (found.radius > 0).sum() > 5
    level = family.sigma if noise == "gaussian" else family.scale
    with mpmath.workdps(40):
        for i in np.flatnonzero(found.radius > 0):

            def width(c: int, part: float, i: int = i) -> mpmath.mpf:
                alpha = mpmath.mpf(part) * mpmath.mpf(ALPHA)
                if bound == "hoeffding":
                    return exact.hoeffding(n, alpha)
                return exact.bernstein(sums[i, c], squares[i, c], n, alpha)

            top = int(mean[i].argmax())
            q_a = 1 - exact.mean(sums[i, top], n) + width(top, share)
            p_b = q_a
            if share < 1:
                others = [c for c in range(4) if c != top]
                p_b = min(q_a, max(exact.mean(sums[i, c], n) + width(c, 1 - share) for c in others))
            right = formula(level, q_a, p_b)
            assert found.radius[i] <= right
            assert found.radius[i] == pytest.approx(float(right), rel=1e-4)
