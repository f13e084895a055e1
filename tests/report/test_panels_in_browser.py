"""The panels of a page in a real browser: two noises on one axes, and static figures in light and dark."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import study_tables
from PIL import Image

from rs.report import figures
from rs.report.page import write_report
from rs.tables.noise import smoothed_with

pytestmark = pytest.mark.slow

REPORT = {"panels": [], "colour": ["smoothing_name"], "style": [], "groups": []}
NOISES = ({"name": "gaussian", "sigma": 0.25}, {"name": "uniform", "scale": 0.5})


def two_noises(folder: Path) -> Path:
    """One run, smoothed with two noises: the second certifies nothing beyond 0.3."""
    images, rows = [], []
    for noise, cap in zip(NOISES, (0.6, 0.3), strict=True):
        head = {"run": "id", "label": "net", **smoothed_with(noise), "certificate": "c", "norm": 2.0}
        head["rigorous"] = noise["name"] == "gaussian"
        for i in range(10):
            one = {"image": i, "true": 3, "prediction": 3, "radius": cap * i / 9}
            images.append({**head, "factor": 1.0, "largest_radius": cap, **one})
        for r in (0.0, 0.25, 0.5):
            share = {
                "certified_accuracy": 0.5,
                "low": 0.4,
                "high": 0.6,
                "stopping": None,
                "lower_bound": False,
            }
            rows.append({**head, "radius": r, **share, "images": 10, "n": 1000, "alpha": 0.001})
    frames = {"images": pd.DataFrame(images), "certified_accuracy": pd.DataFrame(rows)}
    tables = study_tables.write(folder / "tables", frames)
    write_report("two", tables, [], folder / "two.html", {"radii": [0, 0.25, 0.5], "report": REPORT})
    return folder / "two.html"


def test_two_noises_share_axes_and_a_number_opens_its_own_images(browser: Any, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(two_noises(tmp_path).as_uri())
    page.wait_for_selector("table.at tbody tr")
    assert page.locator("#curves .panel").count() == 1
    names = page.locator("table.at tbody tr button").all_inner_texts()
    assert sorted(names) == ["net, gaussian σ = 0.25", "net, uniform scale = 0.5"]
    dashes = page.locator("table.at .sample line").evaluate_all(
        "lines => lines.map(line => line.getAttribute('stroke-dasharray'))"
    )
    assert [dash == "none" for dash in dashes] == [name.startswith("net, g") for name in names]
    page.locator("td[data-opens] button").nth(4).click()  # the second noise at 0.25
    assert (
        page.locator(".images h4").inner_text() == "net, uniform scale = 0.5 at radius 0.25: 0.200 certified"
    )
    page.close()


def test_a_static_figure_is_dark_where_the_reader_prefers_it(browser: Any, tmp_path: Path) -> None:
    training = {name: study_tables.frames()[name] for name in ("runs", "training")}
    tables = study_tables.write(tmp_path / "tables", training)
    paths = figures.draw(tables, tmp_path / "figures")
    write_report("dark", tables, paths, tmp_path / "report.html", {})
    shades = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme, viewport={"width": 1200, "height": 900})
        page.goto((tmp_path / "report.html").as_uri())
        picture = page.locator("#training figure img")
        picture.scroll_into_view_if_needed()
        shades[scheme] = np.median(np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("L")))
        page.close()
    assert shades["light"] > 240
    assert shades["dark"] < 50
