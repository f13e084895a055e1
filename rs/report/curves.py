"""The live figure of a study's page: every image's radius under every run, for the script to count.

A radius is stored in units of 1e-4, rounded down; accuracies at radii of at most four decimals are exact. The
script's data are one block of JSON in the page. Without scripts the page shows the static figure.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from rs.report.names import norm_name, read
from rs.report.panel_parts import FigureSettings
from rs.report.panels import Panel, certified_panels
from rs.statistics.bounds import Floats
from rs.statistics.decimals import units_below

SCALE = 10_000
WRONG, ABSTAINED, ABSTAINED_OR_WRONG = -1, -2, -1  # instead of a radius; logs do not distinguish them
_VOTES = ("n", "voted", "votes", "runner_up", "runner_up_votes")
# Most radii, of all lines and images, in a page: 2 MB; and the most with votes beside them: 2 MB.
MOST_RADII, MOST_WITH_VOTES = 250_000, 70_000
_CLAIM = ["run", "smoothing", "certificate", "norm"]  # columns that name a line of one seed
_ACCURACY = re.compile(r"certified_accuracy\[(\d+)\]")  # a row of that table in the column `evidence`


def curves(
    tables: Path,
    radii: Sequence[float] | None,
    seeds: dict[str, Any],
    report: Mapping[str, Any] | None = None,
) -> str:
    """The JSON block of a study's tables; empty where nothing was certified, or where there are more than
    MOST_RADII radii. `report` is the study's.
    """
    frame = read(tables, "images")
    if frame.empty or len(frame) > MOST_RADII:
        return ""
    if len(frame) > MOST_WITH_VOTES:
        frame = frame.drop(columns=list(_VOTES), errors="ignore")
    beside, runs = _beside(tables), read(tables, "runs")
    images = dict(iter(frame.groupby(_CLAIM, sort=False)))
    heads = frame.drop_duplicates(_CLAIM).reset_index(drop=True)
    settings = FigureSettings.of(report)
    panels = [_panel(panel, images, beside, seeds) for panel in certified_panels(heads, runs, settings)]
    thumbnails = {
        str(row["image"]): thumbnail(row["pixels"], row["shape"])
        for row in read(tables, "thumbnails").to_dict("records")
    }
    return block(panels, radii or (), thumbnails)


def block(panels: list[dict[str, Any]], radii: Sequence[float], thumbnails: dict[str, str]) -> str:
    """The script's data; no label in it can end the script element or hide its end (`<!--<script`)."""
    data = {"radii": list(radii), "panels": panels, "thumbnails": thumbnails}
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _panel(
    panel: Panel, images: dict[Any, pd.DataFrame], beside: dict[Any, dict[str, Any]], seeds: dict[str, Any]
) -> dict[str, Any]:
    """A panel whose lines look as in the static figure, with one line for each seed."""
    named = [
        (line, head, tuple(head[key] for key in _CLAIM))
        for line in panel.lines
        for head in line.rows.to_dict("records")
    ]
    truth = pd.concat([images[claim][["image", "true"]] for *_, claim in named]).drop_duplicates("image")
    labels = dict(sorted(zip(truth["image"].tolist(), truth["true"].tolist(), strict=True)))
    place = {image: i for i, image in enumerate(labels)}
    lines: list[dict[str, Any]] = []
    for line, head, claim in named:
        rows = images[claim]
        run, certificate = str(head["run"]), str(head["certificate"])
        seed = [f"seed {seeds[run]}"] if run in seeds else []
        stored: list[int | None] = [None] * len(place)
        classes: list[int | None] = [None] * len(place)
        for image, value, prediction in zip(rows["image"], _stored(rows), rows["prediction"], strict=True):
            stored[place[image]], classes[place[image]] = value, int(prediction)
        lines.append(
            {
                "name": ", ".join([line.name, *seed]),
                "run": run,
                "certificate": certificate,
                "draws": _draws(head),
                **look(line.drawn),
                "estimate": not bool(head["rigorous"]),
                "factor": float(head["factor"]),
                "cap": float(head["largest_radius"]) if math.isfinite(head["largest_radius"]) else None,
                **beside.get(claim, {"decided": None, "published": []}),
                "radii": stored,
                "classes": classes,
            }
        )
    voted = {_draws(head): images[claim] for _, head, claim in named}.items()
    reached = max((v for line in lines for v in line["radii"] if v is not None), default=0)
    return {
        "title": ", ".join(filter(None, [panel.title, norm_name(panel.norm)])),
        "unit": f"{norm_name(panel.norm)} radius",
        "top": max(reached + reached // 50, 1),
        "images": list(labels),
        "labels": [int(true) for true in labels.values()],
        "votes": {name: votes for name, rows in voted if (votes := _votes(rows, list(labels)))},
        "lines": lines,
    }


def _votes(rows: pd.DataFrame, images: list[int]) -> list[list[int | None]]:
    """The columns _VOTES of one smoothed run, in the order of `images`; empty where none were kept."""
    if not {*_VOTES} <= {*rows} or rows[list(_VOTES)].isna().any(axis=None):
        return []
    votes = rows.drop_duplicates("image").set_index("image")[list(_VOTES)].reindex(images)
    return [[None if pd.isna(v) else int(v) for v in votes[column]] for column in _VOTES]


def _draws(head: Mapping[Hashable, Any]) -> str:
    """The name of the votes from which a line is counted."""
    return f"{head['run']} {head['smoothing']}"


def look(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """How the script draws a line, from matplotlib's keywords: dashes in pixels, a marker, hollow or not."""
    dashes = drawn.get("linestyle", "-")
    return {
        "colour": drawn["color"],
        "dash": [] if dashes == "-" else [2 * length for length in dashes[1]],
        "width": drawn.get("linewidth", 1.5) + 0.5,
        "marker": drawn["marker"],
        "hollow": "markerfacecolor" in drawn,
    }


def floored(radii: Floats) -> Floats:
    """In units of 1 / SCALE, rounded down; a radius of at most four decimals is its own floor."""
    whole: Floats = np.clip(units_below(radii, SCALE), 0, 2**53)
    return whole


def _stored(rows: pd.DataFrame) -> list[int]:
    floors = floored(rows["radius"].to_numpy(np.float64))
    wrong = (rows["prediction"] != rows["true"]).to_numpy()
    abstained = (rows["prediction"] < 0).to_numpy()
    chosen = np.where(abstained, ABSTAINED, np.where(wrong, WRONG, floors))
    return [int(value) for value in chosen]


def _beside(tables: Path) -> dict[Any, dict[str, Any]]:
    """By line, what its accuracies in the tables say: the radii that its votes `decided` where a rule stopped
    them (at others an accuracy is a lower bound; None where all votes were drawn), and `published` numbers.
    These stand beside the line of the rows that they were compared with (their `evidence`), and so beside no
    other certificate or noise of the run.
    """
    accuracies = read(tables, "certified_accuracy")
    beside: dict[Any, dict[str, Any]] = {}
    for claim, rows in accuracies.groupby(_CLAIM, sort=False):
        decided = (
            rows.loc[~rows["lower_bound"], "radius"].tolist() if rows["stopping"].notna().any() else None
        )
        beside[claim] = {"decided": decided, "published": []}
    for row in read(tables, "published").to_dict("records"):
        number = {"r": row["radius"], "value": row["published"], "status": row["status"]}
        for place in _ACCURACY.findall(str(row["evidence"])):
            beside[tuple(accuracies.loc[int(place), _CLAIM])]["published"].append(number)
    return beside


def thumbnail(pixels: bytes, shape: Sequence[int]) -> str:
    """A PNG of uint8 values [C, H, W], one or three channels, as a data URI."""
    channels, height, width = (int(n) for n in shape)
    values = np.frombuffer(pixels, np.uint8).reshape(channels, height, width)
    image = Image.fromarray(values[0] if channels == 1 else values.transpose(1, 2, 0))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
