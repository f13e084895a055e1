"""Strips of example images: clean, noisy and attacked, with the smoothed classifier's prediction below."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rs.report.figure_layout import INK, QUIET, shortened

WRONG = "#C1272D"
_ROWS, _ACROSS = 10, 10  # of one strip of images


def picture(values: Any, shape: Any) -> np.ndarray:
    """Values of an image [C, H, W] as [H, W] or [H, W, 3], cut to [0, 1] for display."""
    image = np.clip(np.asarray(values, np.float32).reshape([int(n) for n in shape]), 0, 1)
    return image[0] if image.shape[0] == 1 else np.moveaxis(image[:3], 0, -1)


def caption(row: pd.Series) -> tuple[str, str]:
    prediction, true = int(row["prediction"]), int(row["true"])
    if prediction < 0:
        return "abstains", WRONG
    return f"{prediction}", INK if prediction == true else WRONG


def strips(examples: pd.DataFrame) -> Iterator[Figure]:
    """Rows are smoothed classifiers and attacks; columns are, for each image: clean, noisy, attacked."""
    radii = sorted(r for r in examples.radius.unique() if r > 0)
    shown = [radii[round(i)] for i in np.linspace(0, len(radii) - 1, min(3, len(radii)))]
    across = 2 + len(shown)
    count = max(1, _ACROSS // across)
    groups = list(examples.groupby(["label", "smoothing", "attack"], sort=False))
    names = [shortened(examples[c].astype(str), 30) for c in ("label", "smoothing", "attack")]
    for start in range(0, len(groups), _ROWS):
        page = groups[start : start + _ROWS]
        figure = Figure(
            (9.6, 0.55 + 1.02 * len(page) * min(1.0, 10 / (count * across))), layout="constrained"
        )
        FigureCanvasAgg(figure)
        widths = [1.0] * across + ([0.35] + [1.0] * across) * (count - 1)  # a gap before each further image
        cells = figure.add_gridspec(len(page), len(widths), width_ratios=widths)
        for k, (i, ((label, smoothing, attack), group)) in itertools.product(range(count), enumerate(page)):
            run = group[group.run == group.run.iloc[0]]  # one seed represents its label
            images = sorted(run.image.unique())
            if k >= len(images):
                continue
            rows = run[run.image == images[k]].set_index("radius").sort_index()
            first = rows.iloc[0]
            pictures: list[tuple[str, Any, tuple[str, str]]] = [
                ("clean", first["clean"], caption(rows.loc[0.0]) if 0.0 in rows.index else ("", INK)),
                ("noisy", first["noisy"], ("", INK)),
            ]
            for r in [r for r in shown if r in rows.index]:
                pictures.append((f"attacked {r:g}", rows.loc[r, "attacked"], caption(rows.loc[r])))
            for j, (head, values, (below, colour)) in enumerate(pictures):
                axes = figure.add_subplot(cells[i, k * (across + 1) + j])
                axes.set(xticks=[], yticks=[])
                axes.grid(False)
                axes.spines[:].set_visible(False)
                axes.imshow(picture(values, first["shape"]), cmap="gray", vmin=0, vmax=1)
                axes.set_xlabel(below, color=colour, fontsize=8, labelpad=1.5)
                axes.xaxis.label.set_fontweight("bold" if colour == WRONG else "normal")
                if i == 0:
                    axes.set_title(head, fontsize=7.5, color=QUIET, pad=3)
                if j == k == 0:
                    row = (label, smoothing, attack)
                    name = "\n".join(of[str(text)] for of, text in zip(names, row, strict=True))
                    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7.5, labelpad=6)
        yield figure
