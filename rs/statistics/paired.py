"""Differences of two classifiers that were observed on the same images, or on shared training seeds.

Every function takes the values of A and B, image by image, and returns `Difference`: A minus B with a
two-sided interval, the p-value of "no difference" and that of "the difference is a margin or more" (two
one-sided tests, Schuirmann 1987). Calibration by simulation: docs/evidence/comparisons.md.

Sources and departures:
- means: Student's t, with Hall's (1992, J. R. Stat. Soc. B 54, 221) cubic transformation against skewness.
  Two differences of the size of the others' root mean square, one of each sign, are added to the sum of
  squares (as Agresti and Min 2005 add pairs to a table). The degrees of freedom are those that the kurtosis
  leaves to a variance, 2 n / (kurtosis - 1) (Box 1953). Without these, intervals are too short by half for
  samples in which few images differ; where all differ, they change nothing noticeable.
- proportions: exact McNemar test (binomial on the discordant pairs); interval and equivalence by the score
  test of Tango (1998, Stat. Med. 17, 891). The exact test is the more cautious of the two.
- medians: Bonett and Price (2020, Br. J. Math. Stat. Psychol. 73, 97): order statistics give each median's
  standard error, the indicators of being at most the median their correlation. They assume that half of the
  images lie below. But many radii are equal (0, or the most that n votes certify), so here the correlation is
  that of the observed indicators, with one image of either kind of disagreement added: two networks whose
  medians lie at the same image are not known to agree. If the order statistics of both are equal too, there
  is no standard error, but no certainty either. The interval is then the difference of exact ones of order
  statistics, and the p-value is the chance, by the sign test, that either median is another value.
- training seeds: t over seeds, of differences if A and B share at least three seeds, else Welch's. Equal
  values do not prove that seeds do not matter: their spread is at least what one image in one seed makes, as
  in rs.statistics.agreement. If that is unknown too, there is no interval and no test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from rs.statistics.agreement import FEWEST_SEEDS, seeds_of
from rs.statistics.bounds import Floats

_HALVINGS = 60  # of the interval [-1, 1] in which an end of a score interval lies


@dataclass(frozen=True)
class Difference:
    """A minus B. NaN where nothing can be said: the interval from one image, equivalence without a margin."""

    value: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    equivalence: float = math.nan


def of_means(
    a: ArrayLike,
    b: ArrayLike,
    level: float = 0.95,
    margin: float | None = None,
    largest: float | None = None,
) -> Difference:
    """Difference of the means of `a` and `b`, [N] each: radii, or the share of several networks that are
    right.

    `largest` is the largest possible value (1 for shares); by default, the largest observed.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    d = first - second
    n, value = d.size, float(d.mean())
    if n < 2:
        return Difference(value)
    apart = d[d != 0]
    # without any difference, assume that one image could have differed by the largest value
    if largest is None:
        largest = float(max(np.abs(first).max(), np.abs(second).max()))
    added = float((apart**2).mean()) if apart.size else largest**2
    centred = np.append(d - value, [math.sqrt(added), -math.sqrt(added)])
    squares = float((centred**2).sum())
    if squares == 0:  # both are 0 everywhere: nothing tells how large a difference could be
        return Difference(value, p=1.0)
    deviation = math.sqrt(squares / (n - 1))
    error = deviation / math.sqrt(n)
    skewness = float(((d - value) ** 3).mean()) / deviation**3 / math.sqrt(n)
    kurtosis = float((centred**4).mean()) / float((centred**2).mean()) ** 2
    freedom = min(n - 1.0, 2 * n / max(kurtosis - 1, 1e-12))

    def tail(t: float) -> float:
        return float(special.stdtr(freedom, -t))

    quantile = float(special.stdtrit(freedom, 0.5 + level / 2))
    low, high = (value - _unskewed(q, skewness) * error for q in (quantile, -quantile))
    p = min(1.0, 2 * tail(abs(_skewed(value / error, skewness))))
    below = above = math.nan
    if margin is not None:
        below = tail(_skewed((value + margin) / error, skewness))
        above = tail(-_skewed((value - margin) / error, skewness))
    return Difference(value, low, high, p, max(below, above))


def _skewed(t: float, skewness: float) -> float:
    """Hall's transformation of a t statistic, which brings its law nearer to Student's."""
    return t + skewness / 3 * t**2 + skewness**2 / 27 * t**3 + skewness / 6


def _unskewed(x: float, skewness: float) -> float:
    """The inverse of `_skewed`."""
    if abs(skewness) < 1e-9:
        return x
    return 3 / skewness * float(np.cbrt(1 + skewness * (x - skewness / 6)) - 1)


def of_proportions(
    only_a: ArrayLike, only_b: ArrayLike, n: int, level: float = 0.95, margin: float | None = None
) -> list[Difference]:
    """Differences of the shares of `n` images on which A and B are right, one for each pair of counts of
    images on which only A and only B is right.
    """
    b, c = np.atleast_1d(np.asarray(only_a, np.float64)), np.atleast_1d(np.asarray(only_b, np.float64))
    p = np.minimum(2 * stats.binom.cdf(np.minimum(b, c), b + c, 0.5), 1.0)
    low, high = score_interval(b, c, n, level)
    equivalence = np.full(len(b), np.nan)
    if margin is not None:
        off = np.full(len(b), min(margin, 1.0))
        equivalence = np.maximum(special.ndtr(-_score(b, c, n, -off)), special.ndtr(_score(b, c, n, off)))
    rows = np.stack([(b - c) / n, low, high, p, equivalence], axis=1)
    return [Difference(*map(float, row)) for row in rows]


def score_interval(only_a: Floats, only_b: Floats, n: int, level: float) -> tuple[Floats, Floats]:
    """Tango's interval: the differences that the score test does not reject, found by bisection."""
    z = float(special.ndtri(0.5 + level / 2))
    estimate = (only_a - only_b) / n
    ends = []
    for sign in (1.0, -1.0):
        inside, outside = estimate.copy(), np.full_like(estimate, -sign)
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            kept = sign * _score(only_a, only_b, n, middle) <= z
            inside, outside = np.where(kept, middle, inside), np.where(kept, outside, middle)
        ends.append(outside)
    return ends[0], ends[1]


def _score(b: Floats, c: Floats, n: int, difference: Floats) -> Floats:
    """Score statistic of H0: the difference is `difference`. Falls as `difference` rises.

    With q the likeliest share of "only B" under H0, the root of 2n q^2 - (b + c - (2n - b + c) d) q - c d
    (1 - d) = 0, the difference's variance is (2q + d (1 - d)) / n.
    """
    linear = -b - c + (2 * n - b + c) * difference
    constant = -c * difference * (1 - difference)
    q = (np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0)) - linear) / (4 * n)
    variance = np.maximum(n * (2 * q + difference * (1 - difference)), 0)
    excess = b - c - n * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = excess / np.sqrt(variance)
    certain = np.where(np.abs(excess) > 1e-9, np.copysign(np.inf, excess), 0.0)
    return np.where(variance > 1e-12, statistic, certain)


def of_medians(a: ArrayLike, b: ArrayLike, level: float = 0.95, margin: float | None = None) -> Difference:
    """Difference of the medians of `a` and `b`, [N] each."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    (m_a, s_a), (m_b, s_b) = _median(first), _median(second)
    value = m_a - m_b
    if first.size < 2:
        return Difference(value)
    below = np.concatenate([np.stack([first <= m_a, second <= m_b]), np.eye(2, dtype=bool)], axis=1)
    correlation = float(np.asarray(np.corrcoef(below))[0, 1])
    error = math.sqrt(max(s_a**2 + s_b**2 - 2 * correlation * s_a * s_b, 0.0))
    if error == 0:
        return _of_atoms(first, second, value, level, margin)
    half = float(special.ndtri(0.5 + level / 2)) * error
    equivalence = math.nan if margin is None else _above((margin - abs(value)), error)
    return Difference(value, value - half, value + half, min(1.0, 2 * _above(abs(value), error)), equivalence)


def _median(values: Floats) -> tuple[float, float]:
    """The median and its standard error from two order statistics (Price and Bonett 2001)."""
    n, ordered = values.size, np.sort(values)
    rank = max(1, round((n + 1) / 2 - math.sqrt(n)))
    z = -float(special.ndtri(stats.binom.cdf(rank - 1, n, 0.5)))
    width = float(ordered[n - rank] - ordered[rank - 1])
    return float(np.median(values)), width / (2 * z) if z > 0 else math.nan


def _above(distance: float, error: float) -> float:
    """Normal tail beyond `distance` at standard error `error`."""
    return float(special.ndtr(-distance / error))


def _of_atoms(first: Floats, second: Floats, value: float, level: float, margin: float | None) -> Difference:
    """Difference of medians amid equal values, from the exact interval of each side."""
    (low_a, high_a, p_a), (low_b, high_b, p_b) = (_atom(v, (1 - level) / 2) for v in (first, second))
    other = min(p_a + p_b, 1.0)  # for "either median is another value"
    equivalence = math.nan
    if margin is not None:
        equivalence = other if abs(value) < margin else 1.0
    return Difference(value, low_a - high_b, high_a - low_b, other if value else 1.0, equivalence)


def _atom(values: Floats, alpha: float) -> tuple[float, float, float]:
    """An exact interval of the median by order statistics, and the p-value of "the median is another
    value".
    """
    n, ordered, median = values.size, np.sort(values), float(np.median(values))
    out = int(stats.binom.ppf(alpha / 2, n, 0.5))  # number that may lie outside on each side
    low, high = (float(ordered[out - 1]), float(ordered[n - out])) if out else (math.nan, math.nan)
    others = [int((values < median).sum()), int((values > median).sum())]
    return low, high, float(np.sum(stats.binom.cdf(others, n, 0.5)))


def over_seeds(
    a: dict[int | None, float],
    b: dict[int | None, float],
    level: float = 0.95,
    margin: float | None = None,
    resolution: float = 0.0,
) -> tuple[Difference, int]:
    """Difference of the values of A and B from training with each seed, on the same images; and the number of
    seeds. `resolution` is how much one image moves a value (1 / images for an accuracy).

    Fewer than three seeds, or an unknown spread, leave a difference without an interval.
    """
    shared = [seed for seed in a if seed in b and seed is not None]
    if len(shared) >= FEWEST_SEEDS:
        d = np.array([a[seed] - b[seed] for seed in shared])
        variance, freedom, seeds = _variance(d, resolution), float(len(d) - 1), len(d)
        value = float(d.mean())
    else:
        first, second = np.array(list(a.values())), np.array(list(b.values()))
        value, seeds = float(first.mean() - second.mean()), min(len(first), len(second))
        if seeds < FEWEST_SEEDS:
            return Difference(value), seeds
        parts = [_variance(v, resolution) for v in (first, second)]
        variance, most = sum(parts), len(first) + len(second) - 2.0
        below = sum(part**2 / (len(v) - 1) for part, v in zip(parts, (first, second), strict=True))
        freedom = variance**2 / below if below > 0 else most
    if math.isnan(variance):
        return Difference(value), seeds
    return _student(value, math.sqrt(variance), freedom, level, margin), seeds


def _variance(values: Floats, resolution: float) -> float:
    """Variance of the mean of at least three seeds' values."""
    return seeds_of(values.tolist(), resolution).spread ** 2 / len(values)


def _student(value: float, error: float, freedom: float, level: float, margin: float | None) -> Difference:
    def tail(distance: float) -> float:
        return float(special.stdtr(freedom, -distance / error))

    half = float(special.stdtrit(freedom, 0.5 + level / 2)) * error
    equivalence = math.nan if margin is None else tail(margin - abs(value))
    return Difference(value, value - half, value + half, min(1.0, 2 * tail(abs(value))), equivalence)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values. NaN, where there was no test, stays and does not count."""
    values = np.asarray(p, np.float64)
    out = np.full(values.size, np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    raised = values[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return [float(value) for value in out]


def verdict(difference: Difference, adjusted: float, equivalence: float, level: float = 0.95) -> str:
    """`equivalent` if both one-sided tests place the difference within the margin; else `better` or `worse`
    if A and B differ (all after adjustment); else `undecided`.
    """
    alpha = 1 - level + 1e-12
    if equivalence <= alpha:
        return "equivalent"
    if adjusted <= alpha and difference.value != 0:
        return "better" if difference.value > 0 else "worse"
    return "undecided"
