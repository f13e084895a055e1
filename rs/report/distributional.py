"""The sections of a study's page on NAL: calibrated epsilons, and the distributional certificate with the
worst cases found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rs.report.distributional_figure import NAMES, finite
from rs.report.html_table import DASH, Cell, Section, Table, constants, interval, number, text_cell, up
from rs.report.names import read
from rs.report.numerals import numeral

_SHOWN = 7  # rhos of a table

_TABLE_1 = (
    "NAL's Table 1 has ε = 0.84, 0.34, 0.21 at γ = 0.25, 1.5, 3 for MNIST with its three-layer CNN at σ = "
    "0.05. There dσ² = 1.96: with fresh noise in the distance, ε cannot be below 1.4; with the r draws of "
    "the ascent's last step, which a cost with noise recentres, it cannot be below 1.4·√(1 − 1/r), which is "
    "0 at r = 1. At σ = 0.1 it has ε = 1.53, 0.92, 0.40 at γ = 0.25, 1.5, 5 for CIFAR-10 with ResNet-18, "
    "1.23, 0.57, 0.28 with VGG-16, and 0.93 at γ = 1.5 for Tiny ImageNet."
)


def calibration_section(tables: Path) -> Section:
    section = Section("calibration", "Calibration")
    frame = read(tables, "calibration")
    if frame.empty:
        return section
    section.lead = (
        "Mean squared ℓ₂ distance ρ that the inner maximisation at multiplier γ reaches on the training "
        "images, and ε = √ρ, with fresh noise counted in the distance (about dσ² more), with the noise of "
        "the ascent's last step, and without noise; ± one standard error."
    )
    readings = ("with_noise", "reused_noise", "without_noise")
    columns = [f"{q}_{w}" for q in ("rho", "epsilon") for w in readings]
    columns = [c for c in columns if c in frame and frame[c].notna().any()]
    words = {"rho": "ρ", "epsilon": "ε"}
    heads = [("label", "text"), ("γ", "number"), ("noise", "text")]
    heads += [(f"{words[c.split('_')[0]]} {c.split('_', 1)[1].replace('_', ' ')}", "number") for c in columns]
    rows = [
        [text_cell(r["label"]), number(r["gamma"]), text_cell(r["noise"])]
        + [number(r[c], r.get(f"{c}_se")) for c in columns]
        for r in frame.to_dict("records")
    ]
    note, _ = constants(frame, {"images": "{} training images"})
    section.tables.append(Table(heads, rows, " · ".join(filter(None, [note, _TABLE_1]))))
    return section


def distributional_section(tables: Path, seeds: Mapping[str, Any]) -> Section:
    """A table of ``distributional``, ``worst_cases`` and ``bound_checks`` for every smoothed run."""
    section = Section("distributional", "Distributional certificate")
    frame, points = read(tables, "distributional"), read(tables, "worst_cases")
    checks = read(tables, "bound_checks")
    if frame.empty:
        return section
    section.lead = (
        "Bounds: upper bounds of the mean loss under noise, for any adversary who moves the test images by "
        "E‖x − x₀‖² ≤ ρ without seeing the noise (NAL, Theorem 1, whose ρ also counts the noise's dσ²), with "
        "the best γ of the grid at each ρ. Worst cases: the losses that adversaries reach who pay "
        "γ‖x − x₀‖², and those of PGD, whose points no bound has used, mixed over the images so that the "
        "mean movement is ρ: PGD can refute an estimate. Small print: 95 % t intervals over the images. "
        "Estimates rest on an inner maximum found by ascent; proven bounds hold for these images with "
        "confidence 1 − α over the noise."
    )
    for (run, label, smoothing), part in frame.groupby(["run", "label", "smoothing"], sort=False):
        seed = f", seed {seeds.get(str(run))}" if seeds else ""
        title = f"{label}, {smoothing}{seed}"
        section.tables.append(_certificates(part, title))
        cases = points[(points["run"] == run) & (points["smoothing"] == smoothing)]
        section.tables.append(_worst_cases(cases, part, f"Worst cases found: {title}"))
        if not checks.empty:
            own = checks[(checks["run"] == run) & (checks["smoothing"] == smoothing)]
            section.tables.append(
                _checks(own, f"Bounds against adversaries that they have not seen: {title}")
            )
    return section


def _checks(rows: pd.DataFrame, title: str) -> Table:
    """Failures first; each bound at the rho where it does worst."""
    heads = [("bound", "text"), ("adversary", "text"), ("ρ", "number"), ("bound", "number")]
    heads += [("loss found", "number"), ("excess", "number"), ("p", "number"), ("verdict", "text")]
    table = Table(heads, [], title=title)
    for row in rows.sort_values("verdict", kind="stable").to_dict("records"):
        name = text_cell(NAMES[row["certificate"]], mark="" if row["rigorous"] else "estimate")
        cells = [name, text_cell(NAMES[row["adversary"]].removeprefix("worst cases found, "), "text words")]
        cells += [number(row["rho"]), Cell(up(row["bound"]), row["bound"])]
        cells += [number(row["loss"]), number(row["excess"], row["error"]), number(row["p"])]
        verdict = "refuted" if row["verdict"] == "fails" and not row["rigorous"] else row["verdict"]
        table.rows.append([*cells, text_cell(verdict, f"text verdict {row['verdict']}")])
    table.note = (
        "Loss found less bound, with the noise's standard error, at the worst of all ρ. A bound fails where "
        "the noise explains the excess with probability below 0.001 (all ρ counted): an estimate is then "
        "refuted."
    )
    return table


def _certificates(part: pd.DataFrame, title: str) -> Table:
    kept = finite(part)
    rhos = np.sort(kept["rho"].unique())
    shown = rhos[_spaced(len(rhos))]
    table = Table([("bound", "text"), *((f"ρ = {rho:.3g}", "number") for rho in shown)], [], title=title)
    table.columns.append(("γ", "number"))
    for name, group in kept.groupby("certificate", sort=False):
        at = {row["rho"]: row for row in group.to_dict("records")}
        mark = "" if group["rigorous"].all() else "estimate"
        row = [text_cell(NAMES[str(name)], mark=mark)]
        for bound in (at.get(rho) for rho in shown):
            if bound is None:
                row.append(Cell(DASH))
                continue
            row.append(
                Cell(up(bound["loss"]), float(bound["loss"]), under=interval(bound["low"], bound["high"]))
            )
        used = sorted({at[rho]["gamma"] for rho in shown if rho in at})
        span = " to ".join(f"{gamma:g}" for gamma in dict.fromkeys((used[0], used[-1]))) if used else DASH
        table.rows.append([*row, Cell(span, used[-1] if used else None)])
    note, _ = constants(part, {"images": "{} test images", "measured": "loss: {}"})
    proven = part["alpha"].dropna()
    note += f" · α = {proven.iloc[0]:g}" if len(proven) else ""
    table.note = " · ".join(filter(None, [note, _condition(part), _left_out(part)]))
    return table


def _left_out(rows: pd.DataFrame) -> str:
    """How many rows are not shown; empty where all are."""
    lost = len(rows) - len(finite(rows))
    return f"not shown: {lost} of {len(rows)} losses, which are not finite" if lost else ""


def _condition(part: pd.DataFrame) -> str:
    """Whether the inner problem is strongly concave, and from which gamma on it would be."""
    first = part.iloc[0]
    if math.isinf(first["gamma_concave"]):
        return "the loss is unbounded or without noise: at no γ is the inner problem known to be concave"
    used = part.loc[part["certificate"] == "nal", "concave"]
    met = "at every ρ" if used.all() else "at some ρ" if used.any() else "at no ρ"
    return (
        f"loss ≤ M = {first['loss_bound']:g}: the inner problem is strongly concave from γ = "
        f"{first['gamma_concave']:.3g} on (0.242 M/σ²; Corollary 1 asks for 2M/σ² = "
        f"{first['gamma_corollary_1']:.3g}); NAL's best γ is as large {met}"
    )


def _worst_cases(points: pd.DataFrame, part: pd.DataFrame, title: str) -> Table:
    heads = [("adversary", "text"), ("γ", "number"), ("ρ", "number"), ("ρ with noise", "number")]
    table = Table([*heads, ("loss", "number")], [], title=title)
    noise = float((part["rho_with_noise"] - part["rho"]).iloc[0])
    shown = finite(points)
    mixed = shown["adversary"].str.startswith("pgd_")
    thinned = [part.iloc[_spaced(len(part))] for _, part in shown[mixed].groupby("adversary", sort=False)]
    for row in pd.concat([shown[~mixed], *thinned]).to_dict("records"):
        counted = row["rho"] + (noise if row["adversary"].endswith("smoothed") else 0.0)
        name = NAMES[row["adversary"]].removeprefix("worst cases found, ")
        cells = [text_cell(name), number(row["gamma"])]
        rho = Cell(numeral(row["rho"], ".4g"), row["rho"], under=interval(row["rho_low"], row["rho_high"]))
        loss = Cell(numeral(row["loss"], ".4g"), row["loss"], under=interval(row["low"], row["high"]))
        table.rows.append([*cells, rho, number(counted), loss])
    table.note = " · ".join(filter(None, [_left_out(points), _refused(points)]))
    return table


def _spaced(n: int) -> np.ndarray:
    """The indices of at most _SHOWN of n things, evenly spaced, with the first and the last."""
    return np.unique(np.linspace(0, n - 1, min(_SHOWN, n)).round().astype(int))


def _refused(points: pd.DataFrame) -> str:
    """The prices at which ascents ended below their start."""
    if "refused" not in points:
        return ""
    lost = points[points["refused"].fillna(0) > 0]
    whose = {"smoothed": "noise added", "base": "base classifier"}
    shares = [
        f"{up(r['refused'], 2)} at γ = {r['gamma']:g} ({whose[r['adversary']]})"
        for r in lost.to_dict("records")
    ]
    sentence = "ascents that ended below their start are refused, and their images left where they are: "
    return sentence + ", ".join(shares) if shares else ""
