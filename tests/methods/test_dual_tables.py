"""The dual certificate's tables of radii: exact ones against mpmath, sampled ones against exact ones."""

import math

import mpmath as mp
import numpy as np
import pytest
import torch
from exact_radii import kinks
from scipy import special, stats

from rs.methods.certificates import divergence_table
from rs.methods.certificates.divergence_table import (
    exact_table,
    last_radius_of_means,
    mean_margin,
    sampled_table,
)
from rs.methods.certificates.radius_table import radius_table, required_quantile
from rs.methods.certificates.ratio_laws import SphericalLaw, SupNormLaw

EXACT = [SphericalLaw(5, 2.5), SupNormLaw(5, 3.0)]
Q = np.array([0.45, 0.3, 0.1, 1e-2, 1e-4, 1e-8])


def spherical_survival(law, r, t):
    """P(T > t) at sigma = 1 in mpmath for SphericalLaw, integrated piece by piece between its kinks."""
    d, k, freedom = law.d, mp.mpf(law.k), mp.mpf(law.d - law.k)
    norm = (freedom / 2 - 1) * mp.log(2) + mp.loggamma(freedom / 2)

    def integrand(R):
        a = R * R
        after = k * mp.lambertw(mp.exp((a - 2 * t) / k) * a / k).real
        c = (r * r + a - after) / (2 * r * R)
        if abs(c) >= 1:
            share = mp.mpf(int(c < 0))
        else:
            share = mp.betainc(mp.mpf(d - 1) / 2, 0.5, 0, (1 - c) * (1 + c), regularized=True) / 2
            share = share if c > 0 else 1 - share
        return share * mp.exp((freedom - 1) * mp.log(R) - a / 2 - norm)

    middle = mp.sqrt(freedom)
    grid = [middle * mp.mpf(x) / 8 for x in range(1, 64)]

    def touch(R):
        return -k * mp.log(abs(1 - r / R)) + r * R - r * r / 2 - t

    ends = [mp.mpf("1e-8"), middle / 3, middle, middle + 2, middle + 5, middle + 10]
    return mp.quad(integrand, sorted([*ends, *kinks([touch], grid, r)]), maxdegree=5)


def sup_survival(law, r, t):
    """The same for SupNormLaw: given m = |z|_inf, its coordinate is -m or +m with equal probability."""
    d, k, freedom = law.d, mp.mpf(law.k), mp.mpf(law.d - law.k)
    norm = (freedom / 2 - 1) * mp.log(2) + mp.loggamma(freedom / 2)

    def integrand(m):
        # T > t where the norm after the shift is below `reach`
        reach = mp.sqrt(k * mp.lambertw(mp.exp((m * m - 2 * t) / k) * m * m / k).real)
        share = mp.mpf(int(reach > m + r)) / 2
        if reach > abs(m - r):  # at +m the norm is r less the least of d - 1 uniform coordinates
            share += (1 - min(1, max(0, (m + r - reach) / (2 * m)))) ** (d - 1) / 2
        return share * mp.exp((freedom - 1) * mp.log(m) - m * m / 2 - norm)

    middle = mp.sqrt(freedom)
    grid = [middle * mp.mpf(x) / 8 for x in range(1, 64)]

    def touch(sign):
        return lambda m: -k * mp.log(abs(1 - sign * r / m)) + sign * r * m - r * r / 2 - t

    ends = [mp.mpf("1e-8"), middle / 3, middle, middle + 2, middle + 5, middle + 10]
    return mp.quad(integrand, sorted([*ends, *kinks([touch(1), touch(-1)], grid, r)]), maxdegree=5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "q"),
    [
        (EXACT[0], 0.05),
        (SphericalLaw(784, 300.0), 1e-5),
        (EXACT[1], 0.05),
        (EXACT[1], 1e-4),
    ],
)
def test_radius_is_never_above_mpmath(law, q):
    survival = {SphericalLaw: spherical_survival, SupNormLaw: sup_survival}[type(law)]
    with mp.workdps(18):
        r = mp.mpf(float(radius_table(law).radius(np.array([q]))[0]))
        x, log_lambda = required_quantile(law, np.array([float(r)]))
        t = mp.mpf(float(log_lambda[0]))
        # a t with P(T > -t) >= 1/2 - tiny is the median; P(T > t) is then the largest q that r allows
        assert abs(survival(law, r, -t) - 0.5) < 1e-9
        allowed = survival(law, r, t)
        assert allowed >= q
        assert allowed < q * (1 + 1e-4)
        assert abs(float(-special.ndtri(float(allowed))) - x[0]) < 1e-7


@pytest.mark.slow
@pytest.mark.parametrize(("law", "j", "likely"), [(EXACT[0], 110, 1e-6), (EXACT[1], 80, 0.3)])
def test_what_an_exact_table_holds_is_rounded_down(law, j, likely):
    """P(T > t) and 1/2 - P(T <= -t) at the entry whose P(T > t) is nearest, against mpmath."""
    survival = {SphericalLaw: spherical_survival, SupNormLaw: sup_survival}[type(law)]
    table = exact_table(law)
    i = int(np.abs(np.log(np.maximum(table.above[j], 1e-30) / likely)).argmin())
    with mp.workdps(18):
        r, t = mp.mpf(float(table.r[j])), mp.mpf(float(table.t[j, i]))
        assert -1e-12 < float(table.above[j, i] - survival(law, r, t)) < 1e-13
        assert -2e-12 < float(table.away[j, i] - (survival(law, r, -t) - mp.mpf(1) / 2)) < 1e-13
    margin = np.exp(table.t[j, i]) * table.above[j, i] + table.away[j, i]
    assert table.margin[j, i] == pytest.approx(margin, rel=1e-12)


@pytest.mark.parametrize("law", [SphericalLaw(20, 0.0), SphericalLaw(784, 300.0), EXACT[1]])
def test_between_its_points_a_table_is_below_the_radius_and_by_two_margins_at_most(law):
    table = radius_table(law)
    furthest_radius = table.radius(np.array([1e-15]))[0]
    r = np.exp(np.random.default_rng(0).uniform(math.log(0.02), math.log(furthest_radius), 100))
    found = table.radius(special.ndtr(-required_quantile(law, r)[0]))
    assert np.all(found < r)
    assert np.all(found > r * (1 - 2 * table.margin))
    assert table.margin < 2e-6


def test_without_an_exponent_the_radius_is_the_gaussian_one():
    q = np.geomspace(1e-15, 0.49, 1000)
    assert radius_table(SphericalLaw(20, 0.0)).radius(q) / -special.ndtri(q) == pytest.approx(1, abs=2e-9)


def test_radii_end_where_probabilities_below_1_do():
    law = SphericalLaw(5, 2.5)
    deep = radius_table(law).radius(np.array([1e-16, 1e-60, 1e-300]))
    assert deep[0] <= deep[1] == deep[2]
    assert 8.25 <= required_quantile(law, deep[2:])[0][0] < 8.6


def test_the_furthest_radius_of_a_pilot_is_where_two_of_its_draws_are():
    """Of Gaussian noise -median(T) = r^2 / 2 is exceeded by T with probability Phi(-r)."""
    pilot = SphericalLaw(20, 0.0).sample(10_000, torch.Generator().manual_seed(0))
    assert last_radius_of_means(pilot) == pytest.approx(stats.norm.isf(2 / 10_000), rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("law", EXACT)
def test_sampled_table_is_below_the_exact_radius_and_not_far(law):
    exact = radius_table(law).radius(Q)
    table = sampled_table(law, 10_000, 0, 1e-3)
    assert np.all(table.radius(Q) <= exact)
    assert np.all(table.radius(Q[1:]) > 0.85 * exact[1:])
    # the mean that it rests on, against quadrature: lambda P(T > t) + 1/2 - P(T <= -t)
    width = math.sqrt(math.log(1e3) / 20_000)
    few = np.arange(len(table.r))[::64]
    for r, t, margin in zip(table.r[few], table.t[few], table.margin[few], strict=True):
        rows, kept = np.full(len(t), r), t < 30  # beyond, quadrature times lambda has no digits
        true = np.exp(t) * law.distribution(rows, t)[1] - law.distribution(rows, -t)[0]
        assert np.all(margin[kept] <= true[kept] + 1e-6)
        assert np.all(margin[kept] >= true[kept] - 2 * width)


@pytest.mark.slow
def test_a_sampled_table_is_wrong_no_more_often_than_it_says(monkeypatch):
    """Over many tables, for one image at a time: one bound pays for all radii and multipliers."""
    monkeypatch.setattr(divergence_table, "SAMPLED_RADII", 48)
    monkeypatch.setattr(divergence_table, "_PILOT", 1000)
    # the same radii for every seed
    monkeypatch.setattr(divergence_table, "last_radius_of_margins", lambda ratios: 4.0)
    law, error, tables = EXACT[0], 0.2, 100
    r = np.geomspace(4.0 / 400, 4.0, 48)[[32, 38, 44]]
    # the least q at which these radii are false claims: none is as easily made
    q, wrong = special.ndtr(-required_quantile(law, r)[0]) * (1 + 1e-6), np.zeros(3)
    for seed in range(tables):
        wrong += sampled_table(law, 1001, seed, error).radius(q) >= r * (1 - 1e-9)
    assert stats.binom.sf(wrong.max() - 1, tables, error) > 1e-3


def test_mean_margin_is_the_mean():
    T, t = np.random.default_rng(1).normal(size=500) * 4, np.array([-9.0, -3.0, 0.0, 2.0, 600.0])
    plain = np.exp(np.minimum(T[:, None] + t, 0)).mean(0) - 0.5
    assert np.allclose(mean_margin(T, t), plain, atol=2e-9)
    assert np.all(mean_margin(T, t) <= plain)
    assert mean_margin(np.array([-800.0, 800.0, 0.0]), np.array([-700.0, 600.0])) == pytest.approx(
        [1 / 3 - 0.5, 2 / 3 - 0.5], abs=2e-9
    )


def test_a_sampled_table_does_not_end_where_its_draws_do():
    """2,000 draws, and radii whose region only one draw in a million or ten million enters."""
    law, rare = EXACT[0], np.array([1e-6, 1e-7])
    exact, found = radius_table(law).radius(rare), sampled_table(law, 2000, 0, 1e-3).radius(rare)
    assert np.all(found <= exact)
    assert np.all(found > 0.9 * exact)


@pytest.mark.slow
def test_exact_grid_is_below_the_curve():
    law = EXACT[0]
    assert np.all(exact_table(law).radius(Q) <= radius_table(law).radius(Q) * (1 + 1e-5))
    assert np.all(exact_table(law).radius(Q[1:]) > 0.9 * radius_table(law).radius(Q[1:]))
