"""The page's section on claims: each sentence with its verdict and the numbers behind it."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rs.report.html_table import How, Section, Table, down, text_cell, up
from rs.report.names import read
from rs.report.numerals import MINUS, printed
from rs.tables.conditions import AGAINST


def claims_section(tables: Path) -> Section:
    """One row per claim, from ``claims.parquet`` (rs.tables.claims)."""
    section = Section("claims", "Claims")
    frame = read(tables, "claims")
    if frame.empty:
        return section
    section.lead = "Claims in words, each tested on this study's tables."
    heads = [("claim", "text"), ("verdict", "text"), ("rests on", "text"), ("where", "text")]
    table = Table(heads, [])
    for _, rows in frame.groupby("id", sort=False):
        first = rows.iloc[0]
        told = [printed(finding) for finding in findings(rows.to_dict("records"), str(first["verdict"]))]
        settings = first["settings"]
        if settings is not None and not pd.isna(settings):
            told.insert(0, str(settings))
        verdict = text_cell(first["verdict"], f"text verdict {str(first['verdict']).split()[0]}")
        cells = [text_cell(first["claim"], "words"), dataclasses.replace(verdict, how=_how(first, rows))]
        cells += [dataclasses.replace(text_cell("; ".join(told), "words"), lines=tuple(told))]
        cells += [text_cell(f"{first['paper']}, {first['place']}", "words")]
        table.rows.append(cells)
    section.tables.append(table)
    return section


def _how(first: Any, rows: pd.DataFrame) -> How | None:
    """The rows behind a claim, and the command that explains it completely."""
    evidence = ", ".join(dict.fromkeys(e for e in rows["evidence"] if isinstance(e, str) and e))
    told = [("from the rows", evidence)] if evidence else []
    if isinstance(first["address"], str):
        told.append(("trace it with", f"rs why {shlex.quote(first['address'])}"))
    return How(f"how-claim-{first['id']}", str(first["claim"]), tuple(told)) if told else None


def rests_on(rows: Sequence[Mapping[Any, Any]], verdict: str) -> str:
    """The `findings` of a claim in one line."""
    return "; ".join(findings(rows, verdict))


def findings(rows: Sequence[Mapping[Any, Any]], verdict: str) -> list[str]:
    """What a claim's conditions found: each with its values and intervals by radius, or the test or page that
    decides it. A value whose own verdict differs from the claim's `verdict` shows its own.
    """
    told: dict[str, list[str]] = {}
    for row in rows:
        found = _found(row, verdict)
        if found:
            told.setdefault(str(row["condition"]), []).append(found)
        elif row["evidence"]:
            told.setdefault(str(row["evidence"]), [])
    return [f"{what}: {', '.join(values)}" if values else what for what, values in told.items()]


def _found(row: Mapping[Any, Any], verdict: str) -> str:
    """The value, with its interval (rounded outwards; none for a value without uncertainty), radius and
    verdict; empty for a condition without a value.
    """
    if row["value"] is None or pd.isna(row["value"]):
        return ""
    ends = [row[end] for end in ("low", "high")]
    told = f"{round(float(row['value']), 3) + 0.0:.3f}"  # 0.000, not -0.000
    if not any(end is None or pd.isna(end) for end in ends) and float(ends[0]) != float(ends[1]):
        told += f" [{down(ends[0])}, {up(ends[1])}]".replace(MINUS, "-")
    if row["radius"] is not None and not pd.isna(row["radius"]):
        told += f" at {row['radius']:g}"
    own = str(row["condition_verdict"])
    asides = [own] if own != verdict else []
    if "votes" in str(row["counted"]):  # stopped, or the same on both sides
        asides.append(str(row["counted"]))
    if AGAINST in str(row["counted"]):
        asides.append(AGAINST)
    return told + (f" ({'; '.join(asides)})" if asides else "")
