"""The page's section on published numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rs.report.html_table import DASH, Cell, How, Section, Table, bound, down, interval, number, text_cell
from rs.report.names import read
from rs.report.numerals import printed
from rs.report.provenance import traced
from rs.report.verdict_words import counted, verdict_words
from rs.tables.verdict import STATUSES

MEASURES = {
    "acr": "ACR",
    "epsilon": "calibrated ε",
    "train_hours": "hours of training",
    "certified_accuracy": "certified accuracy",
    "empirical_accuracy": "accuracy under attack",
}


def published_section(tables: Path) -> Section:
    """From ``published.parquet``, which studies with published numbers write: paper, table, label,
    smoothing_level, metric (one of rs.tables.published.METRICS), radius, printed, reproduced, low, high,
    lower_bound, and the columns of the verdict (rs.tables.verdict).
    """
    section = Section("published", "Beside the papers")
    frame = read(tables, "published")
    if frame.empty:
        return section
    section.lead = (
        "Published values beside those of this study, with their 95 % intervals. The verdict is on the "
        "difference and counts the noise of both. " + counted(frame["status"], "numbers", STATUSES)
    )
    heads = [("label", "text"), ("metric", "words"), ("published", "number"), ("reproduced", "number")]
    heads += [("verdict", "text"), ("noise level", "number"), ("paper", "text"), ("table", "text")]
    table = Table(heads, [])
    for row in frame.to_dict("records"):
        metric = MEASURES[row["metric"]]
        if not pd.isna(row["radius"]):
            metric += f" at r = {row['radius']:g}"
        absent = pd.isna(row["reproduced"])
        mine = Cell(DASH)
        if not absent:
            mine = Cell(bound(row) + down(row["reproduced"]), float(row["reproduced"]))
        if not pd.isna(row["low"]):
            mine = Cell(mine.text, mine.sort, under=interval(row["low"], row["high"]))
        verdict = text_cell(printed(verdict_words(row)), f"text verdict {row['status'].split()[0]}")
        cells = [text_cell(row["label"]), text_cell(metric, "words"), Cell(row["printed"], row["published"])]
        cells += [mine, dataclasses.replace(verdict, how=_how(len(table.rows), metric, row))]
        cells += [number(row["smoothing_level"]), text_cell(row["paper"]), text_cell(row["table"])]
        table.rows.append(cells)
    section.tables.append(table)
    return section


def _how(i: int, metric: str, row: Mapping[Any, Any]) -> How | None:
    """The rows behind a verdict."""
    words = {"evidence": "from the rows", "settings": "other settings:"}
    lines = [(word, row[key]) for key, word in words.items() if isinstance(row.get(key), str) and row[key]]
    title = f"{row['paper']}, {row['table']}, {row['label']}: {metric}"
    return traced(f"how-published-{i}", title, lines, row.get("address"))
