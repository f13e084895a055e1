"""Sections of the page on the runs and their training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rs.report.html_table import DASH, Cell, Section, Table, constants, number, plain, text_cell
from rs.report.names import read

_FIXED = ("dataset", "model", "objective", "noise", "seed", "epochs", "device", "precision")
# Settings with a default that only one value of another setting uses (rs.settings.training).
_USED_WITH = {
    "training.optimizer.momentum": ("training.optimizer.name", "sgd"),
    "training.schedule.gamma": ("training.schedule.name", "multistep"),
    "training.schedule.milestones": ("training.schedule.name", "multistep"),
    "training.selection": ("training.keep", "best_clean"),
    "training.held_out": ("training.keep", "best_clean"),
}


def training_section(tables: Path, seeds: Mapping[str, Any]) -> Section:
    section = Section("training", "Training", empty="This study trained nothing.")
    frame = read(tables, "training")
    if frame.empty:
        return section
    section.lead = "Values of the last epoch. Losses of different objectives cannot be compared."
    outside = ("run", "label", "epoch", "seconds", "images_per_second")
    metrics = [str(c) for c in frame if c not in outside and frame[c].notna().any()]
    table = Table([("label", "text")] + [("seed", "number")] * bool(seeds) + [("epochs", "number")], [])
    table.columns += [(m.replace("_", " "), "number") for m in metrics]
    table.columns += [("seconds", "number")] * ("seconds" in frame)
    for run, group in frame.groupby("run", sort=False):
        last = group.sort_values("epoch").iloc[-1]
        row = [text_cell(last["label"])] + [text_cell(seeds.get(str(run)))] * bool(seeds)
        row += [number(int(group["epoch"].nunique())), *(number(last[m]) for m in metrics)]
        table.rows.append([*row, *(number(float(group[c].sum())) for c in ("seconds",) if c in frame)])
    section.tables.append(table)
    return section


def runs_section(runs: pd.DataFrame) -> Section:
    section = Section("runs", "Runs", empty="This study has no run yet.")
    if runs.empty:
        return section
    subset = [str(c) for c in runs if str(c).startswith("train.")]
    fixed = [c for c in (*_FIXED, *subset, "content") if c in runs and runs[c].notna().any()]
    stated = (str(c) for c in runs if str(c).startswith("training.") and _is_used(runs, str(c)))
    more = [c for c in stated if not _is_stated(runs, c, fixed)]
    own = [str(c) for c in runs if str(c).startswith(("model.", "objective.", "resolved."))]
    same, varying = constants(runs, {c: f"{_words(c)} {{}}" for c in fixed + more})
    heads = [(_words(c), "text") for c in varying]
    table = Table([("label", "text"), *heads, ("hyperparameters", "code")], [])
    table.columns += [("seconds", "number")] * ("train_seconds" in runs) + [("run", "code")]
    for row in runs.to_dict("records"):
        parameters = [f"{c.split('.', 1)[1]} = {plain(row[c])}" for c in own if pd.notna(row[c])]
        cells = [text_cell(row["label"])]
        cells += [number(row[c]) if isinstance(row[c], (int, float)) else text_cell(row[c]) for c in varying]
        cells.append(Cell(", ".join(parameters) or DASH, ", ".join(parameters), kind="code"))
        cells += [number(row[c]) for c in ("train_seconds",) if c in runs]
        table.rows.append([*cells, text_cell(row["run"], "code")])
    table.note = f"The same for every run: {same}." if same else ""
    section.tables.append(table)
    return section


def _words(column: str) -> str:
    """`learning rate` of `training.learning_rate`, `train max` of `train.max`."""
    return column.removeprefix("training.").replace("train.", "train ").replace("_", " ")


def _is_used(runs: pd.DataFrame, setting: str) -> bool:
    """Whether a run trains with this setting, as none does with a momentum where all take Adam."""
    chooser, value = _USED_WITH.get(setting, ("", ""))
    return chooser not in runs or bool((runs[chooser] == value).any())


def _is_stated(runs: pd.DataFrame, setting: str, fixed: Sequence[str]) -> bool:
    """Whether a column of `fixed` has the same values, as `epochs` those of `training.epochs`."""
    name = setting.removeprefix("training.")
    return name in fixed and runs[name].equals(runs[setting])
