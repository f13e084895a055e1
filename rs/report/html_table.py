"""The parts of a page's tables: cells, and numbers in the form in which they are shown.

Accuracies and radii are rounded down, their intervals outwards: never in a method's favour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from rs.report.numerals import MINUS, numeral
from rs.statistics.decimals import ceiled, floored

DASH = "–"


@dataclass(frozen=True)
class How:
    """The text that a cell's button opens: lines of words and code."""

    id: str
    title: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """A cell: its text, sort key, small print below, a tint in [0, 1], an interval to draw."""

    text: str
    sort: Any = None
    under: str = ""
    tint: float | None = None
    mark: str = ""
    span: tuple[float, float, float] | None = None  # low, value, high as shares of the widest interval's end
    kind: str = "number"
    picture: str = ""  # a data URI, before the text
    opens: str = ""  # the images behind it: run, certificate, noise and radius as JSON
    how: How | None = None  # how it was made
    lines: tuple[str, ...] = ()  # the parts of its text, each of which begins a line


@dataclass
class Table:
    columns: list[tuple[str, str]]  # heading and kind: "text", "number", "plot" or "code"
    rows: list[list[Cell]]
    note: str = ""
    title: str = ""
    summary: str = ""  # a study's page folds the table behind it
    opened: bool = False  # a folded table is open at first


@dataclass
class Section:
    id: str
    title: str
    lead: str = ""
    tables: list[Table] = field(default_factory=list)
    # data URI, caption, and its files by kind
    figures: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    empty: str = ""


def down(value: float, digits: int = 3) -> str:
    return _text(floored(value, digits), digits)


def up(value: float, digits: int = 3) -> str:
    return _text(ceiled(value, digits), digits)


def difference(value: float, low: float, high: float) -> tuple[str, str, str]:
    """A difference, rounded to the nearest, and the ends of its interval, rounded outwards; with signs. An
    end that is not known is a dash.
    """
    # of the shortest decimal that is this float64
    middle = float(round(Decimal(repr(float(value))), 3)) + 0.0 if math.isfinite(value) else value
    texts = (_text(middle, 3), down(low), up(high))
    nearest, below, above = (text if text.startswith((MINUS, DASH)) else f"+{text}" for text in texts)
    return nearest, below, above


def _text(value: float, digits: int) -> str:
    """A rounded number; ∞ for the open end of an interval."""
    return DASH if math.isnan(value) else numeral(value, "g" if math.isinf(value) else f".{digits}f")


def interval(low: Any, high: Any) -> str:
    return f"{down(low)}–{up(high)}" if pd.notna(low) and pd.notna(high) else ""


def bound(row: Mapping[Any, Any]) -> str:
    """The mark before a number that further votes could only have raised: a row's `lower_bound`."""
    mark = row.get("lower_bound")
    return "≥ " if pd.notna(mark) and mark else ""


def number(value: Any, error: Any = None) -> Cell:
    if value is None or pd.isna(value):
        return Cell(DASH)
    text = numeral(value, "," if isinstance(value, (int, np.integer)) else ".4g")
    return Cell(
        text, float(value), under="" if error is None or pd.isna(error) else f"± {numeral(error, '.2g')}"
    )


def text_cell(value: Any, kind: str = "text", mark: str = "") -> Cell:
    absent = value is None or (isinstance(value, float) and math.isnan(value))
    text = numeral(value) if isinstance(value, (float, np.floating)) else str(value)
    return Cell(DASH if absent else text, None if absent else str(value), kind=kind, mark=mark)


def plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def constants(frame: pd.DataFrame, names: Mapping[str, str]) -> tuple[str, list[str]]:
    """The columns of `names` (column -> text) with one value in all rows, as a sentence; and the others."""
    same, varying = [], []
    for column, words in names.items():
        if column not in frame:
            continue
        values = frame[column].dropna().unique()
        if len(values) == 1 and frame[column].notna().all():
            value = values[0]
            whole = isinstance(value, (int, np.integer))
            text = (
                down(value) if column == "largest_radius" else numeral(value, ",") if whole else plain(value)
            )
            same.append(words.format(text))
        elif len(values):
            varying.append(column)
    return " · ".join(same), varying
