"""Numbers rounded down and up to decimals, beside exact arithmetic on their shortest decimals."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
import pytest

from rs.api.lower_bounds import shown
from rs.statistics.decimals import ceiled, floored, units_below

DRAWN = np.random.default_rng(0).uniform(-20, 20, 300)
SHORT = np.arange(-3000, 3000, 7) / 1000
BESIDE = np.nextafter(SHORT, np.inf), np.nextafter(SHORT, -np.inf)


@pytest.mark.parametrize("digits", [0, 1, 3, 4, 5])
def test_as_decimal_arithmetic_has_it(digits: int) -> None:
    unit = Decimal(1).scaleb(-digits)
    for value in np.concatenate([DRAWN, SHORT, *BESIDE]).tolist():
        exact = Decimal(repr(value))
        assert floored(value, digits) == float(exact.quantize(unit, ROUND_FLOOR))
        assert ceiled(value, digits) == float(exact.quantize(unit, ROUND_CEILING))


def test_what_is_no_number_stays_itself() -> None:
    values = units_below([math.nan, math.inf, -math.inf, -0.0], 1000)
    np.testing.assert_array_equal(values, [math.nan, math.inf, -math.inf, 0.0])
    assert math.copysign(1, ceiled(-0.0001, 3)) == 1


def test_a_radius_is_never_shown_above_itself_however_large() -> None:
    assert [shown(radius) for radius in (0.57, 123.45678, 0.69999, math.nan)] == [
        *("0.57", "123.4567", "0.6999", "nan")
    ]
