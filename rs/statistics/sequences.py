"""Confidence sequences for a probability: bounds that hold at every number of trials at once. No torch.

Of n trials with failure probability p, f failed. Let term j be the likelihood ratio against x of the guess
whose odds are v_j times those of x. The mean of these is

    M(x) = sum over j of w_j v_j^f / (1 - (1 - v_j) x)^n,    0 <= v_j < 1, weights w_j with sum 1.

A trial multiplies term j by v_j / (1 - (1 - v_j) x) if it fails and by 1 / (1 - (1 - v_j) x) if not: on
average by (1 - (1 - v_j) p) / (1 - (1 - v_j) x), at most 1 where x <= p. So M(p) is a nonnegative martingale
that starts at 1 and ever reaches 1/alpha with probability at most alpha (Ville 1939). Every term grows with
x, so M(x) >= 1/alpha from one root on. That root is the bound. It is below p only where M(p) > 1/alpha, so
with probability at most alpha at all n together, and at any stopping time, however chosen. It is a function
of the counts (f, n) at any alpha that was fixed beforehand, and never below Clopper-Pearson's.

This is the method of mixtures (Robbins 1970) over the natural parameter of the binomial family, equivalent to
splitting a gambler's stake over constant bets (Waudby-Smith & Ramdas, JRSS B 2024), but from counts alone.
The mixture moves with x, so it is as sharp near 0 as at 1/2; the usual beta-binomial mixture, one prior for
all x, is not (benchmarks/sequential.py compares them). v = 0 serves trials without a failure: about
ln(4/alpha) / -ln(1 - x) of them, a fifth above the ln(1/alpha) / -ln(1 - x) that any test needs.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import ArrayLike

from rs.statistics.bounds import Floats, checked_alpha, checked_counts

# -ln v: infinity (no failures), then five per decade from large differences down to those that take 1e8
# trials. Below 0.06 (1e5 trials) the weights taper off, so that long runs cost common ones little.
TILT = np.concatenate([[np.inf], 4 * 10.0 ** (-np.arange(19) / 5)])
SHARE = -np.expm1(-TILT)  # 1 - v
_WEIGHT = np.minimum(1, TILT / 0.06)
LOG_WEIGHT = np.log(np.concatenate([[0.25], 0.75 * _WEIGHT[1:] / _WEIGHT[1:].sum()]))
SLACK = 1e-13  # per trial; above the float64 error of log M


def upper(events: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """Upper bounds of the events' probability that hold for all numbers of trials at once, at error `alpha`.

    `events` and `trials` are running counts; fractions are allowed. Keeps its digits near 0; rounded up.
    """
    f, n, level = np.broadcast_arrays(*checked_counts(events, trials), checked_alpha(alpha))
    f, n = f[..., None], n[..., None]
    start = LOG_WEIGHT - np.multiply(f, TILT, out=np.zeros(f.shape[:-1] + TILT.shape), where=f > 0)
    return root(start, n, level)


def root(start: Floats, n: Floats, level: Floats) -> Floats:
    """The x at which the mean of `exp(start)` / (1 - SHARE x)^n is 1/level, rounded up; at most 1.

    `start` is the log of each term at x = 0 [..., terms], `n` are the trials [..., 1].
    """
    goal = -np.log(level) + SLACK * (n[..., 0] + 10)
    # log M is above each of its terms, so the root lies below the point where the first term reaches the goal
    x = np.minimum((-np.expm1((start - goal[..., None]) / n) / SHARE).min(-1), 1.0)
    for _ in range(40):  # log M is convex: Newton's steps stay above the root, so each is a bound
        left = np.maximum(1 - SHARE * x[..., None], 1e-300)
        terms = start - n * np.log(left)
        top = terms.max(-1)
        parts = np.exp(terms - top[..., None])
        total = parts.sum(-1)
        step = (top + np.log(total) - goal) / ((parts * n * SHARE / left).sum(-1) / total)
        x = x - np.maximum(step, 0.0)
        if np.all(step <= 1e-13 * np.abs(x)):
            break
    return np.minimum(x + 1e-14 * np.abs(x), 1.0)  # type: ignore[no-any-return]


def lower(events: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """Lower bounds that hold for all numbers of trials at once: 1 - the upper bound of the non-events."""
    f, n = np.asarray(events, np.float64), np.asarray(trials, np.float64)
    return np.maximum(np.nextafter(1 - upper(n - f, n, alpha), -1), 0.0)


def least_trials(bound: float, alpha: float) -> float:
    """The number of trials without an event that lowers `upper` to `bound`: a whole number, or infinity
    beyond 1e15.
    """
    if bound < 1e-14:
        return np.inf
    fewest, most = (np.log(alpha) + np.array([0.0, LOG_WEIGHT[0]])) / np.log1p(-bound)
    candidates = range(max(int(fewest), 1), int(most) + 2)
    return candidates[bisect_left(candidates, True, key=lambda n: bool(upper(0, n, alpha) <= bound))]
