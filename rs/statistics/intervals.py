"""Confidence intervals in tables: Wilson for accuracies, Student t for averages."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from rs.statistics.bounds import Floats, checked_counts


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
    """Standard error of a mean of independent values; nan for a single value."""
    v = np.asarray(values, np.float64)
    return float(v.std(ddof=1) / np.sqrt(v.size)) if v.size > 1 else float("nan")


def capped(largest: float, values: ArrayLike) -> float:
    """The largest possible mean of these values, if each is at most `largest` (NaN: not known). Infinite if a
    value lies above `largest`, as estimates may.
    """
    known = np.max(np.asarray(values, np.float64), initial=-np.inf) <= largest * (1 + 1e-12)
    return largest if known else np.inf


def t_interval(
    values: ArrayLike, confidence: float = 0.95, least: float = -np.inf, most: float = np.inf
) -> tuple[float, float, float]:
    """Mean and two-sided Student t interval, as tables give it for an average certified radius, cut to the
    range of possible means. For few values the interval exceeds this range; cutting it excludes no possible
    mean that it covers. A difference of two means needs the uncut intervals: use their standard errors.
    """
    v = np.asarray(values, np.float64)
    if v.size == 0:
        raise ValueError("mean of no values")
    mean = float(v.mean())
    if v.size == 1:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.5 + confidence / 2, v.size - 1)) * standard_error(v)
    return mean, max(mean - half, least), min(mean + half, most)
