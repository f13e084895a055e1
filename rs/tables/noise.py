"""The columns that tell a noise: as data, and in one line for people. No torch."""

from __future__ import annotations

from typing import Any

from rs.plan.jobs import describe
from rs.provenance.digests import dumps
from rs.study.schema import noise_level
from rs.tables.table import Row

# Of training: the family; its level, under whichever name it has there; what the study says of it, as JSON.
NOISE = ("noise", "noise_level", "noise_parameters")
# Of smoothing: the same, after all of it in one line.
SMOOTHING = ("smoothing", "smoothing_name", "smoothing_level", "smoothing_parameters")


def trained_with(noise: dict[str, Any]) -> Row:
    """The columns of NOISE."""
    return dict(zip(NOISE, _told(noise), strict=True))


def smoothed_with(noise: dict[str, Any]) -> Row:
    """The columns of SMOOTHING."""
    return dict(zip(SMOOTHING, (describe(noise), *_told(noise)), strict=True))


def _told(noise: dict[str, Any]) -> tuple[str, float, str]:
    parameters = {key: value for key, value in noise.items() if key != "name"}
    return noise["name"], noise_level(noise), dumps(parameters)
