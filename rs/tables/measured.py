"""What tables say of one run: a number, its seeds and the interval of its images, found by what is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rs.statistics.agreement import Side
from rs.tables.table import Row

ACCURACIES = ("certified_accuracy", "accuracy")  # columns
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


def mean_of(found: Sequence[Row], column: str, scale: float = 1.0) -> Measured | None:
    """Mean over seeds of a column and of its interval's ends: `low` and `high`, a standard error (`_se`), or
    none. Nothing where a seed has no such value.
    """
    values = [row.get(column) for row in found]
    if not found or any(v is None or math.isnan(float(v)) for v in values):
        return None

    def mean(name: str) -> float:
        return scale * sum(float(row[name]) for row in found) / len(found)

    value, first = mean(column), found[0]
    side = Side(value, value, value)
    if f"{column}_se" in first:
        half = 1.96 * mean(f"{column}_se")
        side = Side(value, value - half, value + half)
    elif all(row.get("low") is not None and row.get("high") is not None for row in found):
        side = Side(value, mean("low"), mean("high"))
    images = first.get("images")
    step = _most_of_an_image(first, column) / images if images else 0.0
    bound = any(row.get("lower_bound") for row in found)
    seeds = [scale * float(v) for v in values if v is not None]
    return Measured(str(first["label"]), seeds, side, images, list(found), bound, step)


def _most_of_an_image(row: Row, column: str) -> float:
    """By how much one image may change the sum over all; 0 where nobody knows."""
    if column in ACCURACIES:
        return 1.0
    largest = row.get("largest_radius") if column == "acr" else None
    return 0.0 if largest is None or math.isnan(largest) else float(largest)
