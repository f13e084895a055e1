"""The table `calibration`: the radius to which a run's inner maximisation is calibrated (NAL, eq. 8)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from rs.errors import UserError
from rs.plan.calibrated import read_calibration
from rs.provenance.files import ADVICE
from rs.provenance.reading import is_number
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
            check_reused(planned.calibration, calibration)
            measured = {key: value for key, value in calibration.items() if key in _MEASURED}
            yield {**head(planned), **trained_with(planned.spec["noise"]), **measured}


def check_reused(path: Path, calibration: Row) -> None:
    """Raises UserError for an invalid measurement with reused noise. No training uses it alone."""
    values = [calibration[key] for key in ("rho_reused_noise", "epsilon_reused_noise") if key in calibration]
    numbers = all(is_number(v) and 0 <= v < math.inf for v in values)
    if values and not (
        numbers and len(values) == 2 and math.isclose(values[1], math.sqrt(values[0]), rel_tol=1e-9)
    ):
        raise UserError(
            f"{path}: epsilon_reused_noise is not the root of rho_reused_noise: {values}; {ADVICE}"
        )


TABLE = Table("calibration", ("run", "label", *NOISE, *_MEASURED), rows)
