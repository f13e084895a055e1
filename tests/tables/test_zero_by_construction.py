"""Where no votes could certify, numbers are 0 for any networks, and a claim is not decided by them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from claim_rows import steady
from tiny_study import TINY

from rs.tables.claims import ZERO

RUNS = {name: {"objective": run["objective"]} for name, run in TINY["runs"].items()}
RUNS["n1"] = {"objective": {"name": "nal", "gamma": 1.0}}
FAR = {"radius": 1.0, "largest_radius": 0.551}


@pytest.mark.parametrize(
    "condition",
    [
        {"value": "nal", "at_most": 0.1},
        {"value": "nal", "at_least": 0.1},
        {"better": "nal", "than": "gaussian"},
        {"equivalent": "nal", "than": "gaussian"},
        {"difference": ["nal", "gaussian"], "at_least": 0},
        {"trend": ["nal", "gaussian", "n1"]},
    ],
)
def test_what_no_votes_certify_decides_nothing(verdict, condition) -> None:
    zeros = {"certified_accuracy": [r for n in ("nal", "gaussian", "n1") for r in zero(n, **FAR)]}
    study: dict[str, Any] = {"runs": RUNS, "report": {"radii": [0, 0.25, 1.0]}}
    condition = {**condition, "radii": [1.0]}
    for join in ("all", "any"):
        found, rows = verdict(condition, tables=zeros, join=join, **study)
        assert (found, rows[0]["condition_verdict"], rows[0]["value"] or 0) == (ZERO, ZERO, 0)
        assert rows[0]["counted"] == "beyond the largest radius that can be certified"
    for change in ({"largest_radius": 1.0}, {"largest_radius": math.nan}, {"largest_radius": None}):
        near = [row | change for row in zeros["certified_accuracy"]]
        found, rows = verdict(condition, tables={"certified_accuracy": near}, **study)
        assert ZERO not in (found, rows[0]["condition_verdict"])


def zero(label: str, **more: Any) -> list[dict[str, Any]]:
    return [row | {"certified_accuracy": 0.0} for row in steady(label, 0.5, **more)]


def test_one_side_within_reach_is_decided(verdict) -> None:
    """A larger noise falls to 0 later: the other side alone is 0 by construction."""
    condition = {"better": "nal", "than": "gaussian", "radii": [1.0]}
    for share, is_ in ((0.5, "holds"), (0.0, "fails")):
        near = [
            row | {"certified_accuracy": share} for row in steady("nal", 0.5, radius=1.0, largest_radius=2)
        ]
        tables = {"certified_accuracy": near + zero("gaussian", **FAR)}
        found, rows = verdict(condition, tables=tables, report={"radii": [1.0]})
        assert (found, rows[0]["condition_verdict"]) == (is_, is_)


@pytest.mark.parametrize(
    ("join", "near", "far", "is_"),
    [
        *[("all", "holds", "true", "holds"), ("all", "fails", "true", "fails")],
        *[
            ("all", "holds", "false", ZERO),
            ("all", "fails", "false", "fails"),
            ("all", "undecided", "false", ZERO),
        ],
        *[
            ("any", "holds", "true", "holds"),
            ("any", "fails", "true", ZERO),
            ("any", "undecided", "true", ZERO),
        ],
        *[("any", "holds", "false", "holds"), ("any", "fails", "false", "fails")],
        *[("all", "undecided", "true", "undecided"), ("any", "undecided", "false", "undecided")],
    ],
)
def test_a_claim_keeps_a_verdict_that_the_rows_0_by_construction_do_not_change(
    verdict, join, near, far, is_
) -> None:
    tables = {"certified_accuracy": steady("nal", 0.8, half=0.03) + zero("nal", **FAR)}
    bounds = {"holds": {"at_least": 0.7}, "fails": {"at_least": 0.9}, "undecided": {"at_least": 0.8}}
    beyond = {"true": {"at_most": 0.1}, "false": {"at_least": 0.1}}
    conditions = ({"value": "nal", **bounds[near]}, {"value": "nal", "radii": [1.0], **beyond[far]})
    found, rows = verdict(*conditions, tables=tables, join=join, report={"radii": [0.25, 1.0]})
    assert (found, [row["condition_verdict"] for row in rows]) == (is_, [near, ZERO])
