"""A board: runs of studies and certification logs of others on one page, ranked as far as their images allow.

The rank is one more than the number of contestants whose average certified radius is higher on the common
images, beyond the images' noise, with all pairs counted. Runs with several seeds are ranked by their mean and
drawn seed by seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rs.provenance.files import write_text
from rs.report.comparisons import matrix
from rs.report.curves import ABSTAINED_OR_WRONG, block, floored, look
from rs.report.figure_layout import style
from rs.report.frame import render
from rs.report.html_table import Cell, Table, down, interval, number, text_cell
from rs.report.panels import ESTIMATE
from rs.statistics.intervals import capped, t_interval
from rs.tables.contestants import Contestant, unlike

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """A contestant, its kind (`rerun here`, `log`) and its rank."""

    contestant: Contestant
    kind: str
    acr: float
    low: float
    high: float
    rank: int


def ranked(contestants: Sequence[Contestant], pairs: Sequence[Row]) -> list[Place]:
    """Sorted by rank, then by average certified radius; `pairs` are their rows of rs.tables.comparisons."""
    beaten = dict.fromkeys((c.name for c in contestants), 0)
    for row in pairs:
        if row["metric"] == "acr" and row["about"] == "networks" and row["verdict"] in ("better", "worse"):
            beaten[row["b"] if row["verdict"] == "better" else row["a"]] += 1
    places = []
    for contestant in contestants:
        assert contestant.certified is not None
        radii = np.maximum(contestant.certified.values, 0.0).mean(axis=0)
        kind = "rerun here" if contestant.noise is not None else "log"
        average = t_interval(radii, least=0.0, most=capped(contestant.largest, radii))
        places.append(Place(contestant, kind, *average, 1 + beaten[contestant.name]))
    return sorted(places, key=lambda place: (place.rank, -place.acr))


def write_board(
    out: Path,
    title: str,
    contestants: Sequence[Contestant],
    names: Mapping[str, str],
    pairs: Sequence[Row],
    radii: Sequence[float],
) -> None:
    """Writes the page `out`. Each contestant has certified radii; `names` are their names on the page."""
    places = ranked(contestants, pairs)
    page = render(
        "board.html",
        styles=["vendor/uPlot.min.css"],
        scripts=["vendor/uPlot.iife.min.js", "marks.js", "curves.js"],
        title=title,
        tables=[
            _ranking(places, names, radii),
            matrix([place.contestant.name for place in places], names, pairs),
        ],
        curves=block([_panel(title, places, names)], radii, {}),
    )
    write_text(out, page)


def _ranking(places: Sequence[Place], names: Mapping[str, str], radii: Sequence[float]) -> Table:
    columns = [
        ("", "text"),
        ("rank", "number"),
        ("ACR", "number"),
        *((f"r = {r:g}", "number") for r in radii),
    ]
    columns += [("what", "text"), ("conditions", "text"), ("images", "number"), ("networks", "number")]
    rows = []
    for place in places:
        outcomes = place.contestant.certified
        assert outcomes is not None
        contestant, bound = place.contestant, place.contestant.is_lower_bound()
        acr = Cell("≥ " * bound + down(place.acr), place.acr, under=interval(place.low, place.high))
        mark = "" if contestant.rigorous else "estimate"
        row = [text_cell(names[contestant.name], mark=mark), number(place.rank), acr]
        for r in radii:
            share = contestant.factor * float((outcomes.values >= r).mean())
            row.append(Cell("≥ " * contestant.is_lower_bound(r) + down(share), share, tint=round(share, 3)))
        conditions = ", ".join(f"{key} {value}" for key, value in contestant.stated.items())
        row += [text_cell(place.kind), text_cell(conditions or "not stated in a log", "words")]
        rows.append([*row, number(outcomes.values.shape[1]), number(outcomes.values.shape[0])])
    return Table(
        columns, rows, _note([place.contestant for place in places]), "Ranking by average certified radius"
    )


def _note(contestants: Sequence[Contestant]) -> str:
    """What the ranks mean, and what else than networks they compare."""
    note = (
        "The rank is one more than the number of contestants whose average certified radius is higher on the "
        "images that both have, beyond the images' noise (paired, adjusted for all pairs: Holm). The table "
        "of differences below shows which pairs differ."
    )
    if conditions := unlike(contestants):
        note += (
            f" Not under the same conditions: contestants differ in {', '.join(conditions)}. Ranks and "
            "differences are of networks and conditions together."
        )
    if len({c.certified.images.tobytes() for c in contestants if c.certified is not None}) > 1:
        note += (
            " Not on the same images: ACR and accuracies are over each contestant's own, ranks and "
            "differences over those that both have."
        )
    if any(contestant.decided is not None for contestant in contestants):
        note += (
            " ≥ marks a lower bound: voting stopped once the requested radii were decided. Averages of such "
            "votes do not affect ranks, and their curve holds at the requested radii only."
        )
    return note


def _panel(title: str, places: Sequence[Place], names: Mapping[str, str]) -> dict[str, Any]:
    """The live figure's panel: a line per network, over all images that any contestant has."""
    outcomes = [p.contestant.certified for p in places if p.contestant.certified is not None]
    images = sorted({image for outcome in outcomes for image in outcome.images.tolist()})
    labels = {
        i: y
        for outcome in outcomes
        for i, y in zip(outcome.images.tolist(), outcome.labels.tolist(), strict=True)
    }
    lines = [line for k, place in enumerate(places) for line in _lines(k, place, names, images)]
    reached = max(v for line in lines for v in line["radii"] if v is not None)
    panel: dict[str, Any] = {
        "title": title,
        "unit": "radius",
        "top": max(reached + reached // 50, 1),
    }
    panel |= {"images": images, "labels": [labels[i] for i in images], "votes": {}}
    return {**panel, "lines": lines}


def _lines(k: int, place: Place, names: Mapping[str, str], images: list[int]) -> Iterator[dict[str, Any]]:
    contestant = place.contestant
    assert contestant.certified is not None
    for seed, values in zip(contestant.seeds, contestant.certified.values, strict=True):
        stored = np.where(values < 0, ABSTAINED_OR_WRONG, floored(values)).astype(int).tolist()
        at = dict(zip(contestant.certified.images.tolist(), stored, strict=True))
        several = len(contestant.seeds) > 1
        name = names[contestant.name] + (f", seed {seed}" if several else "")
        yield {
            "name": name,
            "run": name,
            "certificate": "",
            # a colour and a marker each: colour alone does not distinguish 20 lines
            **look(style(k, k) | {"linestyle": "-" if contestant.rigorous else ESTIMATE}),
            "estimate": not contestant.rigorous,
            "cap": None,
            "factor": contestant.factor,
            "decided": contestant.decided,
            "published": [],
            "radii": [at.get(image) for image in images],
            "classes": None,
        }
