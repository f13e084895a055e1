"""Bounds: never beyond the exact value, exact coverage, the published constants."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from rs.statistics import bounds, intervals

ALPHAS = st.floats(1e-6, 0.5)


def exact_tail(k: int, n: int, p: mpmath.mpf) -> mpmath.mpf:
    """P(Bin(n, p) <= k) by the continued fraction of the incomplete beta function, 40 digits."""

    def regularised(a: mpmath.mpf, b: mpmath.mpf, x: mpmath.mpf) -> mpmath.mpf:
        if x > (a + 1) / (a + b + 2):
            return 1 - regularised(b, a, 1 - x)
        factor = mpmath.exp(
            mpmath.loggamma(a + b)
            - mpmath.loggamma(a)
            - mpmath.loggamma(b)
            + a * mpmath.log(x)
            + b * mpmath.log(1 - x)
        )
        c, d = mpmath.mpf(1), 1 / (1 - (a + b) * x / (a + 1))
        value = d
        for m in range(1, 100_000):
            for term in (
                m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
            ):
                d, c = 1 / (1 + term * d), 1 + term / c
                value *= d * c
            if abs(d * c - 1) < mpmath.mpf(10) ** -32:
                break
        return factor * value / a

    return regularised(mpmath.mpf(n - k), mpmath.mpf(k + 1), 1 - p)


@pytest.mark.parametrize(
    ("k", "n"),
    [
        *((k, n) for n in (10, 1_000, 10**5) for k in (0, 1, n // 100, n // 3, n // 2, n - 1)),
        *((k, 10**7) for k in (0, 1, 2, 10, 30, 10**5)),
        *((k, 10**9) for k in (0, 1, 5, 30, 10**4, 4 * 10**8)),
        *((k, 10**12) for k in (0, 1, 100, 10**6, 3 * 10**11)),
    ],
)
@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_clopper_pearson_is_never_better_than_exact(k: int, n: int, alpha: float) -> None:
    with mpmath.workdps(40):
        upper = mpmath.mpf(float(bounds.clopper_pearson_upper(k, n, alpha)))
        # the tail at a bound that is not too good is at most alpha; just inside the bound it is more
        assert exact_tail(k, n, upper) <= mpmath.mpf(alpha)
        assert exact_tail(k, n, upper * (1 - mpmath.mpf(1e-7 if n > 10**10 else 1e-10))) > alpha
        # the lower bound of the failures, as far as 1 - p can be written
        lower = mpmath.mpf(float(bounds.clopper_pearson_lower(n - k, n, alpha)))
        assert exact_tail(k, n, 1 - lower) <= mpmath.mpf(alpha)
        assert 1 - lower - upper < 2e-15 + 1e-7 * upper


@pytest.mark.parametrize("alpha", [0.3, 0.5472, 0.7, 0.9])
@pytest.mark.parametrize(
    ("k", "n"), [(3, 94_951), (13, 749_389_581), (39, 10**9), (9, 1_000), (10**5, 10**9)]
)
def test_bounds_at_large_alphas_are_never_better_than_exact(k: int, n: int, alpha: float) -> None:
    with mpmath.workdps(40):
        lower = mpmath.mpf(float(bounds.clopper_pearson_lower(k, n, alpha)))
        assert 1 - exact_tail(k - 1, n, lower) <= mpmath.mpf(alpha)
        assert 1 - exact_tail(k - 1, n, lower * (1 + mpmath.mpf(1e-9))) > alpha
        upper = mpmath.mpf(float(bounds.clopper_pearson_upper(k, n, alpha)))
        assert exact_tail(k, n, upper) <= mpmath.mpf(alpha)


def test_all_votes_for_one_class() -> None:
    assert float(bounds.clopper_pearson_upper(0, 100_000, 0.001)) == pytest.approx(
        1 - 0.001 ** (1 / 100_000), rel=1e-11
    )
    assert float(bounds.clopper_pearson_lower(0, 10, 0.05)) == 0
    assert float(bounds.clopper_pearson_upper(10, 10, 0.05)) == 1


@pytest.mark.parametrize("n", [1, 7, 40])
@pytest.mark.parametrize("alpha", [0.01, 0.1])
def test_exact_coverage_of_clopper_pearson(n: int, alpha: float) -> None:
    k = np.arange(n + 1)
    upper, lower = bounds.clopper_pearson_upper(k, n, alpha), bounds.clopper_pearson_lower(k, n, alpha)
    for p in np.linspace(0.001, 0.999, 333):
        weight = stats.binom.pmf(k, n, p)
        assert weight[upper < p].sum() <= alpha
        assert weight[lower > p].sum() <= alpha


@pytest.mark.slow
def test_randomised_bound_has_exact_coverage_and_is_never_worse() -> None:
    n, alpha = 30, 0.05
    k, u = np.arange(n + 1)[:, None], (np.arange(500) + 0.5)[None, :] / 500
    upper = bounds.randomised_upper(k, n, alpha, u)
    assert np.all(upper <= bounds.clopper_pearson_upper(k, n, alpha))
    assert np.all(np.diff(upper, axis=0) >= 0)  # monotone in the count
    assert np.all(np.diff(upper, axis=1) <= 1e-12)  # and in the uniform number
    for p in (0.2, 0.5, 0.83):  # where no success has next to no weight, coverage is exact
        error = stats.binom.pmf(k[:, 0], n, p) @ (upper < p).mean(1)
        assert error == pytest.approx(alpha, abs=3e-3)
    assert np.all(upper[0] == bounds.clopper_pearson_upper(0, n, alpha))  # no certainty from luck


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=12), st.integers(1, 10**6), ALPHAS)
@settings(max_examples=100, deadline=None)
def test_summed_upper_solves_equation_14(counts: list[int], more: int, alpha: float) -> None:
    n = sum(counts) + more
    bound = float(bounds.summed_upper([counts], [n], alpha)[0])

    def total(p: float) -> float:
        return sum(float(special.betaincc(c + 1, n - c, p)) for c in counts)

    assert total(bound) <= alpha * (1 + 1e-12)
    assert total(bound * (1 - 1e-9)) >= alpha * (1 - 1e-6)
    largest = float(bounds.largest_upper(counts, n, alpha))
    union = float(bounds.clopper_pearson_upper(max(counts), n, alpha / len(counts)))
    assert largest * (1 - 1e-12) <= bound <= union * (1 + 1e-9)


def test_summed_upper_where_a_class_has_every_vote_and_where_all_are_alike() -> None:
    assert bounds.summed_upper([[50, 0]], [50], 0.05)[0] == 1
    alike = bounds.summed_upper([[7] * 999], [10_000], 0.05)[0]
    assert alike == pytest.approx(float(bounds.clopper_pearson_upper(7, 10_000, 0.05 / 999)), rel=1e-9)


def test_the_largest_other_probability_is_covered_without_a_union() -> None:
    rng = np.random.default_rng(3)
    for p in ([0.4, 0.3, 0.3], [0.5, 0.26, 0.24], [0.3, *[0.1] * 7]):
        counts = rng.multinomial(500, p, 4_000)[:, 1:]
        wrong = (bounds.largest_upper(counts, 500, 0.05) < max(p[1:])).mean()
        assert wrong <= 0.05
        assert (bounds.summed_upper(counts, np.full(len(counts), 500), 0.05) < max(p[1:])).mean() <= wrong


def test_mean_bounds_are_the_published_formulas() -> None:
    n, alpha = 1_000, 0.001
    assert float(bounds.hoeffding_width(n, alpha)) == pytest.approx(np.sqrt(np.log(1 / alpha) / (2 * n)))
    values = np.random.default_rng(0).beta(0.3, 4, n)
    width = bounds.bernstein_width(values.mean(), (values**2).mean(), n, alpha)
    expected = np.sqrt(2 * values.var(ddof=1) * np.log(2 / alpha) / n) + 7 * np.log(2 / alpha) / (3 * (n - 1))
    assert float(width) == pytest.approx(expected, rel=1e-9)
    assert width < bounds.hoeffding_width(n, alpha)  # small variance: what the bound is for
    constant = bounds.bernstein_width(0.5, 0.25, n, alpha)
    assert float(constant) == pytest.approx(7 * np.log(2 / alpha) / (3 * (n - 1)), rel=1e-4)
    # sums of many scores lose more than one rounding: no variance below 0
    assert bounds.bernstein_width(0.5, 0.25 - 1e-12, n, alpha) == constant


def test_mean_bounds_cover() -> None:
    rng = np.random.default_rng(1)
    for n, p in ((20, 0.9), (200, 0.5), (200, 0.99)):
        mean = rng.binomial(n, p, 20_000) / n  # Bernoulli scores: the hardest for Hoeffding
        assert (mean - bounds.hoeffding_width(n, 0.1) > p).mean() <= 0.1
        assert (mean - bounds.bernstein_width(mean, mean, n, 0.1) > p).mean() <= 0.1


@given(st.integers(0, 10**12), st.integers(1, 10**12), ALPHAS, st.integers(1, 10**6))
@settings(max_examples=200, deadline=None)
def test_bounds_are_monotone(k: int, more: int, alpha: float, step: int) -> None:
    n = k + more
    here = float(bounds.clopper_pearson_upper(k, n, alpha))
    assert here >= k / n
    assert float(bounds.clopper_pearson_upper(min(k + step, n), n, alpha)) >= here * (1 - 1e-9)
    assert float(bounds.clopper_pearson_upper(k, n, alpha / 2)) >= here
    assert float(bounds.clopper_pearson_lower(k, n, alpha)) <= k / n


def test_wilson_and_t_intervals() -> None:
    low, high = intervals.wilson_interval(90, 100)
    assert (float(low), float(high)) == pytest.approx((0.8256, 0.9448), abs=1e-4)  # textbook value
    assert float(intervals.wilson_interval(0, 10)[0]) == 0
    assert float(intervals.wilson_interval(10, 10)[1]) == 1
    mean, low_mean, high_mean = intervals.t_interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert (low_mean, high_mean) == pytest.approx((2 - 4.302653 / np.sqrt(3), 2 + 4.302653 / np.sqrt(3)))
    assert np.isnan(intervals.t_interval([1.0])[1])


def test_an_alpha_that_is_none_is_refused() -> None:
    for alpha in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            bounds.clopper_pearson_lower(5, 10, alpha)
    with pytest.raises(ValueError, match="statements"):
        bounds.bonferroni(0.05, 0)
    assert bounds.bonferroni(0.05, 5) == pytest.approx(0.01)


def test_one_bad_entry_of_an_array_is_refused() -> None:
    good = np.full(3, 10.0)
    for place, value in ((0, -1.0), (0, 11.0), (1, 0.0)):
        given = [np.array([5.0, 5.0, 5.0]), good.copy()]
        given[place][1] = value
        with pytest.raises(ValueError, match="0 <= successes <= trials"):
            bounds.clopper_pearson_upper(*given, 0.05)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        bounds.clopper_pearson_upper(5, good, [0.05, 1.0, 0.05])
    with pytest.raises(ValueError, match="uniform"):
        bounds.randomised_upper(5, good, 0.05, [0.5, 1.0, 0.5])
    with pytest.raises(ValueError, match="at least 2"):
        bounds.bernstein_width(0.5, 0.3, [10, 1, 10], 0.05)
    with pytest.raises(ValueError, match="must lie in"):
        bounds.bernstein_width([0.5, -0.1, 0.5], 0.3, 10, 0.05)


def test_the_largest_count_bounds_the_largest_probability() -> None:
    found = bounds.largest_upper([[3, 40, 7], [9, 1, 2]], 100, 0.05)
    assert np.array_equal(found, bounds.clopper_pearson_upper([40, 9], 100, 0.05))


def test_the_randomised_bound_solves_its_equation() -> None:
    n, alpha = 30, 0.05
    k, u = np.array([1, 4, 15, 29])[:, None], np.array([0.1, 0.5, 0.9])
    upper = bounds.randomised_upper(k, n, alpha, u)
    tail = (1 - u) * stats.binom.cdf(k, n, upper) + u * stats.binom.cdf(k - 1, n, upper)
    np.testing.assert_allclose(tail, alpha, rtol=1e-6)
