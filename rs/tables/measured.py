"""A number of a run in the tables, with its seeds and the interval of its images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import special

from rs.statistics.agreement import Side
from rs.statistics.intervals import equal_values_interval, wilson_interval
from rs.study.paper_settings import Instrument
from rs.tables.table import Row

_ACCURACIES = ("certified_accuracy", "accuracy")  # columns
_AVERAGES = ("acr", "loss", "rho")  # columns: none is below 0, where a table cuts their intervals
_CAPS = {"acr": "largest_radius", "loss": "loss_bound"}  # column -> the column with its maximum
TABLED = 0.95  # confidence of the intervals of tables
_OWN = (*_ACCURACIES, "acr", "loss", "low", "high")  # columns whose interval is a table's `low` and `high`
Tables = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Measured:
    """A number of one label: the value of each seed, their mean with its image interval, and their rows.
    Comparisons use `side`, which is uncut because a cut would take width from a difference.
    """

    label: str
    values: list[float]
    side: Side
    images: int | None
    rows: list[Row]
    lower_bound: bool = False
    resolution: float = 0.0  # how much one image changes a value; 0 where unknown
    least: float = -math.inf  # range of the number
    most: float = math.inf

    @property
    def row(self) -> Row:
        """The first seed's row, for columns that all seeds share."""
        return self.rows[0]

    @property
    def zero_by_construction(self) -> bool:
        """Whether it is 0 at a radius that not even unanimous votes certify, for every seed."""
        if any(row.get(key) is None for row in self.rows for key in ("radius", "largest_radius")):
            return False
        beyond = all(row["radius"] > row["largest_radius"] for row in self.rows)  # not where one is nan
        return beyond and not any(self.values)

    def shown(self, end: float) -> float:
        """An end of an interval of the number, cut to its range."""
        return min(max(end, self.least), self.most)


def rows_of(tables: Tables, table: str, named: Mapping[str, Any]) -> list[Row]:
    """Rows of a table in which every named column has the given value."""
    return [row for row in tables.get(table, ()) if all(_same(row.get(k), v) for k, v in named.items())]


def rows_of_run(
    tables: Tables, table: str, label: str, by: Instrument, radius: float | None, smoothing: str | None
) -> list[Row]:
    """The rows of one run, one per seed: at this radius, observed so, under this noise, as far as named."""
    named = {"certificate": by.certificate, "attack": by.attack, "radius": radius, "smoothing": smoothing}
    return rows_of(tables, table, {"label": label} | {k: v for k, v in named.items() if v is not None})


def places(tables: Tables, table: str, rows: Sequence[Row]) -> str:
    """The places of these rows: `certified_accuracy[3], certified_accuracy[4]`."""
    index = {id(row): i for i, row in enumerate(tables[table])}
    return ", ".join(f"{table}[{index[id(row)]}]" for row in rows)


def _same(have: Any, expected: Any) -> bool:
    if isinstance(expected, float) and isinstance(have, (int, float)):
        return math.isclose(have, expected, rel_tol=1e-9, abs_tol=1e-12)
    return bool(have == expected)


def mean_of(
    rows: Sequence[Row], column: str, scale: float = 1.0, confidence: float = TABLED
) -> Measured | None:
    """Mean over seeds of a column and of the ends of its interval. None where a seed has no such value."""
    values = [row.get(column) for row in rows]
    if not rows or any(v is None or math.isnan(float(v)) for v in values):
        return None
    each, first = [_side(row, column, confidence) for row in rows], rows[0]
    side = Side(*(scale * sum(ends) / len(rows) for ends in zip(*each, strict=True)))
    images = first.get("images")
    step = _most_of_an_image(first, column) / images if images else 0.0
    bound = any(row.get("lower_bound") for row in rows)
    seeds = [scale * float(v) for v in values if v is not None]
    least, most = (scale * end for end in _possible(rows, column))
    return Measured(str(first["label"]), seeds, side, images, list(rows), bound, step, least, most)


def _side(row: Row, column: str, confidence: float) -> tuple[float, float, float]:
    """Value and ends of one row. An accuracy has Wilson's interval. Other columns use their standard error
    (`_se`), with Student's quantile for an average and the normal one for a calibrated number, or else the
    table's interval, which is Student's and uncut. An average of equal values has the interval of their
    table, if their maximum is known. A `rounded` number has the ends of its rounding, at any confidence.
    Without any of these, the ends equal the value.
    """
    value, images = float(row[column]), row.get("images")
    if column in _ACCURACIES and images:
        factor = float(row.get("factor") or 1.0)
        low, high = wilson_interval(min(value / factor, 1.0) * images, images, confidence)
        return value, factor * float(low), factor * float(high)
    degrees = images - 1 if images and images > 1 else math.inf
    if row.get(f"{column}_se") is not None:
        least, most = _possible([row], column)
        if column in _AVERAGES and images and row[f"{column}_se"] == 0 and math.isfinite(most):
            return value, *equal_values_interval(value, images, confidence, least, most)
        degrees = degrees if column in _AVERAGES else math.inf
        quantile = float(special.stdtrit(degrees, 0.5 + confidence / 2))
        half = quantile * float(row[f"{column}_se"])
        return value, value - half, value + half
    below, above = (
        row.get(f"{column}_{end}", row.get(end) if column in _OWN else None) for end in ("low", "high")
    )
    if below is None or above is None:
        return value, value, value
    quantile, tabled = (float(special.stdtrit(degrees, 0.5 + c / 2)) for c in (confidence, TABLED))
    wider = 1.0 if row.get("rounded") else quantile / tabled
    return value, value - wider * (value - float(below)), value + wider * (float(above) - value)


def _possible(rows: Sequence[Row], column: str) -> tuple[float, float]:
    """The range of a number, to which its table cuts the interval; for an accuracy, up to the share of the
    images that its certificate covers. A `loss_bound` does not limit an estimate above it.
    """
    if column in _ACCURACIES:
        return 0.0, float(rows[0].get("factor") or 1.0)
    caps = [row.get(_CAPS.get(column, ""), math.nan) for row in rows]
    known = all(cap is not None and row[column] <= cap for row, cap in zip(rows, caps, strict=True))
    return 0.0 if column in _AVERAGES else -math.inf, max(map(float, caps)) if known else math.inf


def _most_of_an_image(row: Row, column: str) -> float:
    """By how much one image may change the sum over all; 0 where unknown."""
    if column in _ACCURACIES:
        return 1.0
    largest = row.get("largest_radius") if column == "acr" else None
    return 0.0 if largest is None or math.isnan(largest) else float(largest)
