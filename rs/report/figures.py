"""A study's figures, as PNG, PDF and SVG, from its tables: accuracy against radius, training, image strips.

Lines are means over a label's seeds. Bands are the tables' 95 % intervals where a label has one seed, and one
standard deviation over the seeds where it has more. Estimates (certificates not rigorous) are dashed. The
same tables give the same bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rs.provenance.files import whole_file
from rs.report.distributional_figure import certificate_figure
from rs.report.example_figure import strips
from rs.report.figure_layout import (
    CARD,
    EDGE,
    FEW,
    GRID,
    INK,
    LINES,
    PANELS,
    TICK,
    chunks,
    grid,
    legend,
    styles,
)
from rs.report.names import norm_name, read
from rs.report.panel_parts import FigureSettings
from rs.report.panels import Line, Panel, attacked_panels, certified_panels
from rs.report.svg import dark_too, rounded

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": EDGE,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": TICK,
    "ytick.color": TICK,
    "text.color": INK,
    "axes.labelcolor": INK,
    "lines.linewidth": 1.5,
    "axes.facecolor": CARD,
    "figure.facecolor": CARD,
    "savefig.facecolor": CARD,
    "svg.hashsalt": "rs",  # ids in the file are the same every time
    "text.parse_math": False,  # a label's $ is a dollar
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,  # fonts are embedded, so that text stays text
    "savefig.dpi": 180,
}

_KINDS: dict[str, dict[str, None]] = {  # without the time and the name of the software
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None, "Creator": None},
}

STEMS = ("certified-accuracy", "empirical-accuracy", "distributional", "training", "examples")


def _line(axes: Axes, rows: pd.DataFrame, x: str, y: str, band: float = 0.13, **style: Any) -> None:
    """The mean over seeds, with the band that the module's docstring describes; `band` is its opacity."""
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
    axes.fill_between(mean.index, low, high, color=style["color"], alpha=band, linewidth=0)


def _accuracy_axes(axes: Axes, radii: pd.Series, title: str, xlabel: str, ylabel: str) -> None:
    axes.set_title(title, loc="left")
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1), xlim=(0, max(float(radii.max()), 1e-3)))
    axes.locator_params(axis="x", nbins=5)  # small radii have long numbers


def _accuracy(panels: Sequence[Panel], column: str, ylabel: str) -> list[Figure]:
    """Figures: panels with the same meaning of colours and styles share a figure and its legend."""
    figures = []
    for _, alike in itertools.groupby(panels, lambda panel: panel.meaning):
        every = [(panel, *part) for panel in alike for part in _parts(panel, column)]
        for page in chunks(every, PANELS):
            figure, axes_of = grid(len(page))
            legends: dict[str, Any] = {}
            for axes, (panel, lines, radii, number) in zip(axes_of, page, strict=True):
                for line in lines:
                    band = 0.13 if len(lines) <= FEW else 0.06
                    _line(axes, line.rows, "radius", column, band, **line.drawn)
                text = ", ".join(filter(None, [panel.title, number]))
                _accuracy_axes(axes, radii, text, f"{norm_name(panel.norm)} radius", ylabel)
                legends |= {name: drawn for name, drawn in panel.legend.items() if name not in legends}
            legend(figure, [Line2D([], [], label=name, **drawn) for name, drawn in legends.items()])
            figures.append(figure)
    return figures


def _parts(panel: Panel, column: str) -> Iterator[tuple[Sequence[Line], pd.Series, str]]:
    """Lines, radii and number of the fewest readable panels; all parts have one scale."""
    rows = pd.concat([line.rows for line in panel.lines])
    reached = rows[rows[column] > 0].radius if column == "certified_accuracy" else rows.radius
    parts = list(chunks(panel.lines, LINES))
    for i, part in enumerate(parts):
        yield part, reached if len(reached) else rows.radius, f"{i + 1} of {len(parts)}" * (len(parts) > 1)


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
            _widen(axes)
            axes.set_title(metric.replace("_", " "), loc="left")
        present = {str(label) for _, part in page for label, _ in part}
        shown = {label: drawn for label, drawn in styled.items() if label in present}
        legend(figure, [Line2D([], [], label=label, **drawn) for label, drawn in shown.items()])
        figures.append(figure)
    return figures


def _widen(axes: Axes) -> None:
    """Gives the vertical axis a range of a tenth of its values at least: what training keeps, as the length
    of SmoothAdv's steps, would otherwise be drawn as its rounding.
    """
    low, high = axes.get_ylim()
    missing = 0.1 * max(abs(low), abs(high)) - (high - low)
    if missing > 0:
        axes.set_ylim(low - missing / 2, high + missing / 2)


def _save(figure: Figure, stem: Path) -> list[Path]:
    paths = []
    for kind, metadata in _KINDS.items():
        path = stem.with_name(f"{stem.name}.{kind}")
        with whole_file(path) as temporary:
            figure.savefig(temporary, format=kind, metadata=metadata)
            figure.set_layout_engine("none")  # keep the layout, which takes longer than drawing
            if kind == "svg":
                drawn = temporary.read_text(encoding="utf-8")
                temporary.write_text(dark_too(rounded(drawn)), encoding="utf-8")
        paths.append(path)
    return paths


def _save_all(figures: Iterable[Figure], stem: Path) -> list[Path]:
    named = ((figure, f"{stem.name}-{i + 1}" if i else stem.name) for i, figure in enumerate(figures))
    return [path for figure, name in named for path in _save(figure, stem.with_name(name))]


def draw(tables: Path, out: Path, report: Mapping[str, Any] | None = None) -> list[Path]:
    """Draws the tables ``<tables>/*.parquet`` into the folder `out`; returns the files, three of each figure.

    The figures are ``certified-accuracy``, ``empirical-accuracy``, ``distributional``, ``training``,
    ``examples`` (``examples-2`` … where there are many panels). A figure whose table is empty is not drawn,
    and an older one of that name is removed. `report` is the study's: which runs share axes, what colours and
    styles mean. The tables have the columns that this version writes (rs.tables.aggregate.check_tables).
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # independent of the user's matplotlibrc
        mpl.rcParams.update(_STYLE)
        return _draw(tables, out, report)


def _draw(tables: Path, out: Path, report: Mapping[str, Any] | None) -> list[Path]:
    # the fine grid: lines between the report's few radii would show accuracies that nobody certified
    runs, certified, empirical = (read(tables, n) for n in ("runs", "radius_accuracy", "empirical_accuracy"))
    if certified.empty:
        certified = read(tables, "certified_accuracy")
    training, examples = read(tables, "training"), read(tables, "examples")
    distributional = read(tables, "distributional")
    labels = list(dict.fromkeys(x for f in (runs, certified, empirical) if not f.empty for x in f.label))
    styled, settings = styles(runs, labels), FigureSettings.of(report)
    paths: list[Path] = []
    if not certified.empty:
        panels = certified_panels(certified, runs, settings)
        figures = _accuracy(panels, "certified_accuracy", "certified accuracy")
        paths += _save_all(figures, out / "certified-accuracy")
    if not empirical.empty:
        figures = _accuracy(attacked_panels(empirical, runs, settings), "accuracy", "accuracy under attack")
        paths += _save_all(figures, out / "empirical-accuracy")
    if not distributional.empty:
        figure = certificate_figure(distributional, read(tables, "worst_cases"))
        paths += _save(figure, out / "distributional")
    if not training.empty:
        paths += _save_all(_training(training, styled), out / "training")
    if not examples.empty:
        paths += _save_all(strips(examples), out / "examples")
    for stem in STEMS:
        for path in [path for kind in _KINDS for path in out.glob(f"{stem}*.{kind}")]:
            if path not in paths:
                path.unlink()
    return paths
