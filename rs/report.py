"""A study's page: one HTML file with its tables and figures inside, which opens without a network.

Certified accuracies and average certified radii are shown rounded down, intervals outwards, never in a
method's favour. The page is a function of the tables, the figures and `context`: same input, same bytes.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from rs.figures import norm_name, smoothing_name
from rs.provenance import write_text
from rs.tracking import read

_DASH = "–"
_FIXED = ("dataset", "model", "objective", "noise", "sigma", "seed", "epochs", "device", "precision")


@dataclass(frozen=True)
class Cell:
    """What a cell says, what it is sorted by, small print under it, a tint in [0, 1], an interval to draw."""

    text: str
    sort: Any = None
    under: str = ""
    tint: float | None = None
    mark: str = ""
    span: tuple[float, float, float] | None = None  # low, value, high as shares of the widest interval's end
    kind: str = "number"


@dataclass
class Table:
    columns: list[tuple[str, str]]  # heading and kind: "text", "number", "plot" or "code"
    rows: list[list[Cell]]
    note: str = ""
    title: str = ""


@dataclass
class Section:
    id: str
    title: str
    lead: str = ""
    tables: list[Table] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)  # data URI and what it shows
    empty: str = ""


def _down(value: float, digits: int = 3) -> str:
    return f"{math.floor(value * 10**digits + 1e-6) / 10**digits:.{digits}f}"


def _up(value: float, digits: int = 3) -> str:
    return f"{math.ceil(value * 10**digits - 1e-6) / 10**digits:.{digits}f}"


def _interval(low: Any, high: Any) -> str:
    return f"{_down(low)}–{_up(high)}" if pd.notna(low) and pd.notna(high) else ""


def _number(value: Any, error: Any = None) -> Cell:
    if value is None or pd.isna(value):
        return Cell(_DASH)
    text = f"{value:,}" if isinstance(value, (int, np.integer)) else f"{value:.4g}"
    return Cell(text, float(value), under="" if error is None or pd.isna(error) else f"± {error:.2g}")


def _text(value: Any, kind: str = "text", mark: str = "") -> Cell:
    absent = value is None or (isinstance(value, float) and math.isnan(value))
    return Cell(_DASH if absent else _plain(value), None if absent else str(value), kind=kind, mark=mark)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def _constants(frame: pd.DataFrame, names: Mapping[str, str]) -> tuple[str, list[str]]:
    """`names`: column -> words. What has one value in the whole table, as a sentence; the other columns."""
    same, varying = [], []
    for column, words in names.items():
        if column not in frame:
            continue
        values = frame[column].dropna().unique()
        if len(values) == 1 and frame[column].notna().all():
            value = values[0]
            same.append(words.format(f"{value:,}" if isinstance(value, (int, np.integer)) else _plain(value)))
        elif len(values):
            varying.append(column)
    return " · ".join(same), varying


def _judge(judge: Any) -> str:
    if str(judge) == "base":
        return "the base classifier without noise"
    return f"the majority of {int(judge):,} fresh votes" if str(judge).isdigit() else str(judge)


# --- the sections -----------------------------------------------------------------------------------------

_CLAIM = {
    "images": "{} test images",
    "n": "n = {} noisy samples per image",
    "alpha": "α = {}",
    "precision": "{}",
}


def _shown(present: Iterable[float], asked: Sequence[float] | None) -> list[float]:
    """The report radii that the table has; all of them where the study names none."""
    have = sorted({float(r) for r in present})
    if not asked:
        return have
    return [r for r in have if any(math.isclose(r, float(a), abs_tol=1e-9) for a in asked)] or have


def _wide(
    frame: pd.DataFrame,
    keys: list[str],
    value: str,
    radii: list[float],
    extra: list[str],
    seeds: Mapping[str, Any],
) -> Table:
    """One row per combination of `keys`, one column per radius, tinted by the value."""
    several = len(set(seeds.values())) > 1
    heads = [(k.replace("smoothing", "smoothing noise"), "text") for k in keys if k != "run"]
    columns = heads + [("seed", "number")] * several + [(f"r = {r:g}", "number") for r in radii]
    rows = []
    for _, group in frame.groupby(keys, sort=False, dropna=False):
        first = group.iloc[0]
        estimate = "" if bool(first.get("rigorous", True)) else "estimate"
        row = [
            _text(
                smoothing_name(first[k]) if k == "smoothing" else first[k],
                mark=estimate * (k == "certificate"),
            )
            for k in keys
            if k != "run"
        ]
        if several:
            row.append(_text(seeds.get(str(first["run"]))))
        at = {row["radius"]: row for row in group.to_dict("records")}
        for r in radii:
            if r not in at:
                row.append(Cell(_DASH))
                continue
            found = float(at[r][value])
            under = _interval(at[r]["low"], at[r]["high"])
            row.append(Cell(_down(found), found, under=under, tint=round(found, 3)))
        rows.append(row + [_number(first[c]) if c != "precision" else _text(first[c]) for c in extra])
    return Table(columns + [(c, "number") for c in extra], rows)


def _certified(tables: Path, radii: Sequence[float] | None, seeds: Mapping[str, Any]) -> Section:
    section = Section("certified", "Certified accuracy", empty="Nothing was certified in this study.")
    section.lead = (
        "Share of test images whose prediction is correct and certified at radius r, with its 95 % Wilson "
        "interval."
    )
    frame, average = read(tables, "certified_accuracy"), read(tables, "average_certified_radius")
    keys = ["run", "label", "smoothing", "certificate"]
    for norm, part in [] if frame.empty else list(frame.groupby("norm")):
        note, extra = _constants(part, _CLAIM)
        table = _wide(part, keys, "certified_accuracy", _shown(part.radius, radii), extra, seeds)
        table.title, table.note = f"{norm_name(norm)} radius", note
        if not average.empty:
            acr = {tuple(r[k] for k in keys): r for r in average[average.norm == norm].to_dict("records")}
            place = next(i for i, (head, _) in enumerate(table.columns) if head.startswith("r = "))
            table.columns.insert(place, ("ACR", "number"))
            for row, (key, _) in zip(table.rows, part.groupby(keys, sort=False, dropna=False), strict=True):
                row.insert(place, _acr(acr[key]) if key in acr else Cell(_DASH))
        section.tables.append(table)
    over, acr_over = (
        read(tables, f"{n}_over_seeds") for n in ("certified_accuracy", "average_certified_radius")
    )
    if not over.empty:
        section.tables.append(_over_seeds(over, acr_over, radii))
    return section


def _acr(row: Any) -> Cell:
    return Cell(_down(row["acr"]), float(row["acr"]), under=_interval(row["low"], row["high"]))


def _over_seeds(over: pd.DataFrame, acr: pd.DataFrame, radii: Sequence[float] | None) -> Table:
    keys = ["label", "smoothing", "certificate"]
    shown = _shown(over.radius, radii)
    heads = [("label", "text"), ("smoothing noise", "text"), ("certificate", "text"), ("seeds", "number")]
    rows = []
    for key, group in over.groupby(keys, sort=False):
        at = {row["radius"]: row for row in group.to_dict("records")}
        first = group.iloc[0]
        row = [_text(first["label"]), _text(smoothing_name(first["smoothing"])), _text(first["certificate"])]
        row.append(_number(int(group["seeds"].max())))
        row += [_spread(at[r]) if r in at else Cell(_DASH) for r in shown]
        mine = acr[(acr[keys] == list(key)).all(axis=1)] if not acr.empty else acr
        row.insert(4, _spread(mine.iloc[0]) if len(mine) else Cell(_DASH))
        rows.append(row)
    columns = [*heads, ("ACR", "number"), *((f"r = {r:g}", "number") for r in shown)]
    note = "Mean over training seeds, and one standard deviation between them."
    return Table(columns, rows, note, "Over seeds")


def _spread(row: Any) -> Cell:
    return Cell(_down(row["mean"]), float(row["mean"]), under=f"± {_up(row['std'])}")


def _radius(tables: Path, seeds: Mapping[str, Any]) -> Section:
    section = Section("radius", "Average certified radius", empty="Nothing was certified in this study.")
    section.lead = (
        "Mean certified radius over the test images, where wrong and abstained images count as 0, with its "
        "95 % t interval."
    )
    frame = read(tables, "average_certified_radius")
    for norm, part in [] if frame.empty else list(frame.groupby("norm")):
        note, extra = _constants(part, _CLAIM)
        several = len(set(seeds.values())) > 1
        end = float(part[["acr", "high"]].max().max()) or 1.0
        table = Table([("label", "text"), ("smoothing noise", "text"), ("certificate", "text")], [], note)
        table.columns += [("seed", "number")] * several + [("ACR", "number"), (f"0 to {_up(end, 2)}", "plot")]
        table.columns += [(c, "number") for c in extra]
        table.title = f"{norm_name(norm)} radius"
        for row in part.to_dict("records"):
            low, high = (row[c] if pd.notna(row[c]) else row["acr"] for c in ("low", "high"))
            span = (max(low, 0.0) / end, row["acr"] / end, high / end)
            cells = [_text(row["label"]), _text(smoothing_name(row["smoothing"]))]
            cells.append(_text(row["certificate"], mark="" if row["rigorous"] else "estimate"))
            cells += [_text(seeds.get(row["run"]))] * several
            cells += [_acr(row), Cell("", row["acr"], span=span)]
            table.rows.append(cells + [_number(row[c]) if c != "precision" else _text(row[c]) for c in extra])
        section.tables.append(table)
    return section


def _attacks(tables: Path, seeds: Mapping[str, Any]) -> Section:
    section = Section("attacks", "Accuracy under attack", empty="No attack was run in this study.")
    frame = read(tables, "empirical_accuracy")
    if frame.empty:
        return section
    section.lead = (
        "Share of test images still classified correctly after an attack of at most that radius, with its "
        "95 % Wilson interval: robust accuracy seen from above, as certified accuracy sees it from below."
    )
    frame = frame.assign(judge=frame["judge"].map(_judge))
    for norm, part in frame.groupby("norm"):
        note, extra = _constants(part, {"images": "{} test images", "judge": "judged by {}"})
        keys = ["run", "label", "smoothing", "attack"] + ["judge"] * ("judge" in extra)
        extra = [c for c in extra if c != "judge"]
        table = _wide(part, keys, "accuracy", _shown(part.radius, None), extra, seeds)
        table.title, table.note = f"{norm_name(norm)} radius", note
        section.tables.append(table)
    return section


def _calibration(tables: Path) -> Section:
    section = Section("calibration", "Calibration", empty="Nothing was calibrated in this study.")
    frame = read(tables, "calibration")
    if frame.empty:
        return section
    section.lead = (
        "Mean squared ℓ₂ distance ρ that the inner maximisation at multiplier γ reaches on the training "
        "images, and ε = √ρ, with the noise counted in the distance (about dσ² more) and without it; "
        "± one standard error."
    )
    columns = [f"{q}_{w}" for q in ("rho", "epsilon") for w in ("with_noise", "without_noise")]
    words = {"rho": "ρ", "epsilon": "ε"}
    heads = [("label", "text"), ("γ", "number"), ("σ", "number")]
    heads += [(f"{words[c.split('_')[0]]} {c.split('_', 1)[1].replace('_', ' ')}", "number") for c in columns]
    rows = [
        [_text(r["label"]), _number(r["gamma"]), _number(r["sigma"])]
        + [_number(r[c], r.get(f"{c}_se")) for c in columns]
        for r in frame.to_dict("records")
    ]
    note, _ = _constants(frame, {"images": "{} training images"})
    section.tables.append(Table(heads, rows, note))
    return section


def _training(tables: Path, runs: pd.DataFrame, seeds: Mapping[str, Any]) -> Section:
    section = Section("training", "Training", empty="This study trained nothing.")
    frame = read(tables, "training")
    if frame.empty:
        return section
    section.lead = "Values of the last epoch. Losses of different objectives are not on one scale."
    names = {str(r["run"]): str(r["label"]) for r in runs.to_dict("records")}
    outside = ("run", "label", "epoch", "seconds")
    metrics = [str(c) for c in frame if c not in outside and frame[c].notna().any()]
    several = len(set(seeds.values())) > 1
    table = Table([("label", "text")] + [("seed", "number")] * several + [("epochs", "number")], [])
    table.columns += [(m.replace("_", " "), "number") for m in metrics]
    table.columns += [("seconds", "number")] * ("seconds" in frame)
    for run, group in frame.groupby("run", sort=False):
        last = group.sort_values("epoch").iloc[-1]
        row = [_text(names.get(str(run), run))] + [_text(seeds.get(str(run)))] * several
        row += [_number(int(group["epoch"].nunique())), *(_number(last[m]) for m in metrics)]
        table.rows.append(row + [_number(float(group["seconds"].sum()))] * ("seconds" in frame))
    section.tables.append(table)
    return section


def _runs(runs: pd.DataFrame) -> Section:
    section = Section("runs", "Runs", empty="This study has no run yet.")
    if runs.empty:
        return section
    plain = [c for c in _FIXED if c in runs and runs[c].notna().any()]
    more = [str(c) for c in runs if str(c).startswith(("noise.", "training.")) and c != "noise.sigma"]
    own = [str(c) for c in runs if str(c).startswith(("model.", "objective.", "resolved."))]
    same, varying = _constants(
        runs, {c: c.replace("training.", "").replace("_", " ") + " {}" for c in plain + more}
    )
    heads = [(c.removeprefix("training.").replace("_", " ").replace("sigma", "σ"), "text") for c in varying]
    table = Table([("label", "text"), *heads, ("hyperparameters", "code")], [])
    table.columns += [("seconds", "number")] * ("train_seconds" in runs) + [("run", "code")]
    for row in runs.to_dict("records"):
        given = [f"{c.split('.', 1)[1]} = {_plain(row[c])}" for c in own if pd.notna(row[c])]
        cells = [_text(row["label"])]
        cells += [_number(row[c]) if isinstance(row[c], (int, float)) else _text(row[c]) for c in varying]
        cells.append(Cell(", ".join(given) or _DASH, ", ".join(given), kind="code"))
        cells += [_number(row["train_seconds"])] * ("train_seconds" in runs)
        table.rows.append([*cells, _text(row["run"], "code")])
    table.note = f"The same for every run: {same}." if same else ""
    section.tables.append(table)
    return section


def _published(tables: Path) -> Section:
    """Rows of ``published.parquet``, which a study that states published numbers writes: paper, table, label,
    smoothing_sigma, metric (acr or certified_accuracy), radius, published, reproduced, low, high, verdict."""
    section = Section("published", "Beside the papers")
    frame = read(tables, "published")
    if frame.empty:
        return section
    section.lead = "Published values, and what this study measures in their place with its 95 % interval."
    heads = [("paper", "text"), ("table", "text"), ("label", "text"), ("σ", "number"), ("metric", "text")]
    heads += [("published", "number"), ("reproduced", "number"), ("verdict", "text")]
    table = Table(heads, [])
    for row in frame.to_dict("records"):
        metric = "ACR" if row["metric"] == "acr" else f"certified accuracy at r = {row['radius']:g}"
        mark = "within" if str(row["verdict"]).startswith("within") else "outside"
        absent = pd.isna(row["reproduced"])
        mine = Cell(_DASH) if absent else Cell(_down(row["reproduced"]), float(row["reproduced"]))
        if not absent:
            mine = Cell(mine.text, mine.sort, under=_interval(row["low"], row["high"]))
        cells = [
            _text(row["paper"]),
            _text(row["table"]),
            _text(row["label"]),
            _number(row["smoothing_sigma"]),
        ]
        cells += [_text(metric), _number(row["published"]), mine]
        cells.append(_text(row["verdict"], f"text verdict {mark}"))
        table.rows.append(cells)
    section.tables.append(table)
    return section


# --- the page ---------------------------------------------------------------------------------------------

_CAPTIONS = {
    "certified-accuracy": (
        "certified",
        "Certified accuracy against radius. Bands: 95 % Wilson intervals, or one standard deviation where a "
        "label has several seeds. Dashed: estimates without a proof.",
    ),
    "empirical-accuracy": ("attacks", "Accuracy under attack against radius, with the same bands."),
    "training": ("training", "Training curves, averaged over seeds."),
    "examples": (
        "examples",
        "Test images: clean, with one draw of the noise, and attacked at a radius. Below "
        "each, the smoothed classifier's prediction; wrong ones and abstentions in red. Values outside "
        "[0, 1] are cut for display.",
    ),
}


def _facts(runs: pd.DataFrame, tables: Path) -> list[tuple[str, str]]:
    certified = read(tables, "average_certified_radius")
    facts = []
    if not runs.empty:
        facts.append(("trainings", f"{len(runs):,}"))
        for column, words in (("dataset", "data"), ("model", "model"), ("objective", "objectives")):
            facts.append((words, ", ".join(dict.fromkeys(runs[column].dropna().astype(str)))))
        sigmas = ", ".join(f"{s:g}" for s in sorted(runs["sigma"].dropna().unique()))
        facts.append(("training σ", sigmas or "no noise"))
    if not certified.empty:
        facts.append(("certificates", ", ".join(dict.fromkeys(certified["certificate"]))))
        brief = {"images": "{} test images", "n": "n\u00a0=\u00a0{}", "alpha": "α\u00a0=\u00a0{}"}
        note, varying = _constants(certified, brief)
        same = note.split(" · ") if note else []
        facts.append(("certified on", ", ".join([*same, *(f"several {v}" for v in varying)])))
    return facts


def write_report(
    study: str, tables: Path, figures: Sequence[Path], out: Path, context: Mapping[str, Any]
) -> None:
    """Writes the page `out` of `study` from ``<tables>/*.parquet`` and the PNG files among `figures`.

    `context`, all optional: ``description``, ``time``, ``commit``, ``command``, ``versions`` (by name),
    ``files`` (of the study), ``radii`` (to show certified accuracy at), ``links`` (name -> address or path).
    """
    runs = read(tables, "runs")
    seeds = {str(r["run"]): r.get("seed") for r in runs.to_dict("records")} if not runs.empty else {}
    sections = [
        _certified(tables, context.get("radii"), seeds),
        _radius(tables, seeds),
        _published(tables),
        _attacks(tables, seeds),
        _calibration(tables),
        _training(tables, runs, seeds),
        Section("examples", "Examples", empty="No attacked images were kept in this study."),
        _runs(runs),
    ]
    by_id = {section.id: section for section in sections}
    for path in figures:
        stem = next((s for s in _CAPTIONS if path.stem.startswith(s)), None)
        if path.suffix == ".png" and stem is not None:
            where, caption = _CAPTIONS[stem]
            image = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
            by_id[where].figures.append((image, caption))
    shown = [s for s in sections if s.tables or s.figures or s.empty]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made = {k: context.get(k) for k in ("time", "commit", "command")}
    page = environment.get_template("report.html").render(
        study=study,
        description=context.get("description") or "",
        facts=_facts(runs, tables),
        made={k: str(v) for k, v in made.items() if v},
        versions=dict(context.get("versions") or {}),
        files=[str(f) for f in context.get("files") or ()],
        links=dict(context.get("links") or {}),
        sections=shown,
    )
    write_text(out, page + "\n")
