"""What a table is: its name, its columns, and where its rows come from.

A module of this package that makes a table ends in a `Table`; rs.tables.aggregate lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """`rows` takes what a study's runs left (rs.tables.stored) and the rows of each table named in `of`.

    A table without rows has `columns`; rows may bring more, which stand behind these.
    """

    name: str
    columns: tuple[str, ...]
    rows: Callable[..., Iterable[Row]]
    of: tuple[str, ...] = ()  # tables that this one derives from, listed before it


def columns_of(row: type) -> tuple[str, ...]:
    """The columns of a TypedDict of rows."""
    return tuple(row.__annotations__)
