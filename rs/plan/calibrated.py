"""Epsilons that are calibrated on one run and used to train another. No torch."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs.errors import UserError
from rs.provenance.files import ADVICE, read_json
from rs.provenance.reading import is_number
from rs.settings.limits import LARGEST
from rs.settings.training import Calibrated

if TYPE_CHECKING:
    from rs.methods.interfaces import Objective


def read_calibration(path: Path) -> dict[str, Any]:
    """The measurements of a calibrate job. Raises UserError where an epsilon is not the root of its rho.

    Calibrations of older code lack the reading with reused noise.
    """
    calibration = read_json(path)
    for cost in ("with_noise", "without_noise", "reused_noise"):
        keys = (f"rho_{cost}", f"epsilon_{cost}")
        if cost == "reused_noise" and not any(key in calibration for key in keys):
            continue
        for key in keys:
            if not isinstance(calibration, dict) or key not in calibration:
                raise UserError(f"{path}: lacks {key}: not a calibration; {ADVICE}")
            value = calibration[key]
            if not is_number(value) or not 0 <= value < math.inf:
                raise UserError(f"{path}: {key} is {value}; allowed finite numbers from 0; {ADVICE}")
        rho, epsilon = (calibration[key] for key in keys)
        if not math.isclose(epsilon, math.sqrt(rho), rel_tol=1e-9):
            raise UserError(f"{path}: epsilon_{cost} {epsilon:g} is not the root of {rho:g}; {ADVICE}")
    return dict(calibration)


def calibrated_epsilon(path: Path, reference: str, cost: str, dimension: int) -> float:
    """The epsilon that another run's training refers to (`reference`: run and settings, as run/digest).

    Raises UserError for the calibration of another run or of other settings, for one without this reading of
    the `cost`, and for an epsilon above the largest distance of two images of `dimension` coordinates in
    [0, 1].
    """
    calibration = read_calibration(path)
    provenance = calibration.get("provenance")
    run, _, settings = reference.rpartition("/")
    if (
        not isinstance(provenance, dict)
        or provenance.get("spec_digest") != settings
        or provenance.get("run", run) != run
    ):
        raise UserError(f"{path}: is not the calibration {reference}; {ADVICE}")
    if f"epsilon_{cost}" not in calibration:
        raise UserError(f"{path}: lacks epsilon_{cost}: calibrated by older code; {ADVICE}")
    largest = math.sqrt(dimension)
    far, epsilon = calibration["epsilon_without_noise"], float(calibration[f"epsilon_{cost}"])
    if far > largest or epsilon > LARGEST:
        problem = f"epsilon {max(far, epsilon):g} is larger than any image ({largest:g})"
        raise UserError(f"{path}: {problem}: it does not come from images")
    return epsilon


def resolve_epsilon(
    objective: Objective, calibrations: dict[str, Path], dimension: int
) -> tuple[Objective, dict[str, float]]:
    """The objective with its references replaced by numbers calibrated on images of `dimension` coordinates,
    and these numbers by parameter.
    """
    resolved = {}
    for field in dataclasses.fields(objective):  # type: ignore[arg-type]
        value = getattr(objective, field.name)
        if isinstance(value, Calibrated):
            reference = (calibrations[field.name], value.calibrated, value.cost)
            resolved[field.name] = calibrated_epsilon(*reference, dimension)
    return dataclasses.replace(objective, **resolved), resolved  # type: ignore[type-var]
