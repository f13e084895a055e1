"""How a number was made: the text that the small button beside a run's label, a printed number or a claim
opens. It comes from the table `provenance`; older studies without that table have no such buttons for runs.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rs.errors import plural
from rs.report.html_table import Cell, How, Section
from rs.study.rerun import command
from rs.tables import reading

_LABELLED = ("label", "")  # headings of columns that name a run; a matrix has none
_RULES = {"train", "import", "calibrate", "sample", "certify", "attack", "distributional"}


def explained(
    sections: Iterable[Section],
    tables: Path,
    files: Sequence[str],
    overrides: Mapping[str, Any] | None = None,
) -> list[How]:
    """The texts behind the buttons of `sections`. Gives every cell with a run's label its button. `files` and
    `overrides` are the study's, for the commands.
    """
    runs = {how.title: how for how in _of_labels(reading.read(tables, "provenance"), files, overrides or {})}
    opened: dict[str, How] = {}
    for section in sections:
        for table in section.tables:
            at = next((i for i, (head, _) in enumerate(table.columns) if head in _LABELLED), None)
            for row in table.rows:
                if at is not None and (how := runs.get(row[at].text)):
                    row[at] = dataclasses.replace(row[at], how=how)
                opened |= {cell.how.id: cell.how for cell in row if isinstance(cell, Cell) and cell.how}
    return list(opened.values())


def traced(id: str, title: str, lines: list[tuple[str, str]], address: Any) -> How | None:
    """`lines`, and the command that explains the number or claim of this address completely."""
    if isinstance(address, str):
        lines = [*lines, ("trace it with", f"rs why {shlex.quote(address)}")]
    return How(id, title, tuple(lines)) if lines else None


def _of_labels(provenance: pd.DataFrame, files: Sequence[str], overrides: Mapping[str, Any]) -> Iterator[How]:
    grouped = provenance.groupby("label", sort=False) if len(provenance) else ()
    for i, (label, rows) in enumerate(grouped):
        lines: list[tuple[str, str]] = []
        for run, mine in rows.groupby("run", sort=False):
            lines.append(("run", str(run)))
            for row in reading.rows_of(mine):
                lines += [(_sentence(row), ""), *_again(row, mine, files, overrides)]
        yield How(f"how-{i}", str(label), tuple(lines))


def _sentence(row: Mapping[str, Any]) -> str:
    """A row as text: `attack, pgd_l2 under gaussian sigma=0.25: 3.2 s on AMD EPYC, commit 3f2a91c`."""
    under = f" under {row['smoothing']}" if pd.notna(row.get("smoothing")) else ""
    seconds = f"{row['seconds']:,.3g} s" if pd.notna(row["seconds"]) else "seconds not kept"
    parts = [seconds + (f" on {row['device']}" if _is_text(row["device"]) else "")]
    parts += [f"commit {row['commit']}"] if _is_text(row["commit"]) else []
    if row["stage"] == "log":
        return f"log of others, {row['what']}"
    extent = f", {int(row['files'])} files" if pd.notna(row["files"]) and row["files"] > 1 else ""
    if pd.notna(row.get("passes")):  # of an ensemble whose members do not all see every vote
        passes = plural(int(row["passes"]), "pass", "passes", ",")
        extent += f", {int(row['votes']):,} votes by {passes} of its networks"
    return f"{row['stage']}, {row['what']}{under}: {', '.join(parts)}{extent}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _again(
    row: Mapping[str, Any], mine: pd.DataFrame, files: Sequence[str], overrides: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """The file's place, and the command that makes it again; for draws it also certifies them anew."""
    if row["stage"] == "sample" or row["stage"] not in _RULES or not files:
        yield "in", str(row["file"])
    if row["stage"] not in _RULES or not files:
        return
    target, force = str(row["file"]), ["--force"]
    if row["stage"] == "sample":
        same = (mine["stage"] == "certify") & (mine["smoothing"] == row["smoothing"])
        target, force = str(mine[same]["file"].iloc[0]), ["--forcerun", "sample"]
    yield "made again by", command(files, overrides, target, *force, cores="all")
