"""The page of somebody's model on somebody's images (`rs certify --model`): the preprocessing, the share
certified at each radius, and every image with its radius. It opens without a network connection.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from rs.provenance.files import write_text
from rs.report.frame import render
from rs.report.html_table import Cell, Table, down, interval, number, text_cell

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 280, 46, 16, 14, 40  # of the figure
SIDE = 56  # pixels of a small picture
SHOWN = 500  # images in the page's table


@dataclass(frozen=True)
class ModelPage:
    """The content of the page. `accuracy` has radius, share, low, high at the radii shown; `shares` the same
    at every radius where the share changes. `images` has a row each: image, file, label, prediction, class,
    radius, lower, n; `pixels` are uint8 [C, H, W] by image. `described` and `notes` are the terminal's texts
    before and after.
    """

    title: str
    measure: str
    described: Mapping[str, str]
    notes: Sequence[str]
    accuracy: pd.DataFrame
    shares: pd.DataFrame
    images: pd.DataFrame
    pixels: Mapping[int, np.ndarray]
    cap: float
    labelled: bool
    software: str


def write_model_page(out: Path, page: ModelPage) -> None:
    text = render(
        "model.html",
        title=page.title,
        facts=page.described.items(),
        notes=page.notes,
        figure=_figure(page),
        measure=page.measure,
        shares=_shares(page),
        images=_images(page),
        software=page.software,
    )
    write_text(out, text)


def _shares(page: ModelPage) -> Table:
    columns = [("", "text"), *((f"r = {r:g}", "number") for r in page.accuracy["radius"])]
    cells = [text_cell(page.measure)]
    for row in page.accuracy.to_dict("records"):
        under = interval(row["low"], row["high"])
        cells.append(Cell(down(row["share"]), row["share"], under=under, tint=round(row["share"], 3)))
    note = "Share of the images, rounded down, and its 95 % Wilson interval, over the choice of images."
    return Table(columns, [cells], note)


def _images(page: ModelPage) -> Table:
    columns = [("image", "text"), ("prediction", "text"), *[("label", "text")] * page.labelled]
    columns += [("radius", "number"), ("p_A, at least", "number"), ("n", "number")]
    rows = []
    for row in page.images.head(SHOWN).to_dict("records"):
        wrong = page.labelled and row["prediction"] >= 0 and row["prediction"] != row["label"]
        pixels = page.pixels.get(row["image"])
        shown = [
            Cell(row["file"], row["file"], kind="words", picture="" if pixels is None else picture(pixels))
        ]
        shown.append(text_cell(row["class"], "words", mark="wrong" * wrong))
        shown += [text_cell(row["true class"], "words")] * page.labelled
        certified = row["prediction"] >= 0
        shown.append(Cell(down(row["radius"]), row["radius"]) if certified else Cell("–", -1.0))
        rows.append([*shown, Cell(down(row["lower"]), row["lower"]), number(row["n"])])
    note = "Radii and bounds are rounded down. p_A is the probability of the prediction under the noise."
    if len(page.images) > SHOWN:
        note += f" The first {SHOWN} of {len(page.images):,} images; all are in images.parquet."
    return Table(columns, rows, note)


def picture(pixels: np.ndarray) -> str:
    """A small copy as a data URI: PNG if the image itself is small, else JPEG."""
    array = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    image, out = Image.fromarray(np.ascontiguousarray(array)), io.BytesIO()
    small = max(image.size) <= SIDE
    image.thumbnail((SIDE, SIDE))
    image.save(out, "PNG" if small else "JPEG", quality=80)
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(out.getvalue()).decode()}"


# --- the figure ---


def _figure(page: ModelPage) -> dict[str, Any]:
    """Paths and ticks of shares against the radius, up to the largest radius that n votes certify."""
    end = page.cap * 1.04 if page.cap > 0 else 1.0
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(radius: float) -> float:
        return round(LEFT + wide * min(radius / end, 1.0), 1)

    def y(share: float) -> float:
        return round(TOP + high * (1 - share), 1)

    # of steps at the same pixel only the first is kept: no screen would show the others
    kept = page.shares[~page.shares["radius"].map(x).duplicated()]

    def steps(column: str) -> list[tuple[float, float]]:
        """A share holds up to its radius, included."""
        points, before = [], 0.0
        for radius, share in zip(kept["radius"], kept[column], strict=True):
            points += [(x(before), y(share)), (x(radius), y(share))]
            before = radius
        return [*points, (x(before), y(0.0)), (x(end), y(0.0))] if column == "share" else points

    band = [*steps("low"), *reversed(steps("high"))]
    radii = [r for r in page.accuracy["radius"] if r <= end]
    return {
        "size": (WIDTH, HEIGHT),
        "line": _path(steps("share")),
        "band": _path(band),
        "across": [(x(r), f"{r:g}") for r in radii],
        "up": [(y(share), f"{share:g}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)],
        "cap": (x(page.cap), down(page.cap)),
        "edges": (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM),
    }


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{a:g},{b:g}" for a, b in points)
