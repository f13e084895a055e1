"""The table of calibrations takes no reading that cannot be."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pytest

from rs.errors import UserError
from rs.tables.calibration import check_reused


@pytest.mark.parametrize(
    ("found", "good"),
    [
        ({}, True),  # calibrated before there was this reading
        ({"rho_reused_noise": 4.0, "epsilon_reused_noise": 2.0}, True),
        ({"rho_reused_noise": 4.0, "epsilon_reused_noise": 4.0}, False),
        ({"rho_reused_noise": 4.0}, False),
        ({"rho_reused_noise": math.nan, "epsilon_reused_noise": math.nan}, False),
        ({"rho_reused_noise": "4", "epsilon_reused_noise": 2.0}, False),
    ],
)
def test_the_reading_with_reused_noise_is_looked_at_too(found, good):
    with (
        contextlib.nullcontext() if good else pytest.raises(UserError, match=r"c.json: epsilon_reused_noise")
    ):
        check_reused(Path("c.json"), found)
