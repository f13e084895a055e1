"""Rows of a study's tables as text: what is the same in all of them once, what differs in aligned columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rs.cli.text_table import aligned
from rs.tables.table import Row

WIDTH = 120  # of a line of text; a table's line is as long as its columns
NO_BREAK = "\xa0"
REPEATED = ("smoothing_name", "smoothing_level", "smoothing_parameters")  # what `smoothing` says in a line


def rows_text(found: Iterable[tuple[str, int, Row]], seeds: Mapping[str, int]) -> Iterator[str]:
    """Lines for each table's rows, (table, number, row). `seeds`: the training seed of each run, by id."""
    by_table: dict[str, dict[int, dict[str, Any]]] = {}
    for table, index, row in found:
        by_table.setdefault(table, {})[index] = _known(row, seeds)
    for table, rows in by_table.items():
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        apart = [c for c in columns if len({_text(row.get(c)) for row in rows.values()}) > 1]
        first = next(iter(rows.values()))
        in_all = [f"{c} {_text(first[c])}" for c in columns if c not in apart]
        if len(rows) == 1:
            yield from _wrapped(f"row {table}[{next(iter(rows))}]:", in_all)
            continue
        yield from _wrapped(f"rows of {table}" + (", each with" if in_all else ""), in_all)
        lines = [[f"[{index}]", *(_text(row.get(c)) for c in apart)] for index, row in rows.items()]
        left = [
            i for i, c in enumerate(apart, 1) if any(isinstance(row.get(c), str) for row in rows.values())
        ]
        yield from (f"  {line}" for line in aligned([["row", *apart], *lines], left))


def places_text(evidence: str) -> str:
    """`table[3], table[4], other[0]` as `table[3, 4] and other[0]`."""
    by_table: dict[str, list[str]] = {}
    for place in evidence.split(", "):
        table, _, index = place.rstrip("]").partition("[")
        by_table.setdefault(table, []).append(index)
    return " and ".join(f"{table}[{', '.join(rows)}]" for table, rows in by_table.items())


def _known(row: Row, seeds: Mapping[str, int]) -> dict[str, Any]:
    """The row without empty and repeated columns; a run of this study is its label and its seed."""
    known: dict[str, Any] = {}
    for column, value in row.items():
        if column == "run" and value in seeds and "label" in row:
            known |= {"label": row["label"], "seed": seeds[value]}
        elif value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        elif column not in known and not (column in REPEATED and row.get("smoothing")):
            known[column] = value
    return known


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _wrapped(head: str, facts: Sequence[str]) -> list[str]:
    """Lines of at most WIDTH that break between facts."""
    text = f"{head} {', '.join(fact.replace(' ', NO_BREAK) for fact in facts)}"
    lines = textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [line.replace(NO_BREAK, " ") for line in lines]
