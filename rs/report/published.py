"""The page's section on published numbers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rs.report.certified import _bound
from rs.report.html_table import DASH, Cell, Section, Table, down, interval, number, text_cell
from rs.report.names import read

MEASURES = {
    "acr": "ACR",
    "epsilon": "calibrated ε",
    "train_hours": "hours of training",
    "certified_accuracy": "certified accuracy",
    "empirical_accuracy": "accuracy under attack",
}


def published_section(tables: Path) -> Section:
    """Rows of ``published.parquet``, which a study that states published numbers writes: paper, table, label,
    smoothing_level, metric (one of rs.tables.published.METRICS), radius, published, reproduced, low, high,
    lower_bound, verdict.
    """
    section = Section("published", "Beside the papers")
    frame = read(tables, "published")
    if frame.empty:
        return section
    section.lead = "Published values, and what this study measures in their place with its 95 % interval."
    heads = [("paper", "text"), ("table", "text"), ("label", "text"), ("noise level", "number")]
    heads += [("metric", "text"), ("published", "number"), ("reproduced", "number"), ("verdict", "text")]
    table = Table(heads, [])
    for row in frame.to_dict("records"):
        metric = MEASURES[row["metric"]]
        if not pd.isna(row["radius"]):
            metric += f" at r = {row['radius']:g}"
        mark = str(row["verdict"]).split()[0].rstrip(":")
        absent = pd.isna(row["reproduced"])
        mine = Cell(DASH)
        if not absent:
            mine = Cell(_bound(row) + down(row["reproduced"]), float(row["reproduced"]))
        if not pd.isna(row["low"]):
            mine = Cell(mine.text, mine.sort, under=interval(row["low"], row["high"]))
        cells = [
            text_cell(row["paper"]),
            text_cell(row["table"]),
            text_cell(row["label"]),
            number(row["smoothing_level"]),
        ]
        cells += [text_cell(metric), number(row["published"]), mine]
        cells.append(text_cell(row["verdict"], f"text verdict {mark}"))
        table.rows.append(cells)
    section.tables.append(table)
    return section
