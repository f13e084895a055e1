"""Claims about two sides that are compared image by image: of methods, of networks, as one of many."""

from __future__ import annotations

import math
from typing import Any

import pytest
from claim_rows import accuracy, steady


@pytest.fixture(params=[False, True], ids=["as asked", "turned"])
def pair(request):
    """Rows of the comparisons about networks and methods, nal - gaussian = 0.02, or the other way round."""
    sign = -1 if request.param else 1
    row = dict(zip("ab", ("nal", "gaussian")[::sign], strict=True))
    row |= {"metric": "certified_accuracy", "certificate": "cohen", "radius": 0.25, "smoothing": "gaussian"}
    row |= {"images": 500, "level": 0.95, "difference": sign * 0.02, "p": 0.001}
    row |= {"verdict": "better" if sign > 0 else "worse"}
    ends = {"networks": (0.005, 0.035), "methods": (0.01, 0.03)}
    return [
        row | {"about": k, "low": min(sign * x, sign * y), "high": max(sign * x, sign * y)}
        for k, (x, y) in ends.items()
    ]


def tables_with(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"certified_accuracy": steady("nal", 0.8) + steady("gaussian", 0.8), "comparisons": rows}


def test_pairs_of_methods_count_images_and_seeds(verdict, pair) -> None:
    condition = {"better": "nal", "than": "gaussian"}
    found, rows = verdict(condition, tables=tables_with(pair))
    assert (found, rows[0]["counted"]) == ("holds", "500 images paired, and seeds")
    assert rows[0]["evidence"].startswith("certified_accuracy[0]")
    half = math.hypot(0.01, 0.015)
    assert [rows[0][end] for end in ("low", "high")] == pytest.approx([0.02 - half, 0.02 + half])
    assert verdict({"better": "gaussian", "than": "nal"}, tables=tables_with(pair))[0] == "fails"
    bounded = {"difference": ["nal", "gaussian"], "at_least": 0.001}
    assert verdict(bounded, tables=tables_with(pair))[0] == "holds"
    assert verdict(bounded | {"at_least": 0.05}, tables=tables_with(pair))[0] == "fails"
    for row in pair:  # either noise alone can leave it open
        wide = [r | {"low": r["low"] - 0.03, "high": r["high"] + 0.03} if r is row else r for r in pair]
        assert verdict(condition, tables=tables_with(wide))[0] == "undecided"
    (seeds,) = (r for r in pair if r["about"] == "methods")
    assert (
        verdict(condition, tables=tables_with([seeds]))[0] != "holds"
    )  # without the images' noise it is no pair


def test_pairs_of_networks_come_with_their_tests(verdict, pair) -> None:
    condition = {"better": "nal", "than": "gaussian", "about": "networks"}
    found, rows = verdict(condition, tables=tables_with(pair))
    assert (found, rows[0]["counted"]) == ("holds", "500 images paired")
    assert [rows[0][end] for end in ("low", "high")] == pytest.approx([0.005, 0.035])
    (row,) = (r for r in pair if r["about"] == "networks")
    row["verdict"] = "undecided"
    assert verdict(condition, tables=tables_with(pair))[0] == "undecided"
    row["verdict"] = "equivalent"  # within the margin, and surely better: more images never undo "holds"
    for row["p"], found in ((0.001, ["holds", "fails", "holds"]), (0.2, ["fails", "fails", "holds"])):
        kinds = ("better", "worse", "equivalent")
        conditions = [{kind: "nal", "than": "gaussian", "about": "networks"} for kind in kinds]
        assert [verdict(one, tables=tables_with(pair))[0] for one in conditions] == found


def test_rows_under_other_conditions_are_no_pair(verdict, pair) -> None:
    """The comparisons are of whole runs, not of rows with other values in some column."""
    tables = tables_with(pair)
    for row in tables["certified_accuracy"]:
        row["n"] = 100 if row["label"] == "nal" else 1000
    condition = {"than": {"run": "gaussian", "where": {"n": 1000}}, "about": "networks"}
    found, rows = verdict({"better": {"run": "nal", "where": {"n": 100}}, **condition}, tables=tables)
    assert (found, "paired" in rows[0]["counted"]) == ("fails", False)


def test_being_so_much_surer_does_not_turn_holds_into_fails(verdict, pair) -> None:
    """Surely better, by less than the margin, at 95 %; only equivalent at the level of one of two."""
    (row,) = (r for r in pair if r["about"] == "networks")
    stricter = row | {"level": 0.975, "verdict": "equivalent", "p": 0.04}
    other = row | {"radius": 0.5, "level": 0.95}
    rows = [row, stricter, other, other | {"level": 0.975}]
    tables = tables_with(rows)
    tables["certified_accuracy"] += accuracy("nal", 0.8, radius=0.5) + accuracy("gaussian", 0.8, radius=0.5)
    condition = {"better": "nal", "than": "gaussian", "about": "networks", "radii": [0.25, 0.5]}
    assert verdict(condition, tables=tables)[0] == "holds"
