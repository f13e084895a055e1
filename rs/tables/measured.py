"""What tables say of one run: a number, its seeds and the interval of its images, found by what is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from rs.statistics.agreement import Side
from rs.statistics.intervals import wilson_interval
from rs.tables.table import Row

ACCURACIES = ("certified_accuracy", "accuracy")  # columns
AVERAGES = ("acr", "loss", "rho")  # columns: none is below 0, and a table cuts their intervals there
_CAPS = {"acr": "largest_radius", "loss": "loss_bound"}  # columns of what an average is at most
TABLED = 0.95  # confidence of the intervals of tables
_OWN = (*ACCURACIES, "acr", "loss", "low", "high")  # whose interval a table's `low` and `high` are
Tables = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Measured:
    """A number of one label: the value of each seed, their mean with its image interval, the rows it is
    from. `side` is what comparisons are made of: uncut, as what is cut off is width of a difference.
    """

    label: str
    values: list[float]
    side: Side
    images: int | None
    rows: list[Row]
    lower_bound: bool = False
    resolution: float = 0.0  # what one image makes of a value; 0 where nobody knows
    least: float = -math.inf  # that the number can be
    most: float = math.inf

    @property
    def row(self) -> Row:
        """The first seed's row, for what all of them share."""
        return self.rows[0]

    def shown(self, end: float) -> float:
        """An end of an interval of the number, cut to what the number can be."""
        return min(max(end, self.least), self.most)


def rows_of(tables: Tables, table: str, named: Mapping[str, Any]) -> list[Row]:
    """Rows of a table in which every named column has the value that is asked for."""
    return [row for row in tables.get(table, ()) if all(_same(row.get(k), v) for k, v in named.items())]


def places(tables: Tables, table: str, rows: Sequence[Row]) -> str:
    """Where these rows stand: `certified_accuracy[3], certified_accuracy[4]`."""
    index = {id(row): i for i, row in enumerate(tables[table])}
    return ", ".join(f"{table}[{index[id(row)]}]" for row in rows)


def _same(have: Any, asked: Any) -> bool:
    if isinstance(asked, float) and isinstance(have, (int, float)):
        return math.isclose(have, asked, rel_tol=1e-9, abs_tol=1e-12)
    return bool(have == asked)


def mean_of(
    found: Sequence[Row], column: str, scale: float = 1.0, confidence: float = TABLED
) -> Measured | None:
    """Mean over seeds of a column and of the ends of its interval. Nothing where a seed has no such value."""
    values = [row.get(column) for row in found]
    if not found or any(v is None or math.isnan(float(v)) for v in values):
        return None
    each, first = [_side(row, column, confidence) for row in found], found[0]
    side = Side(*(scale * sum(ends) / len(found) for ends in zip(*each, strict=True)))
    images = first.get("images")
    step = _most_of_an_image(first, column) / images if images else 0.0
    bound = any(row.get("lower_bound") for row in found)
    seeds = [scale * float(v) for v in values if v is not None]
    least, most = (scale * end for end in _possible(found, column))
    return Measured(str(first["label"]), seeds, side, images, list(found), bound, step, least, most)


def _side(row: Row, column: str, confidence: float) -> tuple[float, float, float]:
    """Value and ends of one row: Wilson's of an accuracy; else from a standard error (`_se`), Student's of an
    average and normal of a calibrated number, or from the interval of the table, which is Student's and
    uncut. Without any of these the value alone.
    """
    value, images = float(row[column]), row.get("images")
    if column in ACCURACIES and images:
        factor = float(row.get("factor") or 1.0)
        low, high = wilson_interval(min(value / factor, 1.0) * images, images, confidence)
        return value, factor * float(low), factor * float(high)
    degrees = images - 1 if images and images > 1 else math.inf
    if row.get(f"{column}_se") is not None:
        quantile = float(stats.t.ppf(0.5 + confidence / 2, degrees if column in AVERAGES else math.inf))
        half = quantile * float(row[f"{column}_se"])
        return value, value - half, value + half
    below, above = (
        row.get(f"{column}_{end}", row.get(end) if column in _OWN else None) for end in ("low", "high")
    )
    if below is None or above is None:
        return value, value, value
    quantile, tabled = (float(stats.t.ppf(0.5 + c / 2, degrees)) for c in (confidence, TABLED))
    wider = quantile / tabled
    return value, value - wider * (value - float(below)), value + wider * (float(above) - value)


def _possible(found: Sequence[Row], column: str) -> tuple[float, float]:
    """The least and the most that a number can be, as its table cuts the interval: of an accuracy the share
    of the images that its certificate is for. A `loss_bound` is none of an estimate that lies above it.
    """
    if column in ACCURACIES:
        return 0.0, float(found[0].get("factor") or 1.0)
    caps = [row.get(_CAPS.get(column, ""), math.nan) for row in found]
    known = all(cap is not None and row[column] <= cap for row, cap in zip(found, caps, strict=True))
    return 0.0 if column in AVERAGES else -math.inf, max(map(float, caps)) if known else math.inf


def _most_of_an_image(row: Row, column: str) -> float:
    """By how much one image may change the sum over all; 0 where nobody knows."""
    if column in ACCURACIES:
        return 1.0
    largest = row.get("largest_radius") if column == "acr" else None
    return 0.0 if largest is None or math.isnan(largest) else float(largest)
