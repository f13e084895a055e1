"""The columns that describe a noise, as data and as one line of text. No torch."""

from __future__ import annotations

from typing import Any

from rs.provenance.digests import canonical, dumps
from rs.settings.labels import describe
from rs.study.schema import method_schema, noise_level, prune
from rs.tables.table import Row

# Of training: the family; its level, whatever the parameter's name; the study's parameters as JSON.
NOISE = ("noise", "noise_level", "noise_parameters")
# Of smoothing: the whole noise in one line, then the same columns.
SMOOTHING = ("smoothing", "smoothing_name", "smoothing_level", "smoothing_parameters")


def trained_with(noise: dict[str, Any]) -> Row:
    """The columns of NOISE."""
    return dict(zip(NOISE, _parts(noise), strict=True))


def smoothed_with(noise: dict[str, Any]) -> Row:
    """The columns of SMOOTHING."""
    return dict(zip(SMOOTHING, (describe(noise), *_parts(noise)), strict=True))


def stated(noise: dict[str, Any]) -> str:
    """The noise in one line as a study has it, where its defaults are left out and 1.0 is 1."""
    return describe(canonical(prune(noise, method_schema("noises", noise["name"]))))


def _parts(noise: dict[str, Any]) -> tuple[str, float, str]:
    parameters = {key: value for key, value in noise.items() if key != "name"}
    return noise["name"], noise_level(noise), dumps(parameters)
