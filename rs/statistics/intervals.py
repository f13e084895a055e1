"""Confidence intervals in tables: Wilson for accuracies; for averages Student t, or an exact one where all
values are equal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from rs.statistics.bounds import Floats, checked_counts, least_upper


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Two-sided Wilson score interval for an accuracy in a table (approximate coverage)."""
    k, n = checked_counts(successes, trials)
    z = special.ndtri(0.5 + confidence / 2)
    centre = (k + z * z / 2) / (n + z * z)
    half = z * np.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    # the interval touches 0 and 1 exactly at the ends
    return np.where(k == 0, 0.0, np.maximum(centre - half, 0)), np.where(
        k == n, 1.0, np.minimum(centre + half, 1)
    )


def shares_at_least(
    values: ArrayLike, levels: ArrayLike, factor: float = 1.0
) -> tuple[Floats, Floats, Floats]:
    """Share of the `values` [N] that are at least each of the `levels` [R], and both ends of its 95 % Wilson
    interval, [R] each; all times `factor`.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    hits = len(ordered) - np.searchsorted(ordered, np.asarray(levels, np.float64), side="left")
    low, high = wilson_interval(hits, np.full(len(hits), len(ordered)))
    return factor * (hits / len(ordered)), factor * low, factor * high


def standard_error(values: ArrayLike) -> float:
    """Standard error of a mean of independent values; nan for a single value, exactly 0 for equal ones."""
    v = np.asarray(values, np.float64)
    if v.size < 2:
        return float("nan")
    return 0.0 if v.min() == v.max() else float(v.std(ddof=1) / np.sqrt(v.size))


def capped(largest: float, values: ArrayLike) -> float:
    """The largest possible mean of these values, if each is at most `largest` (NaN: not known). Infinite if a
    value lies above `largest`, as estimates may.
    """
    known = np.max(np.asarray(values, np.float64), initial=-np.inf) <= largest * (1 + 1e-12)
    return largest if known else np.inf


def equal_values_interval(
    value: float, n: int, confidence: float = 0.95, least: float = -np.inf, most: float = np.inf
) -> tuple[float, float]:
    """Interval of the mean of a law on [least, most], of which `n` independent values all equal `value`.

    An end is NaN where its end of the range is infinite. Let u = 1 - (alpha / 2)^(1 / n) with alpha = 1 -
    confidence. If values below c have probability p, the mean is at least c - p (c - least), so the lower
    end c - u (c - least) exceeds the mean only if p > u. Of the c for which this is so, all lie at or above
    the smallest one; values that all do so have probability (1 - p)^n < alpha / 2. The same holds upwards.
    So the values are equal and their interval misses the mean with probability at most alpha. That is no
    level given that they are equal, and nothing is said of values that nearly are.
    """
    unseen = float(least_upper(n, (1 - confidence) / 2))
    low = value - unseen * (value - least) if np.isfinite(least) else float("nan")
    high = value + unseen * (max(most, value) - value) if np.isfinite(most) else float("nan")
    return low, high


def t_interval(
    values: ArrayLike, confidence: float = 0.95, least: float = -np.inf, most: float = np.inf
) -> tuple[float, float, float]:
    """Mean and two-sided Student t interval, as tables give it for an average certified radius, cut to the
    range of possible means. For few values the interval exceeds this range; cutting it excludes no possible
    mean that it covers. A difference of two means needs the uncut intervals: use their standard errors.

    Equal values have no spread from which Student's interval takes its width; theirs is
    `equal_values_interval`, so an end is NaN where the range has none.
    """
    v = np.asarray(values, np.float64)
    if v.size == 0:
        raise ValueError("mean of no values")
    mean = float(v.mean())
    if v.size == 1:
        return mean, float("nan"), float("nan")
    if v.min() == v.max():
        return float(v[0]), *equal_values_interval(float(v[0]), v.size, confidence, least, most)
    half = float(stats.t.ppf(0.5 + confidence / 2, v.size - 1)) * standard_error(v)
    return mean, max(mean - half, least), min(mean + half, most)
