"""Confidence bounds for binomial proportions and means, and their safe rounding. No torch.

Every bound is one-sided at error `alpha` unless its name says otherwise, float64, and valid in finite
samples. (Wilson and t intervals of tables are in rs.statistics.intervals; no certificate uses them.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

# Rounding in the library must never make a bound too good, so each bound is moved outwards. The inverse
# incomplete beta functions have a relative error of up to 5e-9 for a few successes among 1e7 to 1e9 trials,
# the functions themselves of at most 3e-11. So one Newton step with the functions corrects the inverse; it
# aims past the root by more than their error.
_SAFETY = 1e-15


def _tail_slack(trials: Floats) -> Floats:
    """Relative error allowed for in a binomial tail probability of `trials` trials."""
    return 1e-13 + np.minimum(1e-19 * trials, 2e-10)


def _newton(x: Floats, a: Floats, b: Floats, tail: Floats, excess: Floats) -> Floats:
    """Relative step of x that changes the size of log(tail), a tail of Beta(a, b) at x, by `excess`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_density = special.xlogy(a, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b)
        step = excess * tail / np.exp(log_density)
    return np.where(np.isfinite(step), step, 0.0)  # there is no tail where x rounds to 0 or 1


def checked_counts(successes: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    if np.any(n < 1) or np.any(k < 0) or np.any(k > n):
        raise ValueError("counts: need 0 <= successes <= trials and trials >= 1")
    return k, n


def checked_alpha(alpha: ArrayLike) -> Floats:
    a = np.asarray(alpha, np.float64)
    if np.any(~((a > 0) & (a < 1))):
        raise ValueError(f"alpha = {a}: must lie strictly between 0 and 1")
    return a


def clopper_pearson_lower(successes: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """Exact lower bound p with P(p <= true p) >= 1 - alpha (Clopper & Pearson 1934); 0 for no success.

    Near 1 the digits are in 1 - p, so certificates use `clopper_pearson_upper` of the failures instead.
    """
    k, n, level = np.broadcast_arrays(*checked_counts(successes, trials), checked_alpha(alpha))
    a, b = np.maximum(k, 1.0), n - k + 1.0
    bound = special.betaincinv(a, b, level)
    # above 1/2 the library's tail is off by up to 3e-8 (a few successes of 1e9 trials), its complement is not
    tail = np.where(level > 0.5, 1 - special.betaincc(a, b, bound), special.betainc(a, b, bound))
    step = _newton(bound, a, b, tail, np.log(np.maximum(tail / level, 1e-300)) + _tail_slack(n))
    return np.where(k > 0, bound * (1 - step) * (1 - _SAFETY), 0.0)


def clopper_pearson_upper(successes: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """Exact upper bound p with P(p >= true p) >= 1 - alpha; 1 where every trial succeeds.

    Keeps its digits near 0.
    """
    k, n, level = np.broadcast_arrays(*checked_counts(successes, trials), checked_alpha(alpha))
    a, b = k + 1.0, np.maximum(n - k, 1.0)
    bound = special.betainccinv(a, b, level)
    tail = special.betaincc(a, b, bound)
    step = _newton(bound, a, b, tail, np.log(np.maximum(tail / level, 1e-300)) + _tail_slack(n))
    return np.where(k < n, np.minimum(bound * (1 + step) * (1 + _SAFETY), 1.0), 1.0)


def least_upper(trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """`clopper_pearson_upper` of no success, 1 - alpha^(1/trials), without its rounding up. No procedure has
    a smaller upper bound from as many trials.
    """
    return np.asarray(-np.expm1(np.log(alpha) / np.asarray(trials, np.float64)))


def randomised_upper(successes: ArrayLike, trials: ArrayLike, alpha: ArrayLike, uniform: ArrayLike) -> Floats:
    """Upper bound whose coverage is exactly 1 - alpha over trials and `uniform` in [0, 1) (Stevens 1950).

    Solves V P(Bin(n, p) <= k) + (1 - V) P(Bin(n, p) <= k - 1) = alpha with V = 1 - uniform in (0, 1]; V = 1
    is Clopper-Pearson. For k = 0 it remains Clopper-Pearson: the randomised bound there is 0, a claim of
    certainty, whenever V < alpha.
    """
    k, n, level, u = np.broadcast_arrays(
        *checked_counts(successes, trials), checked_alpha(alpha), np.asarray(uniform, np.float64)
    )
    if np.any(~((u >= 0) & (u < 1))):
        raise ValueError("uniform: must lie in [0, 1)")
    high = clopper_pearson_upper(k, n, level)
    low = clopper_pearson_upper(np.maximum(k - 1, 0), n, level)
    v, some = 1 - u, np.maximum(k, 1.0)
    for _ in range(40):  # the outer end of a bracket stays a valid bound
        middle = (low + high) / 2
        tail = v * special.betaincc(some + 1, np.maximum(n - some, 1.0), middle) * (some < n)
        tail += v * (some == n) + (1 - v) * special.betaincc(some, n - some + 1, middle)
        inside = tail * (1 + _tail_slack(n)) <= level
        high, low = np.where(inside, middle, high), np.where(inside, low, middle)
    return np.where(k > 0, high, clopper_pearson_upper(k, n, level))


def largest_upper(counts: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """Upper bound for the largest of several probabilities from counts [..., C]: that of the largest count.

    No union over the C categories is needed: the category of the largest probability is fixed though unknown,
    its own bound fails with probability at most alpha, and a larger count only raises the bound.
    """
    return clopper_pearson_upper(np.asarray(counts).max(-1), trials, alpha)


def summed_upper(counts: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """inf { p : sum over j of P(Bin(n, p) <= N_j) <= alpha } for counts N [M, C], from above (ADRE, eq. 14).

    It exceeds `largest_upper` by the effect of the other terms of the sum. With N_1 the largest count, the
    root solves P(Bin(n, p) <= N_1) = alpha h(p), where the share h of the first term in the sum never falls
    with p. So for a p below the root, Clopper-Pearson at alpha h(p) lies above the root, and vice versa: the
    iteration brackets the root, and its upper ends are safe at every step.
    """
    c = np.asarray(counts, np.float64)
    if np.any(c[:, 1:] > c[:, :-1]):
        c = -np.sort(-c, axis=1)
    n, level, _ = np.broadcast_arrays(np.asarray(trials, np.float64), checked_alpha(alpha), c[:, 0])
    checked_counts(c[:, 0], n)

    def share(row: NDArray[np.int64], p: Floats) -> Floats:
        first: Floats = special.betaincc(c[row, 0] + 1, n[row] - c[row, 0], p)
        total, active = first.copy(), np.arange(len(row))
        for j in range(1, c.shape[1]):
            count, last = c[row[active], j], c[row[active], -1]
            term = special.betaincc(count + 1, n[row[active]] - count, p[active])
            same = count == last  # and so are all later ones
            total[active] += term * np.where(same, c.shape[1] - j, 1)
            active = active[~same & (term * (c.shape[1] - j) > 1e-17 * total[active])]
            if len(active) == 0:
                break
        return first / total

    upper = np.ones(len(c))
    row = np.flatnonzero(c[:, 0] < n)
    below = clopper_pearson_upper(c[row, 0], n[row], level[row])
    for _ in range(40):
        upper[row] = clopper_pearson_upper(c[row, 0], n[row], level[row] * share(row, below) * (1 - 1e-12))
        wide = upper[row] - below > 1e-10 * upper[row]
        row = row[wide]
        if len(row) == 0:
            break
        below = clopper_pearson_upper(c[row, 0], n[row], level[row] * share(row, upper[row]))
    return upper


def _check_mean(mean: ArrayLike, trials: ArrayLike, least: int) -> tuple[Floats, Floats]:
    m, n = np.asarray(mean, np.float64), np.asarray(trials, np.float64)
    if np.any(n < least):
        raise ValueError(f"trials: need at least {least}")
    # sums of float64 scores may leave [0, 1] only by rounding
    if np.any(~((m > -1e-6) & (m < 1 + 1e-6))):
        raise ValueError("mean: must lie in [0, 1]")
    return m, n


def hoeffding_width(trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """One-sided distance of a mean of n values in [0, 1] from its expectation (Hoeffding 1963)."""
    return np.sqrt(-np.log(checked_alpha(alpha)) / (2 * np.asarray(trials, np.float64)))


def bernstein_width(mean: ArrayLike, mean_square: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """As `hoeffding_width`, from the sample variance: empirical Bernstein (Maurer & Pontil 2009, Theorem 4),
    n >= 2.

    sqrt(2 S^2 log(2/alpha) / n) + 7 log(2/alpha) / (3 (n - 1)), S^2 the sample variance with divisor n - 1.
    The 2 in log(2/alpha) pays for estimating the variance, so each side costs the same; 7/3 is the theorem's
    constant.
    """
    m, n = _check_mean(mean, trials, 2)
    log_term = np.log(2 / checked_alpha(alpha))
    # the difference of two sums loses about 1e-16, which must not shrink the variance
    variance = np.maximum(np.asarray(mean_square, np.float64) - m * m, 0) * n / (n - 1) + 1e-15
    return np.sqrt(2 * variance * log_term / n) + 7 * log_term / (3 * (n - 1))


def bonferroni(alpha: float, statements: int) -> float:
    """The error of each of `statements` bounds at which all hold together with probability 1 - alpha."""
    if statements < 1:
        raise ValueError("statements: need at least one")
    return float(checked_alpha(alpha)) / statements
