"""A study's figures, as PNG and PDF, from its tables: accuracy against radius, training curves, image strips.

Lines are means over a label's seeds. Bands are the tables' 95 % intervals where a label has one seed, and
one standard deviation over the seeds where it has more. Estimates (certificates not rigorous) are
dashed. The same tables give the same bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rs.provenance.files import whole_file
from rs.report.distributional_figure import certificate_figure
from rs.report.example_figure import INK as _INK
from rs.report.example_figure import QUIET as _QUIET
from rs.report.example_figure import strips
from rs.report.figure_layout import COLOURS, LINES, PANELS, chunks, grid, legend, shortened, style, styles
from rs.report.names import norm_name, read

# rigorous certificates, in their order
_SOLID = ("-", (0, (9, 1.5)), (0, (5, 1, 1, 1)), (0, (9, 1, 1, 1)), (0, (12, 1.5, 5, 1.5)))

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
    "text.parse_math": False,  # a label's $ is a dollar
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,  # fonts embedded whole, so that text stays text
    "savefig.dpi": 180,
}

STEMS = ("certified-accuracy", "empirical-accuracy", "distributional", "training", "examples")


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


def _certified(
    certified: pd.DataFrame, styled: dict[str, dict[str, Any]], asked: Sequence[str] = ("noise",)
) -> list[Figure]:
    """A panel per norm and value of what was `asked` for (rs.settings.study.Report)."""
    proven = {str(c): bool(r) for c, r in zip(certified["certificate"], certified["rigorous"], strict=True)}
    dashes: dict[str, Any] = {}
    for rigorous, of_kind in ((True, _SOLID), (False, _DASHED)):
        names = [c for c, r in proven.items() if r == rigorous]
        dashes |= zip(names, itertools.cycle(of_kind), strict=False)
        if len(names) > len(of_kind) and certified["label"].nunique() > 1:  # dashes tell no more apart
            asked = [*asked, "certificate"]
    frame = certified.assign(run=certified["label"].str.partition("[")[0], noise=certified["smoothing"])
    frame["line"] = frame["label"] if "noise" in asked else _series(frame)
    styled = _with(styled, frame["line"])
    # one run under many certificates: they are told apart as labels are, not by dashes only
    alone = len(proven) > 1 and frame["line"].nunique() == 1
    own = {c: style(i, i // len(COLOURS)) for i, c in enumerate(proven)} if alone else {}
    figures = []
    for page in chunks(list(_certified_panels(frame, list(dict.fromkeys(asked)))), PANELS):
        figure, axes_of = grid(len(page))
        for axes, (norm, title, radii, part) in zip(axes_of, page, strict=True):
            for (label, certificate), rows in part:
                drawn = own.get(certificate) or styled[label]
                _line(
                    axes, rows, "radius", "certified_accuracy", **drawn | {"linestyle": dashes[certificate]}
                )
            name = f"{norm_name(norm)} radius"
            _accuracy_axes(axes, radii, title, name, "certified accuracy")
        present = {key for *_, part in page for key, _ in part}
        labels, certificates = {label for label, _ in present}, {certificate for _, certificate in present}
        handles = [] if alone else _label_handles(labels, styled)
        for name in [c for c in proven if c in certificates and len(proven) > 1]:
            text = name if proven[name] else f"{name} (estimate, not a proof)"
            drawn = own.get(name) or {"color": _QUIET}
            handles.append(Line2D([], [], label=text, **drawn | {"linestyle": dashes[name]}))
        legend(figure, handles)
        figures.append(figure)
    return figures


def _certified_panels(frame: pd.DataFrame, asked: list[str]) -> Iterator[tuple[Any, str, pd.Series, Any]]:
    """Norm, title, radii and lines of each panel; a line is ((name, certificate), its rows)."""
    for (norm, *values), panel in frame.groupby(["norm", *asked], sort=True):
        lines = [((str(a), str(b)), r) for (a, b), r in panel.groupby(["line", "certificate"], sort=False)]
        words = [str(v) if key == "noise" else _title(v) for key, v in zip(asked, values, strict=True)]
        reached = panel[panel["certified_accuracy"] > 0].radius
        radii = reached if len(reached) else panel.radius  # one scale for all parts
        parts = list(chunks(lines, LINES))
        for i, part in enumerate(parts):
            title = ", ".join([*words, *[f"{i + 1} of {len(parts)}"] * (len(parts) > 1)])
            yield norm, title, radii, part


def _with(styled: dict[str, dict[str, Any]], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Styles for names that have none yet too."""
    missing = [name for name in dict.fromkeys(names) if name not in styled]
    return styled | {n: style(len(styled) + i, 1 + i // len(COLOURS)) for i, n in enumerate(missing)}


def _title(text: Any) -> str:
    return shortened([str(text)])[str(text)]


def _label_handles(present: set[str], styled: dict[str, dict[str, Any]]) -> list[Line2D]:
    return [Line2D([], [], label=label, **drawn) for label, drawn in styled.items() if label in present]


def _empirical(empirical: pd.DataFrame, styled: dict[str, dict[str, Any]]) -> list[Figure]:
    """One panel per attack and norm: transferred examples stand beside the attack that made them."""
    frame = empirical.assign(name=_series(empirical))
    for column, value in (("access", "white-box"), ("panel", frame["attack"])):
        frame[column] = frame[column].fillna(value) if column in frame else value
    styled = _with(styled, frame["name"])
    # what dashes tell: the access, or the attack where one classifier meets several of this access in a panel
    met = frame.groupby(["panel", "norm", "name", "access"])["attack"].transform("nunique")
    frame["kind"] = frame["access"].where(met == 1, frame["attack"])
    dashes = {access: line for access, line in _ACCESS.items() if access in set(frame["kind"])}
    several = [kind for kind in dict.fromkeys(frame["kind"]) if kind not in dashes]
    dashes |= dict(zip(several, itertools.cycle(_SEVERAL), strict=False))
    panels = [
        (key, part)
        for key, panel in frame.groupby(["panel", "norm"], sort=True)
        for part in chunks(list(panel.groupby(["name", "attack", "kind"], sort=False)), LINES)
    ]
    figures = []
    for page in chunks(panels, PANELS):
        figure, axes_of = grid(len(page))
        for axes, ((attack, norm), part) in zip(axes_of, page, strict=True):
            for (name, _, kind), rows in part:
                # radii are few here: every one is marked
                drawn = styled[str(name)] | {"marker": styled[str(name)]["marker"] or "."}
                _line(axes, rows, "radius", "accuracy", **drawn, linestyle=dashes[str(kind)])
            shown = pd.concat([rows for _, rows in part])
            noises = shown["smoothing"].unique()
            noise = f", {noises[0]}" if len(noises) == 1 else ""
            name = f"{norm_name(norm)} radius"
            _accuracy_axes(axes, shown.radius, _title(attack) + noise, name, "accuracy under attack")
        shown = pd.concat([rows for _, part in page for _, rows in part])
        handles = _label_handles(set(shown["name"]), styled)
        if list(dashes) != ["white-box"]:
            kinds = [kind for kind in dashes if kind in set(shown["kind"])]
            handles += [Line2D([], [], color=_QUIET, linestyle=dashes[k], label=k) for k in kinds]
        legend(figure, handles)
        figures.append(figure)
    return figures


def _series(frame: pd.DataFrame) -> pd.Series:
    """What a line is called: its label, with the noise where one label is smoothed with several."""
    several = frame.groupby("label")["smoothing"].transform("nunique") > 1
    return frame["label"].where(~several, frame["label"] + ", " + frame["smoothing"])


def _training(training: pd.DataFrame, styled: dict[str, dict[str, Any]]) -> list[Figure]:
    outside = {"run", "label", "epoch", "seconds", "images_per_second", "learning_rate"}
    metrics = [str(c) for c in training if c not in outside and training[c].notna().any()]
    panels = []
    for metric in metrics:
        lines = list(training[training[metric].notna()].groupby("label", sort=False))
        panels += [(metric, part) for part in chunks(lines, LINES)]
    figures = []
    for page in chunks(panels, PANELS):
        figure, axes_of = grid(len(page))
        for axes, (metric, part) in zip(axes_of, page, strict=True):
            for label, rows in part:
                _line(axes, rows, "epoch", metric, **styled[str(label)] | {"linewidth": 1.1})
            axes.set(xlabel="epoch")
            axes.set_title(metric.replace("_", " "), loc="left")
        present = {str(label) for _, part in page for label, _ in part}
        legend(figure, _label_handles(present, styled))
        figures.append(figure)
    return figures


def _save(figure: Figure, stem: Path) -> list[Path]:
    paths = [stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.pdf")]
    for path, metadata in zip(paths, ({"Software": None}, {"CreationDate": None}), strict=True):
        with whole_file(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], metadata=metadata)
    return paths


def _save_all(figures: Iterable[Figure], stem: Path) -> list[Path]:
    named = ((figure, f"{stem.name}-{i + 1}" if i else stem.name) for i, figure in enumerate(figures))
    return [path for figure, name in named for path in _save(figure, stem.with_name(name))]


def draw(tables: Path, out: Path, panels: Sequence[str] = ("noise",)) -> list[Path]:
    """Draws what ``<tables>/*.parquet`` hold into the folder `out`; returns the files, PNG before PDF.

    ``certified-accuracy``, ``empirical-accuracy``, ``distributional``, ``training``, ``examples``
    (``examples-2`` … where there are many panels): a figure whose table is empty is not drawn, and an older
    one of that name is removed. `panels` is what the study asks of certified accuracy (`report.panels`).
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
    styled = styles(runs, labels)
    with mpl.rc_context():
        mpl.rcdefaults()  # nobody's own matplotlibrc
        mpl.rcParams.update(_STYLE)
        paths: list[Path] = []
        if not certified.empty:
            paths += _save_all(_certified(certified, styled, panels), out / "certified-accuracy")
        if not empirical.empty:
            paths += _save_all(_empirical(empirical, styled), out / "empirical-accuracy")
        if not distributional.empty:
            figure = certificate_figure(distributional, read(tables, "worst_cases"))
            paths += _save(figure, out / "distributional")
        if not training.empty:
            paths += _save_all(_training(training, styled), out / "training")
        if not examples.empty:
            paths += _save_all(strips(examples), out / "examples")
    for stem in STEMS:
        for path in (*out.glob(f"{stem}*.png"), *out.glob(f"{stem}*.pdf")):
            if path not in paths:
                path.unlink()
    return paths
