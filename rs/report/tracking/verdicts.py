"""What became of a study's published numbers and claims, as tags and in Markdown.

From the tables ``published`` and ``claims``, as far as a study has them.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pandas as pd

from rs.report.html_table import down
from rs.report.metric_keys import metric_key
from rs.report.tracking.numbers import Row, radius_text, rows
from rs.tables.reading import read


class Verdicts:
    """Of the study in `tables`."""

    def __init__(self, tables: Path) -> None:
        self.rows = list(rows(read(tables, "published")))
        # one row of a claim for each of its conditions
        self.told = list({_name(row): row for row in rows(read(tables, "claims"))}.values())

    def tags(self, label: str | None = None) -> dict[str, str]:
        """`verdict.<status>`: how many published numbers of the run, or of all. `claim.<name>`: of all."""
        mine = [row for row in self.rows if label is None or row.get("label") == label]
        counts = Counter(_status(row) for row in mine)
        tags = {metric_key(f"verdict.{status}"): str(count) for status, count in sorted(counts.items())}
        if label is None:
            tags |= {metric_key(f"claim.{_name(row)}"): _status(row) for row in self.told}
        return tags

    def summary(self) -> list[str]:
        counts = Counter(_status(row) for row in self.rows)
        if not counts:
            return []
        told = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        return [f"**Published numbers** ({len(self.rows)}): {told}"]

    def claims(self) -> list[str]:
        if not self.told:
            return []
        return ["\n".join(f"- {_name(row)}: **{_status(row)}**" for row in self.told)]

    def published(self, label: str) -> list[str]:
        mine = [row for row in self.rows if row.get("label") == label]
        if not mine:
            return []
        lines = ["| paper | table | metric | published | here | verdict |", "| --- " * 6 + "|"]
        for row in mine:
            here: str = "–" if pd.isna(row["reproduced"]) else down(row["reproduced"])
            cells = [row["paper"], row["table"], _metric(row), f"{row['published']:g}", here, _status(row)]
            lines.append(f"| {' | '.join(str(cell).replace('|', ' ') for cell in cells)} |")
        return ["**Beside the paper**\n\n" + "\n".join(lines)]


def _status(row: Row) -> str:
    """The first words of a verdict, without its number."""
    told = row.get("status")
    if told is None or pd.isna(told):
        told = row.get("verdict")
    return re.split(r"[:(]", str(told))[0].strip()


def _name(row: Row) -> str:
    return next(str(row[c]) for c in ("id", "name", "claim", "text", *row) if row.get(c) is not None)


def _metric(row: Row) -> str:
    at: str = "" if pd.isna(row["radius"]) else f" at {radius_text(row['radius'])}"
    return f"{row['metric'].replace('_', ' ')}{at}"
