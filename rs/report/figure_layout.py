"""Keeps figures readable for any labels: cut labels, distinct styles, legends below the panels, and few
enough lines in a panel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

LONGEST = 40  # characters of a label in a figure; tables show it whole
LINES = 12  # of one panel
PANELS = 24  # of one figure
FEW = 6  # lines whose bands may overlap
# Okabe & Ito's palette without yellow and black: distinct under every common colour blindness. All figures
# use these colours; rs.report.svg maps them to those of a dark page.
INK, QUIET, TICK, EDGE, GRID, CARD = "#222222", "#6B6B6B", "#444444", "#888888", "#E6E6E6", "#FFFFFF"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("", *"os^DvPX<>phd8")
_Item = TypeVar("_Item")


def shortened(labels: Iterable[str], longest: int = LONGEST) -> dict[str, str]:
    """The name of each label in figures: one line of at most `longest` characters, no two the same.

    Labels of a sweep differ at their ends, so the middle is left out. Labels that then look the same show the
    place where they differ, or a number.
    """
    unique = list(dict.fromkeys(labels))
    lines = {label: " ".join(label.split()) or "–" for label in unique}
    shown = {label: _cut(line, longest) for label, line in lines.items()}
    for name in [n for n in set(shown.values()) if list(shown.values()).count(n) > 1]:
        same = [label for label in unique if shown[label] == name]
        others = {shown[label] for label in unique if label not in same}
        letters = zip(*(lines[label] for label in same), strict=False)
        start = next((i for i, at in enumerate(letters) if len({*at}) > 1), longest)
        apart = [_from(lines[label], start, longest) for label in same]
        if len({*apart}) < len(same) or {*apart} & others:
            apart = [f"{_cut(name, longest - 6)} #{i + 1}" for i in range(len(same))]
        shown |= dict(zip(same, apart, strict=True))
    return shown


def _cut(line: str, longest: int) -> str:
    if len(line) <= longest:
        return line
    head = (longest - 1) // 2
    return f"{line[:head].rstrip()}…{line[len(line) - (longest - 1 - head) :].lstrip()}"


def _from(line: str, start: int, longest: int) -> str:
    """The line's first characters, and its part from `start` on."""
    head = longest // 4
    rest = line[max(head, start - 4) :]
    return (
        f"{line[:head].rstrip()}…{rest if len(rest) < longest - head else rest[: longest - head - 2] + '…'}"
    )


def style(colour: int, marker: int) -> dict[str, Any]:
    """One of 6 colours and 27 markers: none, then filled, then hollow ones."""
    turn = marker % (2 * len(_MARKERS) - 1)
    drawn = {
        "marker": _MARKERS[turn if turn < len(_MARKERS) else turn - len(_MARKERS) + 1],
        "markersize": 3.5,
    }
    if turn >= len(_MARKERS):
        drawn |= {"markerfacecolor": CARD, "markersize": 4.5}
    return {"color": COLOURS[colour % len(COLOURS)], **drawn}


def styles(runs: pd.DataFrame, labels: list[str]) -> dict[str, dict[str, Any]]:
    """A style per label. Labels that differ only in the training noise share a colour and differ in markers,
    if they are few.
    """
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
    apart = [[label] for f in families.values() if len(f) > FEW for label in f]
    shown = [*(f for f in families.values() if len(f) <= FEW), *apart]
    most = max((len(family) for family in shown), default=1)
    styled = {}
    for i, family in enumerate(shown):
        for j, label in enumerate(family):
            styled[label] = style(i, i // len(COLOURS) * most + j)
    return styled


def chunks(items: Sequence[_Item], most: int) -> Iterator[Sequence[_Item]]:
    """The fewest parts of at most `most` items each, of about the same size."""
    parts = math.ceil(len(items) / most)
    ends = [round(i * len(items) / parts) for i in range(parts + 1)] if parts else [0]
    yield from (items[a:b] for a, b in itertools.pairwise(ends))


def grid(panels: int) -> tuple[Figure, list[Axes]]:
    """A figure with this number of panels, at most three in a row."""
    columns = 2 if panels == 4 else min(panels, 3)
    rows = math.ceil(panels / columns)
    width = {1: 5.2, 2: 7.4, 3: 9.6}[columns]
    figure = Figure((width, 2.6 * rows + 0.1), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(panels)]
    return figure, axes


def legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """A legend below the panels, in as many columns as fit side by side; the figure grows by its height."""
    if not handles:
        return
    names = shortened(str(h.get_label()) for h in handles)
    width, height = figure.get_size_inches()
    for columns in range(min(len(handles), 6), 0, -1):
        # matplotlib leaves out a label that begins with _, so texts are set afterwards
        placed = figure.legend(
            handles=list(handles),
            labels=[f"{i}" for i in range(len(handles))],
            loc="outside lower center",
            ncols=columns,
        )
        for text, handle in zip(placed.get_texts(), handles, strict=True):
            text.set_text(names[str(handle.get_label())])
        box = placed.get_window_extent(FigureCanvasAgg(figure).get_renderer())
        if box.width <= 0.98 * width * figure.dpi:
            break
        if columns > 1:
            placed.remove()
    figure.set_size_inches(max(width, box.width / figure.dpi + 0.1), height + box.height / figure.dpi)
