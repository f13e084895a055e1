"""Closed forms are rounded down, and every share of alpha is spent once: written out anew, to 40 digits."""

from __future__ import annotations

import dataclasses
import math

import mpmath
import numpy as np
import pytest
from certificate_draws import GAUSSIAN, LAPLACE, random_votes, soft_draws
from scipy import special

from rs.methods.certificates import bilateral, dual
from rs.methods.certificates.cohen import Cohen, CohenLinf
from rs.methods.certificates.laplace_l1 import LaplaceL1
from rs.methods.certificates.pixeldp import laplace_dp_radius
from rs.methods.certificates.probabilities import certified, gaussian_radius
from rs.methods.certificates.soft import SoftBernstein, SoftHoeffding
from rs.methods.noise.mixed_norm import MixedNorm
from rs.statistics import bounds

SHARE = 0.3


def quantile(p: mpmath.mpf) -> mpmath.mpf:
    return mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)


def pairs(images: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of 1 - p_A and p_B with a sum below 1, over many sizes; p_B = 1 - p_A in every third."""
    draw = np.random.default_rng(0)
    q_a = 10 ** draw.uniform(-12, math.log10(0.45), images)
    p_b = q_a * np.where(np.arange(images) % 3, draw.uniform(1e-3, 1, images), 1.0)
    return q_a, p_b


def test_the_gaussian_radius_of_two_bounds_is_rounded_down():
    q_a, p_b = pairs(200)
    found = gaussian_radius(0.3, q_a, p_b)
    with mpmath.workdps(40):
        for radius, a, b in zip(found.tolist(), q_a.tolist(), p_b.tolist(), strict=True):
            exact = -mpmath.mpf(0.3) / 2 * (quantile(mpmath.mpf(a)) + quantile(mpmath.mpf(b)))
            assert exact * (1 - mpmath.mpf(1e-10)) <= radius <= exact


def test_the_gaussian_radius_is_rounded_down_where_quantiles_cancel():
    """p_A below one half and p_B hardly below it."""
    draw = np.random.default_rng(1)
    q_a = draw.uniform(0.5, 0.99, 200)
    p_b = (1 - q_a) * (1 - 10 ** draw.uniform(-14, -2, 200))
    found = gaussian_radius(1.0, q_a, p_b)
    with mpmath.workdps(40):
        for radius, a, b in zip(found.tolist(), q_a.tolist(), p_b.tolist(), strict=True):
            exact = -(quantile(mpmath.mpf(a)) + quantile(mpmath.mpf(b))) / 2
            assert exact * (1 - mpmath.mpf(1e-10)) - mpmath.mpf(1e-14) <= radius <= exact


def test_a_certain_radius_that_rounding_took_below_0_is_0_and_an_uncertain_one_too():
    """At p_A hardly above p_B the Laplace radius is rounded down past 0."""
    q_a = np.array([0.5 - 2.0**-53, 0.3, 0.3])
    radius = laplace_dp_radius(1.0, q_a, np.array([0.5, 0.2, 0.2]))
    assert radius[0] < 0 < radius[1]
    found = certified(np.array([2, 1, 0]), np.array([True, True, False]), radius)
    assert found.prediction.tolist() == [2, 1, -1]
    assert found.radius.tolist() == [0, radius[1], 0]


def test_the_laplace_radii_of_two_bounds_are_rounded_down():
    q_a, p_b = pairs(200)
    found = laplace_dp_radius(0.3, q_a, p_b)
    with mpmath.workdps(40):
        for radius, a, b in zip(found.tolist(), q_a.tolist(), p_b.tolist(), strict=True):
            exact = mpmath.mpf(0.3) / 2 * (mpmath.log(1 - mpmath.mpf(a)) - mpmath.log(mpmath.mpf(b)))
            assert exact - mpmath.mpf(1e-14) * (1 + exact) <= radius <= exact


def test_laplace_spends_its_shares_and_rounds_down():
    draws = random_votes(4, 200, 1000)
    found = LaplaceL1(alpha_share=SHARE).certify(draws, LAPLACE, 0.01)
    counts, top = draws.estimation.counts, draws.selection.counts.argmax(1)
    hits = counts[np.arange(200), top]
    others = np.where(np.arange(4) == top[:, None], 0, counts).max(1)
    q_a = bounds.clopper_pearson_upper(1000 - hits, 1000, SHARE * 0.01)
    p_b = np.minimum(q_a, bounds.clopper_pearson_upper(others, 1000, (1 - SHARE) * 0.01))
    assert (found.prediction >= 0).any()
    for i in np.flatnonzero(found.prediction >= 0):
        with mpmath.workdps(40):
            exact = -mpmath.mpf(0.5) * mpmath.log(mpmath.mpf(float(q_a[i])) + mpmath.mpf(float(p_b[i])))
            assert exact - mpmath.mpf(1e-14) * (1 + exact) <= found.radius[i] <= exact


def test_the_linf_radius_is_rounded_down_where_the_root_of_d_is_irrational():
    draws = random_votes(3, 200, 1000)
    for dimension in (3, 3072, 150_528):
        given = dataclasses.replace(draws, dimension=dimension)
        l2, linf = (kind.certify(given, GAUSSIAN, 0.01).radius for kind in (Cohen(), CohenLinf()))
        with mpmath.workdps(40):
            for long, short in zip(l2.tolist(), linf.tolist(), strict=True):
                assert mpmath.mpf(short) * mpmath.sqrt(dimension) <= long
        assert linf == pytest.approx(l2 / math.sqrt(dimension), rel=1e-14)


def scores(*means: float, n: int = 5000):
    """Draws whose scores have these means, and the variance of a beta distribution of concentration 9."""
    mean = np.array([means])
    return soft_draws(mean, mean * n, (mean**2 + mean * (1 - mean) / 10) * n, n)


def test_soft_certificates_spend_their_shares():
    draws, alpha, n = scores(0.8, 0.15, 0.05), 0.01, 5000
    widths = {SoftHoeffding: lambda p, level: bounds.hoeffding_width(n, level)}
    widths[SoftBernstein] = lambda p, level: bounds.bernstein_width(p, p**2 + p * (1 - p) / 10, n, level)
    for kind, width in widths.items():
        lower = 0.8 - width(0.8, SHARE * alpha)
        upper = min(0.15 + width(0.15, (1 - SHARE) * alpha), 1 - lower)
        expected = 0.25 * (special.ndtri(lower) - special.ndtri(upper))
        found = kind(alpha_share=SHARE).certify(draws, GAUSSIAN, alpha).radius[0]
        assert found == pytest.approx(expected, rel=1e-8)


def test_scores_that_add_up_to_more_than_one_leave_more_to_the_others():
    """p_B <= 1 - p_A + 5e-5 where rounding has given an image 5e-5 of a score too much."""
    draws, alpha = scores(0.80005, 0.2), 0.01
    lower = 0.80005 - bounds.hoeffding_width(5000, alpha)
    expected = 0.25 * (special.ndtri(lower) - special.ndtri(1 - lower + 5e-5))
    assert SoftHoeffding().certify(draws, GAUSSIAN, alpha).radius[0] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("module", [dual, bilateral])
def test_votes_and_shared_table_spend_alpha_together(monkeypatch, module):
    spent = {}
    votes, table = module.vote_probabilities, module.sampled_table

    def for_votes(draws, alpha, share):
        spent["votes"] = alpha
        return votes(draws, alpha, share)

    def for_table(law, draws, seed, error):
        spent["table"] = error
        assert (draws, seed) == (200, 3)
        return table(law, draws, seed, error)

    monkeypatch.setattr(module, "vote_probabilities", for_votes)
    monkeypatch.setattr(module, "sampled_table", for_table)
    kind = {dual: dual.Dual, bilateral: bilateral.Bilateral}[module]
    draws = random_votes(3, 5, 1000)
    kind(table_draws=200, table_seed=3, table_share=SHARE).certify(draws, MixedNorm(0.5, 2.0), 0.01)
    assert spent == pytest.approx({"votes": 0.007, "table": 0.003})
