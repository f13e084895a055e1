"""The images of a certification log as rows of a table, and claims as a log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rs.errors import UserError
from rs.study.certification_log import Log, write_log

_OTHERS = (".parquet", ".csv", ".gz")


def images(log: Log) -> dict[str, np.ndarray]:
    """One entry per image, [N], under the column names of certified files."""
    return {"image": log.idx, "label": log.label, "prediction": log.predict, "radius": log.radius}


def check_name(path: Path, where: str) -> None:
    """Raises UserError for the name of another kind of file."""
    if path.suffix in _OTHERS:
        raise UserError(f"{where} {path}: a log is tab-separated text; name it .tsv")


def write(path: Path, claims: Mapping[str, np.ndarray]) -> None:
    """Writes claims, with the columns of `images`, as a log. Radii keep all their digits; times are 0."""
    image, label, prediction, radius = (claims[k] for k in ("image", "label", "prediction", "radius"))
    write_log(path, Log(image, label, prediction, radius, prediction == label, np.zeros(len(image))))
