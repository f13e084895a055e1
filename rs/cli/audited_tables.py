"""Reads what `rs audit` checks in a Parquet file: certified radii of rs or as `rs import-log` writes them,
and a study's tables on certified accuracy and average certified radius.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rs.errors import UserError, plural
from rs.provenance.files import ADVICE, read_table
from rs.provenance.reading import is_number
from rs.provenance.run_files import Rules, check_values
from rs.settings.images import Subset
from rs.settings.limits import MOST_IMAGES, is_level
from rs.statistics.attainable import MOST
from rs.study.certification_log import Log
from rs.study.log_audit import Finding, Stated, named
from rs.study.messages import short

IMAGES = ("image", "label", "prediction", "radius")
CURVE = ("certified_accuracy", "radius", "low", "high")
AVERAGE = ("acr", "low", "high")
AUDITED = ("certified_accuracy", "radius_accuracy", "average_certified_radius")  # of a study's tables
CLAIM = ("run", "label", "smoothing", "certificate")
_WHOLE, _NUMBER, _EITHER = (True, None, math.inf), (False, None, math.inf), (True, 0.0, 1.0)
# Columns needed in every row, and columns that some rows may lack; impossible numbers are findings, not
# faults.
_EVERY: Rules = {"rigorous": _EITHER, "n": _WHOLE, "alpha": _NUMBER}
_OF_IMAGES: Rules = {**dict.fromkeys(IMAGES[:3], _WHOLE), "radius": _NUMBER, **_EVERY}
_OF_CURVE: Rules = {**dict.fromkeys(CURVE[:2], _NUMBER), "rigorous": _EITHER}
_OF_AVERAGE: Rules = {"acr": _NUMBER, "rigorous": _EITHER}
_OF_VOTES = {"n": (1, MOST), "alpha": (0, math.nextafter(1, 0))}  # the least and the largest
_SOME: Rules = dict.fromkeys(("low", "high", "largest_radius"), _NUMBER)


@dataclass(frozen=True)
class Subject:
    """A subject of the audit: `log` is None for a table that has no images."""

    name: str
    log: Log | None
    seen: Sequence[Finding]  # while it was read
    stated: Stated
    like: str = "log"  # compared only with subjects of the same kind: a log's import is no second log
    file: Path | None = None
    other: str = ""  # the origin of its radii, where that is not CERTIFY under Gaussian noise
    network: str = ""  # digest of the weights, where the file names it


class NothingToAudit(UserError):
    """A study's table of other numbers than radii and accuracies: no fault beside tables of these."""


def subjects(path: Path) -> Iterator[Subject]:
    """Every log or certificate of the file. Raises NothingToAudit for another table of a study, UserError for
    other tables, one without rows, or one with a needed column that does not hold numbers.
    """
    table, provenance = read_table(path)
    spec = provenance.get("spec")
    if isinstance(spec, dict) and spec.get("table", AUDITED[0]) not in AUDITED:
        raise NothingToAudit(f"{path}: the table {spec['table']} of a study; nothing to audit")
    frame = table.to_pandas()
    if set(IMAGES) <= set(frame.columns):
        _check(path, frame, _OF_IMAGES)
        by = next((column for column in ("log", "certificate") if column in frame), None)
        if by and frame[by].isna().any():
            row = int(np.flatnonzero(frame[by].isna())[0])
            raise UserError(f"{path}: row {row}: {by} is empty; allowed a name")
        groups = frame.groupby(by, sort=False) if by else [("", frame)]
        for name, group in groups:
            yield _of_images(f"{path}: {name}" if name else str(path), group, provenance)
    elif set(CURVE) <= set(frame.columns) or set(AVERAGE) <= set(frame.columns):
        curve = set(CURVE) <= set(frame.columns)
        _check(path, frame, _OF_CURVE if curve else _OF_AVERAGE)
        yield Subject(str(path), None, tuple(_of_table(frame)), Stated())
    else:
        problem = f"has none of the columns {', '.join(IMAGES)}, or {CURVE[0]}, or {AVERAGE[0]}"
        raise UserError(f"{path}: {problem}; nothing to audit")


def _check(path: Path, frame: pd.DataFrame, every: Rules) -> None:
    """Raises UserError at the first column that does not hold numbers or lacks a value; columns of _SOME may
    lack values. Columns that the frame lacks are skipped.
    """
    if frame.empty:
        raise UserError(f"{path}: has no rows; nothing to audit")
    check_values(path, frame, {column: rule for column, rule in every.items() if column in frame})
    for column, rule in _SOME.items():
        there = frame[[column]].dropna() if column in frame else frame[[]].head(0)
        if len(there):
            check_values(path, there, {column: rule})


def _of_images(name: str, rows: pd.DataFrame, provenance: dict[str, Any]) -> Subject:
    seen = []
    least = -1 if "file" in rows else 0  # a folder of images may have no labels: -1
    bad = ~np.isfinite(rows["radius"]) | (rows["radius"] < 0)
    bad |= (rows["image"] < 0) | (rows["prediction"] < -1) | (rows["label"] < least)
    for column, (low, most) in _OF_VOTES.items():
        bad |= ~rows[column].between(low, most) if column in rows else False
    again, abstained = rows["image"].duplicated(), (rows["prediction"] == -1) & (rows["radius"] > 0)
    faults = {
        "impossible-value": (bad, "a radius, prediction, label, image, n or alpha that cannot be"),
        "image-again": (again, "stands there twice"),
        "abstention-with-radius": (abstained & ~bad, "abstains with a radius above 0"),
    }
    if "largest_radius" in rows and bool(rows.get("rigorous", pd.Series([False])).all()):
        above = rows["radius"] > rows["largest_radius"] * (1 + 1e-12)
        faults["radius-above-cap"] = (above & ~bad, "above the largest_radius of its own certificate")
    for fault, (at, what) in faults.items():
        if at.any():
            where = named(rows["image"][at].to_numpy())
            seen.append(Finding(fault, int(at.sum()), f"{what}: image {where}"))
    rows = rows[~bad & ~again]
    label, prediction = rows["label"].to_numpy(), rows["prediction"].to_numpy()
    columns = rows["image"].to_numpy(), label, prediction, rows["radius"].to_numpy(np.float64)
    log = Log(*columns, prediction == label, np.zeros(len(rows)))
    spec = provenance.get("spec")
    if isinstance(spec, dict) and {"test", "data_size"} <= spec.keys():
        seen += _of_subset(name, columns[0], spec)
    like = str(next(iter(rows.get("certificate", ())), "import"))
    other = _other(rows, provenance)
    stated, network = Stated() if other else _stated(rows, provenance), str(provenance.get("model") or "")
    return Subject(name, log, tuple(seen), stated, like, other=other, network=network)


def _of_subset(name: str, images: np.ndarray, spec: dict[str, Any]) -> Iterator[Finding]:
    """Whether they are the test images of the file's settings. Raises UserError where these name none."""
    size, places = spec["data_size"], range(0)
    with contextlib.suppress(TypeError, ValueError):
        places = Subset(**spec["test"]).positions(size) if size <= MOST_IMAGES else places
    if not places:
        raise UserError(f"{name}: test {short(spec['test'])} of {short(size)} images names none; {ADVICE}")
    if len(images) != len(places) or sorted(images) != list(places):
        problem = f"not the {plural(len(places), 'image')} that its settings name"
        yield Finding("subset-as-the-whole", len(images), problem)


def _stated(rows: pd.DataFrame, provenance: dict[str, Any]) -> Stated:
    """The file's statements for CERTIFY under Gaussian noise; empty where it does not name both."""
    noise, needed = _noise(provenance), {"certificate", "n", "alpha"}
    sigma: Any = noise.get("sigma")
    if noise.get("name") != "gaussian" or len(rows) == 0 or not needed <= {*rows}:
        return Stated()
    if not is_number(sigma) or not is_level(sigma):
        return Stated()
    return Stated(float(sigma), int(rows["n"].iloc[0]), float(rows["alpha"].iloc[0]))


def _noise(provenance: dict[str, Any]) -> dict[str, Any]:
    spec = provenance.get("spec")
    noise = spec.get("noise") if isinstance(spec, dict) else None
    return noise if isinstance(noise, dict) else {}


def _other(rows: pd.DataFrame, provenance: dict[str, Any]) -> str:
    """The radii's origin, by the file, where CERTIFY's n votes at alpha do not bound them; else empty."""
    certificates, noise = set(rows.get("certificate", ())) - {"cohen"}, _noise(provenance)
    if certificates:
        return f"of {', '.join(sorted(map(str, certificates)))}"
    if provenance.get("stop") or ("n" in rows and rows["n"].nunique() > 1):
        return "of votes that a rule stopped"
    if noise.get("name", "gaussian") != "gaussian":
        return f"under {noise['name']} noise"
    return "under exact noise" if noise.get("exact") else ""


def _of_table(frame: pd.DataFrame) -> Iterator[Finding]:
    """Checks that shares lie between 0 and 1 and do not rise with the radius, and that no number exceeds what
    votes can certify.
    """
    value = "certified_accuracy" if "certified_accuracy" in frame else "acr"
    numbers = frame[value].to_numpy(np.float64)
    bad = ~((numbers >= 0) & (numbers <= (1 if value == "certified_accuracy" else np.inf)))
    bad |= (frame["low"] > numbers + 1e-12) | (frame["high"] < numbers - 1e-12)
    if bad.any():
        problem = f"{value} out of range or outside of its interval: row {named(np.flatnonzero(bad))}"
        yield Finding("impossible-value", int(bad.sum()), problem)
    if "largest_radius" in frame and "rigorous" in frame:
        most = np.where(frame["rigorous"], frame["largest_radius"], np.nan) * (1 + 1e-12)
        above = (frame["radius"] > most) & (numbers > 0) if value != "acr" else numbers > most
        if above.any():
            problem = f"{value} beyond largest_radius: row {named(np.flatnonzero(above))}"
            yield Finding("radius-above-cap", int(above.sum()), problem)
    if value == "acr":
        return
    keys = [column for column in CLAIM if column in frame]
    for name, group in frame.groupby(keys, sort=False, dropna=False) if keys else [((), frame)]:
        steps = np.diff(group.sort_values("radius")[value])
        if (steps > 1e-12).any():
            problem = f"{' '.join(map(str, name))}: certified accuracy rises with the radius"
            yield Finding("accuracy-rises", int((steps > 1e-12).sum()), problem)
