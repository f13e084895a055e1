"""Confidence bounds for binomial proportions and means, and their safe rounding. No torch.

Every bound is one-sided at error `alpha` unless its name says otherwise, float64, and valid in finite samples
except where stated (Wilson and t intervals describe test-set accuracies in tables; no certificate uses them).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Floats = NDArray[np.float64]

# betaincinv is accurate to a few units in the last place; moving every bound outwards by this relative amount
# keeps a rounding error in the library from ever making a bound too good.
_SAFETY = 1e-13


def _counts(successes: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    if np.any(n < 1) or np.any(k < 0) or np.any(k > n):
        raise ValueError("counts: need 0 <= successes <= trials and trials >= 1")
    return k, n


def _check_alpha(alpha: ArrayLike) -> Floats:
    a = np.asarray(alpha, np.float64)
    if np.any(~((a > 0) & (a < 1))):
        raise ValueError(f"alpha = {alpha}: must lie strictly between 0 and 1")
    return a


def clopper_pearson_lower(successes: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """Exact lower bound p with P(p <= true p) >= 1 - alpha (Clopper & Pearson 1934); 0 for no success."""
    k, n = _counts(successes, trials)
    a = _check_alpha(alpha)
    bound = special.betaincinv(np.maximum(k, 1.0), n - k + 1.0, a)
    return np.where(k > 0, bound * (1 - _SAFETY), 0.0)


def clopper_pearson_upper(successes: ArrayLike, trials: ArrayLike, alpha: ArrayLike) -> Floats:
    """Exact upper bound p with P(p >= true p) >= 1 - alpha; 1 where every trial succeeds."""
    k, n = _counts(successes, trials)
    a = _check_alpha(alpha)
    # betainccinv keeps the digits of a bound near 0 that 1 - lower would lose.
    bound = special.betainccinv(k + 1.0, np.maximum(n - k, 1.0), a)
    return np.where(k < n, np.minimum(bound * (1 + _SAFETY), 1.0), 1.0)


def wilson_interval(successes: ArrayLike, trials: ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Two-sided Wilson score interval for an accuracy in a table (approximate coverage)."""
    k, n = _counts(successes, trials)
    z = special.ndtri(0.5 + confidence / 2)
    centre = (k + z * z / 2) / (n + z * z)
    half = z * np.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    # the interval touches 0 and 1 exactly at the ends
    return np.where(k == 0, 0.0, np.maximum(centre - half, 0)), np.where(k == n, 1.0, np.minimum(centre + half, 1))


def t_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean and two-sided Student t interval, as tables give it for an average certified radius."""
    v = np.asarray(values, np.float64)
    if v.size == 0:
        raise ValueError("mean of no values")
    mean = float(v.mean())
    if v.size == 1:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.5 + confidence / 2, v.size - 1) * v.std(ddof=1) / np.sqrt(v.size))
    return mean, mean - half, mean + half
