"""The sections of a study's page on certified accuracy and on the average certified radius."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from rs.report.html_table import (
    DASH,
    Cell,
    Section,
    Table,
    bound,
    constants,
    down,
    interval,
    number,
    text_cell,
    up,
)
from rs.report.names import norm_name, read
from rs.report.summary import best

_CLAIM = {
    "images": "{} test images",
    "n": "n = {} noisy samples per image",
    "alpha": "α = {}",
    "precision": "{}",
    "stopping": "n is the mean number of votes ({})",
    "largest_radius": "largest radius that unanimous votes certify: {}",
}

_TEXTS = ("precision", "stopping")

_BOUND = "≥ marks a lower bound: voting stopped once the requested radii were decided."


def _shown(present: Iterable[float], radii: Sequence[float] | None) -> list[float]:
    """The report's radii that the table has; all of the table's radii where the study names none."""
    have = sorted({float(r) for r in present})
    if not radii:
        return have
    return [r for r in have if any(math.isclose(r, float(a), abs_tol=1e-9) for a in radii)] or have


def wide(
    frame: pd.DataFrame,
    keys: list[str],
    value: str,
    radii: list[float],
    extra: list[str],
    seeds: Mapping[str, Any],
    leaders: Collection[tuple[Any, ...]] = (),
) -> Table:
    """One row per combination of `keys`, one column per radius, tinted by the value; bold where `leaders`
    contains certificate or attack, noise, radius and label.
    """
    heads = [(k.replace("smoothing", "smoothing noise"), "text") for k in keys if k != "run"]
    columns = heads + [("seed", "number")] * bool(seeds) + [(f"r = {r:g}", "number") for r in radii]
    rows = []
    for _, group in frame.groupby(keys, sort=False, dropna=False):
        first = group.iloc[0]
        estimate = "" if bool(first.get("rigorous", True)) else "estimate"
        row = [text_cell(first[k], mark=estimate * (k == "certificate")) for k in keys if k != "run"]
        if seeds:
            row.append(text_cell(seeds.get(str(first["run"]))))
        at = {row["radius"]: row for row in group.to_dict("records")}
        for r in radii:
            if r not in at:
                row.append(Cell(DASH))
                continue
            share = float(at[r][value])
            under = interval(at[r]["low"], at[r]["high"])
            opens = ""
            if "certificate" in first:
                opens = json.dumps([first["run"], first["certificate"], first["smoothing"], float(f"{r:g}")])
            shown = bound(at[r]) + down(share)
            by = first["certificate" if "certificate" in first else "attack"]
            leads = (by, first["smoothing"], r, first["label"]) in leaders
            kind = "number best" if leads else "number"
            row.append(Cell(shown, share, under=under, tint=round(share, 3), opens=opens, kind=kind))
        rows.append(row + [text_cell(first[c]) if c in _TEXTS else number(first[c]) for c in extra])
    return Table(columns + [(c.replace("_", " "), "number") for c in extra], rows)


def once(part: pd.DataFrame, keys: list[str]) -> tuple[str, list[str]]:
    """The noise, certificate and attack that all rows share, as text above the table, and the remaining
    `keys`.
    """
    shared = [k for k in ("smoothing", "certificate", "attack") if k in keys and part[k].nunique() == 1]
    words = [str(part[k].iloc[0]) for k in shared]
    if (
        shared[:1] == ["smoothing"] and words[0] == "none"
    ):  # alone in a title, the word would be about the radius
        words[0] = "no smoothing noise"
    if "certificate" in shared and not part["rigorous"].all():
        words[-1] += " (an estimate, not a proof)"
    return "".join(f", {word}" for word in words), [k for k in keys if k not in shared]


def certified_section(
    tables: Path, radii: Sequence[float] | None, seeds: Mapping[str, Any], live: bool
) -> Section:
    """`live`: the page has the images behind each number, and the cells open them."""
    section = Section("certified", "Certified accuracy", empty="Nothing was certified in this study.")
    section.lead = (
        "Share of test images whose prediction is correct and certified at radius r, with its 95 % Wilson "
        "interval."
    )
    frame, average = read(tables, "certified_accuracy"), read(tables, "average_certified_radius")
    keys = ["run", "label", "smoothing", "certificate"]
    leaders = {(b.by, b.smoothing, b.radius, b.label) for b in best(tables)}
    if leaders:
        section.lead += (
            " Bold: certifies more than every other run under the same noise and certificate, image by "
            "image, beyond the noise of the test images."
        )
    if _stopped(frame):
        section.lead += " Where votes were stopped, a curve is a lower bound between the requested radii."
    for norm, part in [] if frame.empty else list(frame.groupby("norm", sort=False)):
        note, extra = constants(part, _CLAIM)
        shared, varying = once(part, keys)
        table = wide(part, varying, "certified_accuracy", _shown(part.radius, radii), extra, seeds, leaders)
        if not live:
            table.rows = [[replace(cell, opens="") for cell in row] for row in table.rows]
        table.title = f"{norm_name(norm)} radius{shared}"
        table.note = _noted(note, part)
        if not average.empty:
            acr = {tuple(r[k] for k in keys): r for r in average[average.norm == norm].to_dict("records")}
            place = next(i for i, (head, _) in enumerate(table.columns) if head.startswith("r = "))
            table.columns.insert(place, ("ACR", "number"))
            for row, (key, _) in zip(table.rows, part.groupby(keys, sort=False, dropna=False), strict=True):
                row.insert(place, _acr(acr[key]) if key in acr else Cell(DASH))
        section.tables.append(table)
    over, acr_over = (
        read(tables, f"{n}_over_seeds") for n in ("certified_accuracy", "average_certified_radius")
    )
    if not over.empty:
        section.tables.append(_over_seeds(over, acr_over, radii))
    return section


def _acr(row: Any) -> Cell:
    return Cell(bound(row) + down(row["acr"]), float(row["acr"]), under=interval(row["low"], row["high"]))


def _stopped(frame: pd.DataFrame) -> bool:
    return "stopping" in frame and bool(frame["stopping"].notna().any())


def _noted(note: str, frame: pd.DataFrame) -> str:
    return f"{note} · {_BOUND}" if _stopped(frame) else note


def _over_seeds(over: pd.DataFrame, acr: pd.DataFrame, radii: Sequence[float] | None) -> Table:
    keys = ["label", "smoothing", "certificate"]
    shown = _shown(over.radius, radii)
    heads = [("label", "text"), ("smoothing noise", "text"), ("certificate", "text"), ("seeds", "number")]
    averages = {tuple(row[k] for k in keys): row for row in acr.to_dict("records")}
    rows = []
    for key, group in over.groupby(keys, sort=False):
        at = {row["radius"]: row for row in group.to_dict("records")}
        first = group.iloc[0]
        row = [
            text_cell(first["label"]),
            text_cell(first["smoothing"]),
            text_cell(first["certificate"]),
        ]
        row.append(number(int(group["seeds"].max())))
        row += [_spread(at[r]) if r in at else Cell(DASH) for r in shown]
        row.insert(4, _spread(averages[key]) if key in averages else Cell(DASH))
        rows.append(row)
    columns = [*heads, ("ACR", "number"), *((f"r = {r:g}", "number") for r in shown)]
    note = "Mean over training seeds, and one standard deviation between them."
    return Table(columns, rows, note, "Over seeds")


def _spread(row: Any) -> Cell:
    return Cell(bound(row) + down(row["mean"]), float(row["mean"]), under=f"± {up(row['std'])}")


def radius_section(tables: Path, seeds: Mapping[str, Any]) -> Section:
    section = Section("radius", "Average certified radius", empty="Nothing was certified in this study.")
    section.lead = (
        "Mean certified radius over the test images, where wrong and abstained images count as 0, with its "
        "95 % t interval."
    )
    frame = read(tables, "average_certified_radius")
    for norm, part in [] if frame.empty else list(frame.groupby("norm", sort=False)):
        note, extra = constants(part, _CLAIM)
        end = float(part[["acr", "high"]].max().max()) or 1.0
        note = _noted(note, part)
        # the number stands beside the label: a phone shows two columns
        table = Table([("label", "text"), ("ACR", "number"), (f"0 to {up(end, 2)}", "plot")], [], note)
        table.columns += [("smoothing noise", "text"), ("certificate", "text")]
        table.columns += [("seed", "number")] * bool(seeds)
        table.columns += [(c.replace("_", " "), "number") for c in extra]
        table.title = f"{norm_name(norm)} radius"
        for row in part.to_dict("records"):
            low, high = (row[c] if pd.notna(row[c]) else row["acr"] for c in ("low", "high"))
            span = (max(low, 0.0) / end, row["acr"] / end, high / end)
            cells = [text_cell(row["label"]), _acr(row), Cell("", row["acr"], span=span)]
            cells.append(text_cell(row["smoothing"]))
            cells.append(text_cell(row["certificate"], mark="" if row["rigorous"] else "estimate"))
            cells += [text_cell(seeds.get(row["run"]))] * bool(seeds)
            table.rows.append(cells + [text_cell(row[c]) if c in _TEXTS else number(row[c]) for c in extra])
        section.tables.append(table)
    return section
