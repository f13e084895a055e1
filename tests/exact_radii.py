"""Bounds and radii to 40 digits (within mpmath.workdps(40)), from the papers' formulas and not from ours."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import mpmath
import numpy as np
from scipy import stats

from rs.statistics import sequences

Number = mpmath.mpf


def kinks(touches: Sequence[Callable[[Number], Number]], grid: Sequence[Number], r: Number) -> list[Number]:
    """The roots of each function between neighbouring points of a grid that do not hold r."""
    return [
        mpmath.findroot(touch, ends, solver="anderson", tol=1e-12)
        for ends in itertools.pairwise(grid)
        for touch in touches
        if touch(ends[0]) * touch(ends[1]) < 0 and not ends[0] <= r <= ends[1]
    ]


@functools.cache
def upper(events: int, trials: int, alpha: float, share: float) -> Number:
    """Clopper-Pearson from above, to 25 digits: the p at which at most so many events have probability
    share * alpha.
    """
    if events == trials:
        return mpmath.mpf(1)
    near = mpmath.mpf(float(stats.beta.isf(share * alpha, events + 1, trials - events)))
    ends = (near * (1 - mpmath.mpf(1e-5)), min(near * (1 + mpmath.mpf(1e-5)), mpmath.mpf(1)))
    goal = mpmath.mpf(share) * mpmath.mpf(alpha)

    def tail(p: Number) -> Number:  # terms fall fast away from the largest, which is the last
        term = mpmath.binomial(trials, events) * p**events * (1 - p) ** (trials - events)
        total = mpmath.mpf(0)
        for k in range(events, -1, -1):
            total += term
            if term < total * mpmath.mpf(10) ** -38:
                break
            term *= k * (1 - p) / ((trials - k + 1) * p)
        return total

    root = mpmath.findroot(lambda p: mpmath.log(tail(p) / goal), ends, tol=1e-28)
    high, low = (root * (1 + sign * mpmath.mpf(10) ** -26) for sign in (1, -1))
    assert tail(low) > goal > tail(high)
    return high


def likelihood_ratio(losses: int, gains: int, trials: int, x: Number) -> Number:
    """Mean of the products (1 - s)^losses (1 + s)^gains / (1 - s x)^trials (rs.statistics.differences)."""
    total = mpmath.mpf(0)
    for tilt, weight in zip(sequences.TILT, sequences.LOG_WEIGHT, strict=True):
        s = 1 - mpmath.exp(-mpmath.mpf(float(tilt))) if np.isfinite(tilt) else mpmath.mpf(1)
        lost = (1 - s) ** losses if losses else mpmath.mpf(1)
        total += mpmath.exp(mpmath.mpf(float(weight))) * lost * (1 + s) ** gains / (1 - s * x) ** trials
    return total


def difference(losses: int, gains: int, trials: int, level: Number) -> Number:
    """Where that is 1 / level."""
    low, high = mpmath.mpf(-1), 1 - mpmath.mpf(10) ** -30
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if likelihood_ratio(losses, gains, trials, middle) < 1 / level else (low, middle)
        )
    return high


def quantile(p: Number) -> Number:
    return -mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * p)


def gaussian(sigma: float, q_a: Number, p_b: Number) -> Number:
    """sigma / 2 (Phi^-1(p_A) - Phi^-1(p_B)): no larger one is right."""
    return -mpmath.mpf(sigma) / 2 * (quantile(q_a) + quantile(p_b))


def laplace(scale: float, q_a: Number, p_b: Number) -> Number:
    """The largest l1 radius that is right: a shift along one axis moves the likelier side of a half-space,
    from p < 1/2 up to exp(r / scale) p.
    """

    def raised(p: Number, r: Number) -> Number:
        factor = mpmath.exp(r / mpmath.mpf(scale))
        if factor * p <= 0.5:
            return factor * p
        return 1 - 1 / (4 * factor * p) if p <= 0.5 else 1 - (1 - p) / factor

    low, high = mpmath.mpf(0), 60 * mpmath.mpf(scale)
    for _ in range(140):
        r = (low + high) / 2
        low, high = (r, high) if raised(q_a, r) + raised(p_b, r) < 1 else (low, r)
    return low


def li_laplace(scale: float, q_a: Number, p_b: Number) -> Number:
    """Li et al., Theorem 3."""
    return -mpmath.mpf(scale) * mpmath.log(q_a + p_b)


def private_laplace(scale: float, q_a: Number, p_b: Number) -> Number:
    """Lecuyer et al. with delta = 0: exp(2 eps) = p_A / p_B."""
    return mpmath.mpf(scale) / 2 * mpmath.log((1 - q_a) / p_b)


def private_gaussian(sigma: float, q_a: Number, p_b: Number) -> Number:
    """Lecuyer et al. at the best eps of at most 1, delta below 0.4."""

    def at(eps: Number) -> Number:
        delta = min((1 - q_a - mpmath.exp(2 * eps) * p_b) / (1 + mpmath.exp(eps)), mpmath.mpf("0.4"))
        return eps / mpmath.sqrt(2 * mpmath.log(1.25 / delta)) if delta > 0 else mpmath.mpf(0)

    end = min(mpmath.log((1 - q_a) / p_b) / 2, mpmath.mpf(1))
    return mpmath.mpf(sigma) * largest(at, end * mpmath.mpf(10) ** -6, end)


def renyi(sigma: float, q_a: Number, p_b: Number) -> Number:
    """Li et al., Theorem 2, at the best order 1 + t."""
    p_a = 1 - q_a

    def squared(log_t: Number) -> Number:
        t = mpmath.exp(log_t)
        m = ((p_a**-t + p_b**-t) / 2) ** (-1 / t)
        return -2 / (1 + t) * mpmath.log(1 - p_a - p_b + 2 * m)

    return mpmath.mpf(sigma) * mpmath.sqrt(max(largest(squared, mpmath.mpf(-12), mpmath.mpf(12)), 0))


def largest(value: Callable[[Number], Number], low: Number, high: Number) -> Number:
    """Of a function with one hill: a grid, then golden sections around its best point."""
    grid = [low + (high - low) * i / 60 for i in range(61)]
    best = max(range(61), key=lambda i: value(grid[i]))
    left, right = grid[max(best - 1, 0)], grid[min(best + 1, 60)]
    golden = (mpmath.sqrt(5) - 1) / 2
    for _ in range(60):
        one, two = right - golden * (right - left), left + golden * (right - left)
        left, right = (left, two) if value(one) > value(two) else (one, right)
    return max(value(left), value(right), value((left + right) / 2))


def mean(total: float, n: int) -> Number:
    return mpmath.mpf(float(total)) / n


def hoeffding(n: int, alpha: Number) -> Number:
    return mpmath.sqrt(-mpmath.log(alpha) / (2 * n))


def bernstein(sums: float, squares: float, n: int, alpha: Number) -> Number:
    """Maurer & Pontil, Theorem 4."""
    variance = (mean(squares, n) - mean(sums, n) ** 2) * n / (n - 1)
    log = mpmath.log(2 / alpha)
    return mpmath.sqrt(2 * max(variance, 0) * log / n) + 7 * log / (3 * (n - 1))


def pair(counts: np.ndarray, top: int, alpha: float, share: float) -> tuple[Number, Number]:
    """Upper bounds of 1 - p_A and of p_B from votes, with the share of alpha that is p_A's."""
    n, others = int(counts.sum()), np.delete(counts, top)
    q_a = upper(n - int(counts[top]), n, alpha, share)
    if share == 1:
        return q_a, q_a
    return q_a, min(q_a, upper(int(others.max()), n, alpha, 1 - share))
