"""The verdicts on a study's published numbers and claims, as tags and in Markdown, from the tables
``published`` and ``claims``, as far as a study has them.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from rs.report.html_table import down
from rs.report.numerals import printed
from rs.report.tracking.numbers import grouped, metric_key, radius_text
from rs.report.verdict_words import verdict_words
from rs.tables.reading import read, rows_of


class Verdicts:
    """The verdicts of the study in `tables`."""

    def __init__(self, tables: Path) -> None:
        self.rows = list(rows_of(read(tables, "published")))
        self.of = grouped(self.rows, lambda row: row["label"])
        # a claim has a row for each of its conditions
        self.by_claim = {str(row["id"]): row for row in rows_of(read(tables, "claims"))}

    def tags(self, label: str | None = None) -> dict[str, str]:
        """`verdict.<status>`: number of published numbers of the run, or of all. `claim.<id>`: for all."""
        rows = self.rows if label is None else self.of.get(label, [])
        counts = Counter(row["status"] for row in rows)
        tags = {metric_key(f"verdict.{status}"): str(count) for status, count in sorted(counts.items())}
        if label is None:
            tags |= {metric_key(f"claim.{name}"): str(row["verdict"]) for name, row in self.by_claim.items()}
        return tags

    def summary(self) -> list[str]:
        counts = Counter(row["status"] for row in self.rows)
        text = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        return [f"**Published numbers** ({len(self.rows)}): {text}"] if counts else []

    def claims(self) -> list[str]:
        lines = "\n".join(f"- {row['claim']}: **{row['verdict']}**" for row in self.by_claim.values())
        return [f"**Claims**\n\n{lines}"] if lines else []

    def published(self, label: str) -> list[str]:
        """A table of the papers' numbers for a run."""
        lines = ["| paper | table | number | published | here | verdict |", "| --- " * 6 + "|"]
        for row in self.of.get(label, []):
            at: str = "" if pd.isna(row["radius"]) else f" at {radius_text(row['radius'])}"
            here: str = "–" if pd.isna(row["reproduced"]) else down(row["reproduced"])
            number = f"{row['metric'].replace('_', ' ')}{at}"
            cells = [row["paper"], row["table"], number, row["printed"], here, printed(verdict_words(row))]
            lines.append(f"| {' | '.join(str(cell).replace('|', ' ') for cell in cells)} |")
        return ["**Beside the paper**\n\n" + "\n".join(lines)] if len(lines) > 2 else []
