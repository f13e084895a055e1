"""The live figure of a study's page: every image's radius under every run, for the page's script to count.

A radius is stored in units of 1e-4, rounded down; accuracies at radii of at most four digits are exact. What
the script needs lies in one block of JSON in the page; without a script the page shows the static figure.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from rs.report.figure_layout import styles
from rs.report.names import norm_name, read
from rs.statistics.bounds import Floats

SCALE = 10_000
WRONG, ABSTAINED, ABSTAINED_OR_WRONG = -1, -2, -1  # instead of a radius; logs do not tell them apart
_VOTES = ("n", "voted", "votes", "runner_up", "runner_up_votes")
_DASHES: tuple[list[int], ...] = ([], [9, 3], [3, 3], [9, 3, 3, 3])  # of lines of one colour


def curves(tables: Path, radii: Sequence[float] | None, seeds: dict[str, Any]) -> str:
    """The JSON block of a study's tables; empty where nothing was certified."""
    frame = read(tables, "images")
    if frame.empty:
        return ""
    published, runs = read(tables, "published"), read(tables, "runs")
    styled = styles(runs, [str(label) for label in frame["label"].unique()])
    several = len(set(seeds.values())) > 1
    panels = [
        _panel(part, published, seeds if several else {}, styled)
        for _, part in frame.groupby(["norm", "smoothing"], sort=False)
    ]
    thumbnails = {
        str(row["image"]): thumbnail(row["pixels"], row["shape"])
        for row in read(tables, "thumbnails").to_dict("records")
    }
    return block(panels, radii or (), thumbnails)


def block(panels: list[dict[str, Any]], radii: Sequence[float], thumbnails: dict[str, str]) -> str:
    """What the page's script reads; a label cannot end it."""
    told = {"radii": list(radii), "panels": panels, "thumbnails": thumbnails}
    return json.dumps(told, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")


def _panel(
    part: pd.DataFrame, published: pd.DataFrame, seeds: dict[str, Any], styled: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """All claims under one noise and norm; lines have the static figure's colours."""
    norm, smoothing = part["norm"].iloc[0], part["smoothing"].iloc[0]
    images = sorted(part["image"].unique().tolist())
    place = {image: i for i, image in enumerate(images)}
    truth = part.drop_duplicates("image").set_index("image")["true"]
    certificates = part["certificate"].nunique()
    lines: list[dict[str, Any]] = []
    for key, rows in part.groupby(["run", "label", "certificate"], sort=False):
        run, label, certificate = (str(k) for k in key)
        seed = [f"seed {seeds[run]}"] if run in seeds else []
        names = [label, *seed, *[certificate] * (certificates > 1)]
        at = [place[image] for image in rows["image"]]
        stored: list[int | None] = [None] * len(images)
        classes: list[int | None] = [None] * len(images)
        for where, value, prediction in zip(at, _stored(rows), rows["prediction"], strict=True):
            stored[where], classes[where] = value, int(prediction)
        estimate = not bool(rows["rigorous"].iloc[0])
        colour = styled[label]["color"]
        alike = sum(line["colour"] == colour for line in lines)
        lines.append(
            {
                "name": ", ".join(names),
                "run": run,
                "certificate": certificate,
                "colour": colour,
                "dash": [2, 4] if estimate else _DASHES[alike % len(_DASHES)],
                "estimate": estimate,
                "factor": float(rows["factor"].iloc[0]),
                "published": list(_published(published, label, certificate, smoothing)),
                "radii": stored,
                "classes": classes,
            }
        )
    largest = part["largest_radius"].max()
    reached = max((v for line in lines for v in line["radii"] if v is not None), default=0)
    return {
        "title": f"{smoothing}, {norm_name(norm)}",
        "unit": f"{norm_name(norm)} radius",
        "cap": float(largest) if math.isfinite(largest) else None,
        "top": max(reached + reached // 50, 1),
        "images": images,
        "labels": [int(truth[image]) for image in images],
        "votes": {str(run): told for run, rows in part.groupby("run") if (told := _votes(rows, images))},
        "lines": lines,
    }


def _votes(rows: pd.DataFrame, images: list[int]) -> list[list[int | None]]:
    """Of one run's votes, in the panel's order of images, what _VOTES names; empty where nobody kept them."""
    if not {*_VOTES} <= {*rows} or rows[list(_VOTES)].isna().any(axis=None):
        return []
    each = rows.drop_duplicates("image").set_index("image")[list(_VOTES)].reindex(images)
    return [[None if pd.isna(v) else int(v) for v in each[column]] for column in _VOTES]


def floored(radii: Floats) -> Floats:
    """In units of 1 / SCALE, rounded down; a radius of at most four digits is its own floor."""
    units = np.floor(radii * SCALE)
    whole: Floats = np.clip(units + ((units + 1) / SCALE <= radii), 0, 2**53)
    return whole


def _stored(rows: pd.DataFrame) -> list[int]:
    floors = floored(rows["radius"].to_numpy(np.float64))
    wrong = (rows["prediction"] != rows["true"]).to_numpy()
    abstained = (rows["prediction"] < 0).to_numpy()
    chosen = np.where(abstained, ABSTAINED, np.where(wrong, WRONG, floors))
    return [int(value) for value in chosen]


def _published(
    published: pd.DataFrame, label: str, certificate: str, smoothing: Any
) -> Iterable[dict[str, Any]]:
    """Published certified accuracies of this line."""
    if published.empty:
        return
    mine = published[(published["metric"] == "certified_accuracy") & (published["label"] == label)]
    for row in mine.to_dict("records"):
        named = (row.get("certificate", certificate), row.get("smoothing") or smoothing)
        if named == (certificate, smoothing):
            number = {"r": float(row["radius"]), "value": float(row["published"])}
            yield number | {"status": str(row.get("status", ""))}


def thumbnail(pixels: bytes, shape: Sequence[int]) -> str:
    """A PNG of uint8 values [C, H, W], one or three channels, as an address."""
    channels, height, width = (int(n) for n in shape)
    values = np.frombuffer(pixels, np.uint8).reshape(channels, height, width)
    image = Image.fromarray(values[0] if channels == 1 else values.transpose(1, 2, 0))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
