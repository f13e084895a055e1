"""What tables say of one run: a number, its seeds and the interval of its images, found by what is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import special, stats

from rs.statistics.agreement import Side
from rs.statistics.intervals import wilson_interval
from rs.tables.table import Row

ACCURACIES = ("certified_accuracy", "accuracy")  # columns
TABLED = 0.95  # confidence of the intervals of tables
_OWN = (*ACCURACIES, "acr", "loss", "low", "high")  # whose interval a table's `low` and `high` are
Tables = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Measured:
    """A number of one label: the value of each seed, their mean with its image interval, the rows it is
    from.
    """

    label: str
    values: list[float]
    side: Side
    images: int | None
    rows: list[Row]
    lower_bound: bool = False
    resolution: float = 0.0  # what one image makes of a value; 0 where nobody knows

    @property
    def row(self) -> Row:
        """The first seed's row, for what all of them share."""
        return self.rows[0]


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
    return Measured(str(first["label"]), seeds, side, images, list(found), bound, step)


def _side(row: Row, column: str, confidence: float) -> tuple[float, float, float]:
    """Value and ends of one row: Wilson's of an accuracy; else from a standard error (`_se`) or the interval
    of the table, which is Student's. Without any of these the value alone.
    """
    value, images = float(row[column]), row.get("images")
    if column in ACCURACIES and images:
        factor = float(row.get("factor") or 1.0)
        low, high = wilson_interval(min(value / factor, 1.0) * images, images, confidence)
        return value, factor * float(low), factor * float(high)
    quantile = float(special.ndtri(0.5 + confidence / 2))
    if f"{column}_se" in row:
        half = quantile * float(row[f"{column}_se"])
        return value, value - half, value + half
    below, above = (
        row.get(f"{column}_{end}", row.get(end) if column in _OWN else None) for end in ("low", "high")
    )
    if below is None or above is None:
        return value, value, value
    tabled = float(special.ndtri(0.5 + TABLED / 2))
    if images and images > 1:
        quantile, tabled = (float(stats.t.ppf(0.5 + c / 2, images - 1)) for c in (confidence, TABLED))
    return value, *_rescaled(value, float(below), float(above), quantile / tabled)


def _rescaled(value: float, low: float, high: float, wider: float) -> tuple[float, float]:
    """Ends of Student's interval at another confidence, `wider` times as wide: even on both sides, but where
    the table's is cut at what is possible, which the other end tells.
    """
    half = max(value - low, high - value)
    below, above = (
        min(wider * half, side) if side < half * (1 - 1e-9) else wider * half
        for side in (value - low, high - value)
    )
    return value - below, value + above


def _most_of_an_image(row: Row, column: str) -> float:
    """By how much one image may change the sum over all; 0 where nobody knows."""
    if column in ACCURACIES:
        return 1.0
    largest = row.get("largest_radius") if column == "acr" else None
    return 0.0 if largest is None or math.isnan(largest) else float(largest)
