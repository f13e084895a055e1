"""Which radii votes can give. With one exact bound of p_A from n votes at alpha, sigma Phi^-1(p_A) takes one
value for each number of votes for other classes, and no other value. No torch.

Whether the last digit of a printed radius was rounded down is unknown, so it may stand for any value within
one unit of it.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from rs.statistics.bounds import Floats, clopper_pearson_upper

MOST = 10**12  # votes; exact as float64
_SLACK = 1e-7  # relative error of others' libraries


def radius_of(failures: np.ndarray, n: int, alpha: float) -> Floats:
    """Cohen et al.'s radius at sigma = 1 for `failures` votes for other classes; below 0 where it
    abstains.
    """
    return np.asarray(-special.ndtri(clopper_pearson_upper(failures, n, alpha)))


def largest(n: int, alpha: float, sigma: float = 1.0) -> float:
    """The radius from n unanimous votes."""
    return sigma * float(radius_of(np.array([0]), n, alpha)[0])


def least_alpha(radius: float, n: int) -> float:
    """The least error rate at which n unanimous votes give this radius at sigma = 1: p_A^n."""
    return float(np.exp(n * special.log_ndtr(radius)))


def within(radius: Floats, unit: Floats, n: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether votes give, at sigma = 1, a radius less than a unit away from each of `radius` [N], and whether
    they give one that is also not below it.
    """
    slack = _SLACK * np.abs(radius)
    return _any_in(radius - unit, radius + unit, slack, n, alpha), _any_in(
        radius, radius + unit, slack, n, alpha
    )


def _any_in(low: Floats, high: Floats, slack: Floats, n: int, alpha: float) -> np.ndarray:
    """Whether a radius of votes lies between the ends; tests the least radius that is not below `low`."""
    few, many = np.zeros(len(low), np.int64), np.full(len(low), n, np.int64)  # failures lower the radius
    for _ in range(int(n).bit_length() + 1):
        middle = (few + many + 1) // 2
        enough = radius_of(middle, n, alpha) >= low - slack
        few, many = np.where(enough, middle, few), np.where(enough, many, middle - 1)
    found = radius_of(few, n, alpha)
    return (found >= low - slack) & (found <= high + slack)
