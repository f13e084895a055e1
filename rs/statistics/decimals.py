"""Rounding down to decimals: what is shown of a certified radius is never above it, and a number of few
digits stays itself. In binary, 0.57 * 100 is below 57 and the number just below 0.9, times 10, is 9.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rs.statistics.bounds import Floats


def units_below(values: ArrayLike, scale: int) -> Floats:
    """How many whole units of 1 / scale each value holds, nan and infinities stay as they are."""
    numbers = np.asarray(values, np.float64)
    units = np.floor(numbers * scale)
    with np.errstate(invalid="ignore"):  # nan
        units = units + ((units + 1) / scale <= numbers)
        whole: Floats = units - (units / scale > numbers)
    return whole


def floored(value: float, digits: int) -> float:
    """The value rounded down to this many decimals."""
    scale: int = 10**digits
    return float(units_below(value, scale)) / scale


def ceiled(value: float, digits: int) -> float:
    """The value rounded up to this many decimals."""
    return -floored(-value, digits) + 0.0  # 0, not -0
