"""The distributional certificate against rho, with the worst cases found, as in NAL's Figure 2a."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rs.report.figure_layout import INK, shortened

NAMES = {
    "nal": "NAL, Theorem 1, best γ",
    "nal_line": "NAL, Theorem 1, γ of the training",
    "sinha": "Sinha et al., same movement",
    "sinha_line": "Sinha et al., γ of the training",
    "sinha_theorem_3": "Sinha et al., NAL's ρ (Theorem 3)",
    "nal_gap": "proven, ascent and its gap",
    "neyman_pearson": "proven, Neyman–Pearson",
    "smoothed": "worst cases found, noise added",
    "base": "worst cases found, base classifier",
    "pgd_smoothed": "worst cases found, PGD mixed over images, noise added",
    "pgd_base": "worst cases found, PGD mixed over images, base classifier",
}
# Dashed: estimates; solid: proven; markers: worst cases.
_LINES: dict[str, dict[str, Any]] = {
    "nal": {"color": "#E69F00", "linestyle": (0, (5, 1.5))},
    "nal_line": {"color": "#E69F00", "linestyle": (0, (1, 1.5))},
    "sinha_line": {"color": "#0072B2", "linestyle": (0, (5, 1.5))},
    "sinha": {"color": "#0072B2", "linestyle": (0, (3, 2))},
    "sinha_theorem_3": {"color": "#0072B2", "linestyle": (0, (1, 1.5))},
    "nal_gap": {"color": "#009E73", "linestyle": "-"},
    "neyman_pearson": {"color": INK, "linestyle": "-"},
}
_POINTS: dict[str, dict[str, Any]] = {
    "smoothed": {"color": "#CC79A7", "marker": "o", "linestyle": "none", "markersize": 4},
    "base": {"color": "#56B4E9", "marker": "x", "linestyle": "none", "markersize": 4},
    "pgd_smoothed": {"color": "#CC79A7", "marker": "^", "linestyle": "none", "markersize": 4},
    "pgd_base": {"color": "#56B4E9", "marker": "+", "linestyle": "none", "markersize": 5},
}


def finite(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with a finite rho and loss, as float; non-finite ends of intervals become NaN.

    A loss is infinite or not a number where an ascent left the range of float32.
    """
    columns = ["rho", "loss", "low", "high"]
    numbers = frame[columns].astype(float)
    return frame.assign(**numbers.where(np.isfinite(numbers))).dropna(subset=["rho", "loss"])


def certificate_figure(certificates: pd.DataFrame, points: pd.DataFrame) -> Figure:
    """A panel per smoothed run (its first seed): bounds as lines, worst cases as points with 95 % intervals.

    The axis is E ||x - x_0||^2; NAL's rho is larger by d sigma^2.
    """
    panels = list(certificates.groupby(["label", "smoothing"], sort=False))
    names = shortened(map(str, certificates["label"]))
    columns = min(len(panels), 3)
    height = 2.6 * math.ceil(len(panels) / columns) + 0.8
    figure = Figure(({1: 5.6, 2: 7.4, 3: 9.6}[columns], height), layout="constrained")
    FigureCanvasAgg(figure)
    for i, ((label, smoothing), panel) in enumerate(panels):
        axes = figure.add_subplot(math.ceil(len(panels) / columns), columns, i + 1)
        run = panel["run"].iloc[0]
        cases = points[(points["run"] == run) & (points["smoothing"] == smoothing)]
        cases, lines = finite(cases), finite(panel[panel["run"] == run])
        for name, rows in lines.groupby("certificate", sort=False):
            style = _LINES[str(name)]
            axes.plot(rows["rho"], rows["loss"], **style)
            band = (rows["rho"], rows["low"], rows["high"])
            axes.fill_between(*band, color=style["color"], alpha=0.13, linewidth=0)
        cases = cases[cases["rho"] <= 1.02 * lines["rho"].max()]
        for adversary, rows in cases.groupby("adversary", sort=False):
            errors = [rows["loss"] - rows["low"], rows["high"] - rows["loss"]]
            style = _POINTS[str(adversary)]
            axes.errorbar(rows["rho"], rows["loss"], yerr=errors, **style, elinewidth=0.8)
        words = [names[str(label)], str(smoothing)]
        axes.set_title((", " if sum(map(len, words)) < 40 else "\n").join(words), loc="left")
        axes.set(xlabel="ρ = E‖x − x₀‖² (without the noise)", ylabel="mean loss", xlim=(0, None))
        # Theorem 3's right-hand side and straight lines can be far above the rest: they may leave the panel.
        near = lines.loc[~lines["certificate"].isin(["sinha_theorem_3", "nal_line", "sinha_line"]), "loss"]
        highest = max([0.0, *near, *cases["high"].dropna()])
        axes.set_ylim(0, 1.08 * highest or None)
    present = [*dict.fromkeys(certificates["certificate"]), *dict.fromkeys(points["adversary"])]
    handles = [Line2D([], [], label=NAMES[n], **{**_LINES, **_POINTS}[n]) for n in NAMES if n in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(2, columns + 1))
    return figure
