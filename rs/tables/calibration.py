"""The table `calibration`: the radius to which a run's inner maximisation is calibrated (NAL, eq. 8)."""

from __future__ import annotations

from collections.abc import Iterator

from rs.plan.calibrated import read_calibration
from rs.tables.noise import NOISE, trained_with
from rs.tables.stored import Stored, head
from rs.tables.table import Row, Table

_READINGS = tuple(
    f"{quantity}_{cost}{error}"
    for quantity in ("rho", "epsilon")
    for cost in ("with_noise", "without_noise", "reused_noise")
    for error in ("", "_se")
)
_MEASURED = ("gamma", "images", "noise_in_cost", *_READINGS)


def rows(stored: Stored) -> Iterator[Row]:
    for planned in stored.plan.runs:
        if planned.calibration:
            calibration = read_calibration(planned.calibration)
            measured = {key: value for key, value in calibration.items() if key in _MEASURED}
            yield {**head(planned), **trained_with(planned.spec["noise"]), **measured}


TABLE = Table("calibration", ("run", "label", *NOISE, *_MEASURED), rows)
