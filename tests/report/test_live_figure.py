"""What a page's script gets of a study: the lines, and the published numbers beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import study_tables

from rs.report.certified import certified_section
from rs.report.curves import curves
from rs.tables.noise import smoothed_with
from rs.tables.published import COLUMNS

RADII = (0.25, 0.5)
LINES = ((0.25, "cohen"), (0.25, "other"), (0.5, "cohen"))  # noise and certificate, all of one network


def lines(folder: Path, published: list[dict[str, Any]], stopped: float | None = None) -> dict[Any, Any]:
    """The script's lines by noise and certificate. Votes under noise `stopped` decide radius 0.5."""
    images, accuracies = [], []
    for sigma, certificate in LINES:
        noise = smoothed_with({"name": "gaussian", "sigma": sigma})
        head = {"run": "net-1", "label": "net", **noise, "certificate": certificate, "norm": 2.0}
        head |= {"rigorous": True, "factor": 1.0, "largest_radius": 1.0}
        images += [{**head, "image": i, "true": 3, "prediction": 3, "radius": 0.1 * i} for i in range(10)]
        rule = "sequential" if sigma == stopped else None
        for r in RADII:
            accuracies.append({**head, "radius": r, "stopping": rule, "lower_bound": bool(rule) and r < 0.5})
    frames = {"images": images, "certified_accuracy": accuracies, "published": published}
    tables = {name: pd.DataFrame(rows) for name, rows in frames.items() if rows}
    panels = json.loads(curves(study_tables.write(folder, tables), RADII, {}))["panels"]
    return dict(zip(LINES, [line for panel in panels for line in panel["lines"]], strict=True))


def number(place: str, value: float) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"label": "net", "metric": "certified_accuracy", "radius": 0.5, "published": value}
    return row | {"status": "differs", "evidence": place}


def test_a_published_number_stands_beside_the_line_that_it_was_compared_with(tmp_path: Path) -> None:
    numbers = [number("certified_accuracy[3]", 0.4), number("average_certified_radius[0]", 0.9)]
    found = lines(tmp_path, [*numbers, number("certified_accuracy[5]", 0.3), number("", 0.8)])
    point = {"r": 0.5, "status": "differs"}
    assert [found[line]["published"] for line in LINES] == [
        [],
        [{**point, "value": 0.4}],
        [{**point, "value": 0.3}],
    ]


def test_a_line_of_stopped_votes_says_which_radii_they_decide(tmp_path: Path) -> None:
    found = lines(tmp_path, [], stopped=0.25)
    assert [found[line]["decided"] for line in LINES] == [[0.5], [0.5], None]


def test_the_curves_of_stopped_votes_are_said_to_be_lower_bounds(tmp_path: Path) -> None:
    frame = study_tables.frames()["certified_accuracy"]
    for rule, expected in ((None, False), ("sequential", True)):
        study_tables.write(tmp_path, {"certified_accuracy": frame.assign(stopping=rule)})
        assert (
            "a curve is a lower bound" in certified_section(tmp_path, None, {}, live=False).lead
        ) == expected
