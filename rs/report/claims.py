"""The page's section on claims: each sentence with its verdict and the numbers that it rests on."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from rs.report.html_table import How, Section, Table, text_cell
from rs.report.names import read


def claims_section(tables: Path) -> Section:
    """Rows of ``claims.parquet`` (rs.tables.claims), a row per claim."""
    section = Section("claims", "Claims")
    frame = read(tables, "claims")
    if frame.empty:
        return section
    section.lead = "What is claimed in sentences, as predicates over this study's tables."
    heads = [("claim", "text"), ("where", "text"), ("verdict", "text"), ("rests on", "text")]
    table = Table(heads, [])
    for _, rows in frame.groupby("id", sort=False):
        first = rows.iloc[0]
        told = [rests_on(row) for row in rows.to_dict("records")]
        settings = first["settings"]
        if settings is not None and not pd.isna(settings):
            told.insert(0, str(settings))
        cells = [
            text_cell(first["claim"], "words"),
            text_cell(f"{first['paper']}, {first['place']}", "words"),
        ]
        verdict = text_cell(first["verdict"], f"text verdict {str(first['verdict']).split()[0]}")
        cells.append(dataclasses.replace(verdict, how=_how(first, rows)))
        table.rows.append([*cells, text_cell("; ".join(filter(None, told)), "words")])
    section.tables.append(table)
    return section


def _how(first: Any, rows: pd.DataFrame) -> How | None:
    """The rows that a claim rests on, and the question that tells all of it."""
    evidence = ", ".join(dict.fromkeys(e for e in rows["evidence"] if isinstance(e, str) and e))
    told = [("from", evidence)] if evidence else []
    if isinstance(first["address"], str):
        told.append(("the whole chain:", f"rs why {shlex.quote(first['address'])}"))
    return How(f"how-claim-{first['id']}", str(first["claim"]), tuple(told)) if told else None


def rests_on(condition: Any) -> str:
    """A condition with what was found: its value and interval, or the test or page that decides it."""
    if condition["value"] is None or pd.isna(condition["value"]):
        return "" if condition["evidence"] is None else str(condition["evidence"])
    radius = condition["radius"]
    at = "" if radius is None or pd.isna(radius) else f" at {radius:g}"
    ends = [condition[end] for end in ("low", "high")]
    none = any(end is None or pd.isna(end) for end in ends)
    interval = "" if none else f" [{float(ends[0]):.3f}, {float(ends[1]):.3f}]".replace("inf", "∞")
    counted = str(condition["counted"])
    of_votes = f" ({counted})" if "votes" in counted else ""  # stopped, or the same on both sides
    return f"{condition['condition']}{at}: {float(condition['value']):.3f}{interval}{of_votes}"
