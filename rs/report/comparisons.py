"""Paired differences of runs as a matrix: the row's average certified radius minus the column's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rs.report.html_table import Cell, Section, Table, text_cell
from rs.report.names import read

SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": "◐"}
TURNED = {"better": "worse", "worse": "better"}
MOST = 30  # runs of one matrix


def comparisons_section(tables: Path) -> Section:
    """A matrix per noise and certificate, from ``comparisons.parquet`` (rs.tables.comparisons)."""
    section = Section("differences", "Differences between runs")
    frame = read(tables, "comparisons")
    if frame.empty:
        return section
    section.lead = (
        "Image by image, on the test images that both have: which difference is more than their noise."
    )
    for (smoothing, certificate), rows in frame.groupby(["smoothing", "certificate"], sort=False):
        pairs = [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]
        labels = list(dict.fromkeys([*rows["a"], *rows["b"]]))
        if 1 < len(labels) <= MOST:
            section.tables.append(matrix(labels, {n: n for n in labels}, pairs))
            section.tables[-1].title = f"{smoothing}, {certificate}"
    return section


def matrix(labels: Sequence[str], names: Mapping[str, str], pairs: Iterable[Mapping[str, Any]]) -> Table:
    """`pairs` are rows of rs.tables.comparisons; `names` are what the page calls the labels."""
    found = {(r["a"], r["b"]): r for r in pairs if (r["metric"], r["about"]) == ("acr", "networks")}
    rows = []
    for a in labels:
        row = [text_cell(names[a])]
        for b in labels:
            if (a, b) in found:
                told = found[a, b]
                row.append(_cell(told["difference"], told["low"], told["high"], str(told["verdict"])))
            elif (b, a) in found:
                told = found[b, a]
                verdict = TURNED.get(str(told["verdict"]), str(told["verdict"]))
                row.append(_cell(-told["difference"], -told["high"], -told["low"], verdict))
            else:
                row.append(Cell(""))
        rows.append(row)
    columns = [("", "text"), *((names[label], "number") for label in labels)]
    note = (
        "Average certified radius of the row minus the column's, with its 95 % interval: ▲ higher, ▼ lower, "
        "= equivalent, ◐ undecided; verdicts count all pairs (Holm) and are about these networks, not about "
        "training with other seeds."
    )
    return Table(columns, rows, note, "Differences, image by image")


def _cell(difference: float, low: float, high: float, verdict: str) -> Cell:
    return Cell(f"{difference:+.3f} {SIGNS[verdict]}", difference, under=f"{low:+.3f} to {high:+.3f}")
