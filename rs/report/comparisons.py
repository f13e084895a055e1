"""Paired differences of runs as a matrix: the row's average certified radius minus the column's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rs.report.html_table import Cell, Section, Table, difference, text_cell
from rs.report.names import read
from rs.tables.comparisons import turned
from rs.tables.reading import rows_of

SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": "◐"}
MOST = 30  # runs of one matrix


def comparisons_section(tables: Path) -> Section:
    """A matrix per noise and certificate, from ``comparisons.parquet`` (rs.tables.comparisons)."""
    section = Section("differences", "Differences between runs")
    frame = read(tables, "comparisons")
    if frame.empty:
        return section
    section.lead = (
        "Runs compared image by image, on the test images that both have. A verdict says whether the "
        "difference exceeds the noise of the images."
    )
    for (smoothing, certificate), rows in frame.groupby(["smoothing", "certificate"], sort=False):
        labels = list(dict.fromkeys([*rows["a"], *rows["b"]]))
        if 1 < len(labels) <= MOST:
            section.tables.append(matrix(labels, {n: n for n in labels}, rows_of(rows)))
            section.tables[-1].title = f"{smoothing}, {certificate}"
    return section


def matrix(labels: Sequence[str], names: Mapping[str, str], pairs: Iterable[Mapping[str, Any]]) -> Table:
    """The matrix from rows of rs.tables.comparisons, `pairs`; `names` are the page's names of the labels."""
    own = [row for row in pairs if (row["metric"], row["about"]) == ("acr", "networks")]
    by_pair = {(row["a"], row["b"]): row for row in (*map(turned, own), *own)}
    rows = []
    for a in labels:
        row = [text_cell(names[a])]
        for b in labels:
            comparison = by_pair.get((a, b))
            row.append(Cell("") if comparison is None else _cell(comparison))
        rows.append(row)
    columns = [("", "text"), *((names[label], "number") for label in labels)]
    note = (
        "Average certified radius of the row minus the column's, with its 95 % interval: ▲ higher, ▼ lower, "
        "= equivalent, ◐ undecided. Verdicts are adjusted for all pairs (Holm). They are about these "
        "networks, not about training with other seeds."
    )
    return Table(columns, rows, note, "Differences, image by image")


def _cell(row: Mapping[str, Any]) -> Cell:
    value, sign = row["difference"], SIGNS[str(row["verdict"])]
    text, low, high = difference(value, row["low"], row["high"])
    # two runs that certify nothing have no interval
    return Cell(f"{text} {sign}", value, under=f"{low} to {high}" if pd.notna(row["low"]) else "")
