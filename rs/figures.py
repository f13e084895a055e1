"""A study's figures, as PNG and PDF, from its tables: accuracy against radius, training curves, image strips.

Lines are means over a label's seeds. Bands are the tables' 95 % intervals where a label has one seed, and
one standard deviation over the seeds where it has more. Estimates (certificates not rigorous) are
dashed. The same tables give the same bytes.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rs.provenance import whole_file
from rs.strips import INK as _INK
from rs.strips import QUIET as _QUIET
from rs.strips import strips
from rs.tracking import read
from rs.wasserstein_figure import certificate_figure

# Okabe & Ito's palette without its yellow and black: told apart under every common colour blindness.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("", *"os^DvPX")
_SOLID = ("-", (0, (9, 1.5)), (0, (5, 1, 1, 1)))  # rigorous certificates, in their order
_ACCESS: Any = {"white-box": "-", "transfer": "--", "gradient-free": ":"}  # of an attack
_SEVERAL = ((0, (6, 2)), (0, (4, 1, 1, 1)), (0, (2, 1)), (0, (6, 1, 1, 1, 1, 1)))  # attacks of one access
_DASHED = ((0, (3, 2)), (0, (1, 1.5)), (0, (3, 1.5, 1, 1.5)))  # estimates
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,  # fonts embedded whole, so that text stays text
    "savefig.dpi": 180,
}
STEMS = ("certified-accuracy", "empirical-accuracy", "distributional", "training", "examples")


def norm_name(norm: Any) -> str:
    norm = float(norm)
    return "ℓ∞" if math.isinf(norm) else f"ℓ{norm:g}".translate(str.maketrans("012", "₀₁₂"))


def smoothing_name(smoothing: str) -> str:
    return smoothing.replace("sigma=", "σ = ")


def _styles(runs: pd.DataFrame, labels: list[str]) -> dict[str, dict[str, Any]]:
    """One colour for labels that differ in nothing but the training noise, told apart by markers."""
    named = ("dataset", "model", "objective")
    columns = [str(c) for c in runs]
    alike = [
        c for c in columns if c in named or c.startswith(("model.", "objective.", "training.", "resolved."))
    ]
    families: dict[Any, list[str]] = {}
    for label in labels:
        rows = runs[runs.label == label] if "label" in runs else runs
        key = tuple(str(rows.iloc[0][c]) for c in alike) if len(rows) else label
        families.setdefault(key, []).append(label)
    most = max((len(family) for family in families.values()), default=1)
    styles = {}
    for i, family in enumerate(families.values()):
        for j, label in enumerate(family):
            styles[label] = _style(i, i // len(_COLOURS) * most + j)
    return styles


def _style(colour: int, marker: int = 1) -> dict[str, Any]:
    shape = _MARKERS[marker % len(_MARKERS)]
    return {"color": _COLOURS[colour % len(_COLOURS)], "marker": shape, "markersize": 3.5}


def _grid(panels: int, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    columns = min(panels, 3)
    rows = math.ceil(panels / columns)
    width = {1: 5.2, 2: 7.4, 3: 9.6}[columns]
    figure = Figure((width, height * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(panels)]
    return figure, axes


def _legend(figure: Figure, handles: list[Line2D]) -> None:
    longest = max(len(str(h.get_label())) for h in handles)
    # about 0.062 inches a letter and half an inch for the line itself
    columns = max(1, min(len(handles), int(figure.get_figwidth() / (0.062 * longest + 0.5)), 6))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def _line(axes: Axes, rows: pd.DataFrame, x: str, y: str, **style: Any) -> None:
    """The mean over seeds, with the band that this module's first lines name."""
    seeds = rows.groupby(x)[y]
    mean = seeds.mean()
    axes.plot(mean.index, mean, **style, markevery=max(1, len(mean) // 8))
    if seeds.size().max() > 1:
        spread = seeds.std(ddof=1).fillna(0.0)
        low, high = mean - spread, mean + spread
    elif {"low", "high"} <= set(rows):
        ordered = rows.set_index(x).sort_index()
        low, high = ordered["low"], ordered["high"]
    else:
        return
    axes.fill_between(mean.index, low, high, color=style["color"], alpha=0.13, linewidth=0)


def _accuracy_axes(axes: Axes, radii: pd.Series, title: str, xlabel: str, ylabel: str) -> None:
    axes.set_title(title, loc="left")
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1), xlim=(0, max(float(radii.max()), 1e-3)))


def _certified(certified: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> Figure:
    kinds = certified[["certificate", "rigorous"]].drop_duplicates()
    lines: dict[str, Any] = {}
    for rigorous, dashes in ((True, _SOLID), (False, _DASHED)):
        lines.update(
            zip(kinds[kinds.rigorous == rigorous].certificate, itertools.cycle(dashes), strict=False)
        )
    # one run under many certificates: colour tells the certificates apart, not the only label
    alone = len(kinds) > 1 and certified["label"].nunique() == 1
    colours = dict(zip(kinds.certificate, itertools.cycle(_COLOURS), strict=False)) if alone else {}
    panels = list(certified.groupby(["norm", "smoothing"], sort=True))
    figure, grid = _grid(len(panels))
    for axes, ((norm, smoothing), panel) in zip(grid, panels, strict=True):
        for (label, certificate), rows in panel.groupby(["label", "certificate"], sort=False):
            style = styles[str(label)] | {"linestyle": lines[str(certificate)]}
            style["color"] = colours.get(certificate, style["color"])
            _line(axes, rows, "radius", "certified_accuracy", **style)
        reached = panel[panel["certified_accuracy"] > 0].radius
        title = smoothing_name(str(smoothing))
        name = f"{norm_name(norm)} radius"
        _accuracy_axes(axes, reached if len(reached) else panel.radius, title, name, "certified accuracy")
    handles = [] if alone else _label_handles(certified, styles)
    if len(kinds) > 1:
        proven = dict(zip(kinds.certificate, kinds.rigorous, strict=True))
        for name, dashes in lines.items():
            told = name if proven[name] else f"{name} (estimate, not a proof)"
            colour = colours.get(name, _QUIET)
            handles.append(Line2D([], [], color=colour, linestyle=dashes, label=told))
    _legend(figure, handles)
    return figure


def _label_handles(frame: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> list[Line2D]:
    present = set(frame.label)
    return [Line2D([], [], label=label, **style) for label, style in styles.items() if label in present]


def _empirical(empirical: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> Figure:
    """One panel per attack and norm: transferred examples stand beside the attack that made them."""
    frame = empirical.assign(name=_series(empirical))
    for column, value in (("access", "white-box"), ("panel", frame["attack"])):
        frame[column] = frame[column].fillna(value) if column in frame else value
    missing = [name for name in dict.fromkeys(frame["name"]) if name not in styles]
    styles = styles | {n: _style(len(styles) + i) for i, n in enumerate(missing)}
    # what dashes tell: the access, or the attack where one classifier meets several of this access in a panel
    met = frame.groupby(["panel", "norm", "name", "access"])["attack"].transform("nunique")
    frame["kind"] = frame["access"].where(met == 1, frame["attack"])
    dashes = {access: line for access, line in _ACCESS.items() if access in set(frame["kind"])}
    several = [kind for kind in dict.fromkeys(frame["kind"]) if kind not in dashes]
    dashes |= dict(zip(several, itertools.cycle(_SEVERAL), strict=False))
    panels = list(frame.groupby(["panel", "norm"], sort=True))
    figure, grid = _grid(len(panels))
    for axes, ((attack, norm), panel) in zip(grid, panels, strict=True):
        for (name, _, kind), rows in panel.groupby(["name", "attack", "kind"], sort=False):
            # radii are few here: every one is marked
            style = styles[str(name)] | {"marker": styles[str(name)]["marker"] or "."}
            _line(axes, rows, "radius", "accuracy", **style, linestyle=dashes[str(kind)])
        noises = panel["smoothing"].unique()
        title = f"{attack}, {smoothing_name(str(noises[0]))}" if len(noises) == 1 else str(attack)
        _accuracy_axes(axes, panel.radius, title, f"{norm_name(norm)} radius", "accuracy under attack")
    handles = _label_handles(frame.assign(label=frame["name"]), styles)
    if list(dashes) != ["white-box"]:
        handles += [Line2D([], [], color=_QUIET, linestyle=d, label=kind) for kind, d in dashes.items()]
    _legend(figure, handles)
    return figure


def _series(frame: pd.DataFrame) -> pd.Series:
    """What a line is called: its label, with the noise where one label is smoothed with several."""
    several = frame.groupby("label")["smoothing"].transform("nunique") > 1
    return frame["label"].where(~several, frame["label"] + ", " + frame["smoothing"].map(smoothing_name))


def _training(training: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> Figure:
    outside = {"run", "label", "epoch", "seconds", "images_per_second", "learning_rate"}
    metrics = [c for c in training if c not in outside and training[c].notna().any()]
    figure, grid = _grid(max(1, len(metrics)))
    for axes, metric in zip(grid, metrics, strict=False):
        for label, rows in training[training[metric].notna()].groupby("label", sort=False):
            _line(axes, rows, "epoch", str(metric), **styles[str(label)] | {"linewidth": 1.1})
        axes.set(xlabel="epoch")
        axes.set_title(str(metric).replace("_", " "), loc="left")
    _legend(figure, _label_handles(training, styles))
    return figure


def _save(figure: Figure, stem: Path) -> list[Path]:
    paths = [stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.pdf")]
    for path, metadata in zip(paths, ({"Software": None}, {"CreationDate": None}), strict=True):
        with whole_file(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], metadata=metadata)
    return paths


def draw(tables: Path, out: Path) -> list[Path]:
    """Draws what ``<tables>/*.parquet`` hold into the folder `out`; returns the files, PNG before PDF.

    ``certified-accuracy``, ``empirical-accuracy``, ``distributional``, ``training``, ``examples``
    (``examples-2`` … where there are many): a figure whose table is empty is not drawn, and an older one of
    that name is removed.
    """
    # the fine grid: lines between the few radii of the report would show accuracies that nobody certified
    runs, certified, empirical = (read(tables, n) for n in ("runs", "radius_accuracy", "empirical_accuracy"))
    if certified.empty:
        certified = read(tables, "certified_accuracy")
    training, examples = read(tables, "training"), read(tables, "examples")
    distributional = read(tables, "distributional")
    if not training.empty and "label" not in training:
        training = training.merge(runs[["run", "label"]], on="run")
    labels = list(dict.fromkeys(x for f in (runs, certified, empirical) if not f.empty for x in f.label))
    styles = _styles(runs, labels)
    with mpl.rc_context():
        mpl.rcdefaults()  # nobody's own matplotlibrc
        mpl.rcParams.update(_STYLE)
        paths: list[Path] = []
        if not certified.empty:
            paths += _save(_certified(certified, styles), out / "certified-accuracy")
        if not empirical.empty:
            paths += _save(_empirical(empirical, styles), out / "empirical-accuracy")
        if not distributional.empty:
            figure = certificate_figure(distributional, read(tables, "worst_cases"), smoothing_name)
            paths += _save(figure, out / "distributional")
        if not training.empty:
            paths += _save(_training(training, styles), out / "training")
        if not examples.empty:
            named = examples.assign(smoothing=examples.smoothing.map(smoothing_name))
            for i, figure in enumerate(strips(named)):
                paths += _save(figure, out / (f"examples-{i + 1}" if i else "examples"))
    for stem in STEMS:
        for path in (*out.glob(f"{stem}*.png"), *out.glob(f"{stem}*.pdf")):
            if path not in paths:
                path.unlink()
    return paths
