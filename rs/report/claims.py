"""The page's section on claims: each sentence with its verdict and the numbers behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rs.report.html_table import How, Section, Table, down, text_cell, up
from rs.report.names import read
from rs.report.numerals import MINUS, printed
from rs.report.provenance import traced
from rs.tables.conditions import AGAINST, WITHIN


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
        lines = [printed(finding) for finding in findings(rows.to_dict("records"), str(first["verdict"]))]
        settings = first["settings"]
        if settings is not None and not pd.isna(settings):
            lines.insert(0, str(settings))
        verdict = text_cell(first["verdict"], f"text verdict {str(first['verdict']).split()[0]}")
        cells = [text_cell(first["claim"], "words"), dataclasses.replace(verdict, how=_how(first, rows))]
        cells += [dataclasses.replace(text_cell("; ".join(lines), "words"), lines=tuple(lines))]
        cells += [text_cell(f"{first['paper']}, {first['place']}", "words")]
        table.rows.append(cells)
    section.tables.append(table)
    return section


def _how(first: Any, rows: pd.DataFrame) -> How | None:
    """The rows behind a claim."""
    evidence = ", ".join(dict.fromkeys(e for e in rows["evidence"] if isinstance(e, str) and e))
    lines = [("from the rows", evidence)] if evidence else []
    return traced(f"how-claim-{first['id']}", str(first["claim"]), lines, first["address"])


def rests_on(rows: Sequence[Mapping[Any, Any]], verdict: str) -> str:
    """The `findings` of a claim in one line."""
    return "; ".join(findings(rows, verdict))


def findings(rows: Sequence[Mapping[Any, Any]], verdict: str) -> list[str]:
    """What a claim's conditions found: each with its values and intervals by radius, or the test or page that
    decides it. A value whose own verdict differs from the claim's `verdict` shows its own. What all values of
    a condition share is said once.
    """
    by_condition: dict[str, list[tuple[str, list[str]]]] = {}
    for row in rows:
        if row["value"] is not None and not pd.isna(row["value"]):
            by_condition.setdefault(str(row["condition"]), []).append((_value(row), _asides(row, verdict)))
        elif row["evidence"]:
            by_condition.setdefault(str(row["evidence"]), [])
    return [f"{what}: {_joined(values)}" if values else what for what, values in by_condition.items()]


def _joined(values: Sequence[tuple[str, list[str]]]) -> str:
    shared = [aside for aside in values[0][1] if all(aside in asides for _, asides in values)]
    if len(values) == 1 or not shared:
        return ", ".join(_with(value, asides) for value, asides in values)
    text = ", ".join(_with(value, [a for a in asides if a not in shared]) for value, asides in values)
    return f"{text} (each: {'; '.join(shared)})"


def _with(value: str, asides: Sequence[str]) -> str:
    return f"{value} ({'; '.join(asides)})" if asides else value


def _value(row: Mapping[Any, Any]) -> str:
    """The value, with its interval (rounded outwards; none for a value without uncertainty) and radius."""
    ends = [row[end] for end in ("low", "high")]
    text = f"{round(float(row['value']), 3) + 0.0:.3f}"  # 0.000, not -0.000
    if not any(end is None or pd.isna(end) for end in ends) and float(ends[0]) != float(ends[1]):
        text += f" [{down(ends[0])}, {up(ends[1])}]".replace(MINUS, "-")
    if row["radius"] is not None and not pd.isna(row["radius"]):
        text += f" at {row['radius']:g}"
    return text


def _asides(row: Mapping[Any, Any], verdict: str) -> list[str]:
    """Its own verdict where it is not the claim's, and what its votes or its steps were like."""
    own, counted = str(row["condition_verdict"]), str(row["counted"])
    asides = [own] if own != verdict else []
    if "votes" in counted:  # stopped, or the same on both sides
        return [*asides, counted]
    return asides + [part for part in counted.split("; ") if part == AGAINST or part.startswith(WITHIN)]
