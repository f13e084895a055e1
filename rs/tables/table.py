"""A table: its name, its columns, and the source of its rows.

A module of this package that makes a table ends in a `Table`; rs.tables.aggregate lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """`rows` takes the files of a study's runs (rs.tables.stored) and the rows of each table in `of`.

    A table without rows has `columns`; rows may have further columns, which follow these.
    """

    name: str
    columns: tuple[str, ...]
    rows: Callable[..., Iterable[Row]]
    of: tuple[str, ...] = ()  # tables that this one derives from, listed before it


def columns_of(row: type) -> tuple[str, ...]:
    """The columns of a TypedDict of rows."""
    return tuple(row.__annotations__)
