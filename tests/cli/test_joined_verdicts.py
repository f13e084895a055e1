"""What several studies of one printed number or claim say together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rs.cli.verdicts import StudyResults, claims_of, numbers_of


def number(study: str, status: str, **measured: Any) -> StudyResults:
    row = {"address": f"{study}/p-t/gaussian/acr", "paper": "P", "status": status, "lower_bound": False}
    return StudyResults(
        [], "results", [row | {"seeds": 3, "images": 500, "shared_images": False} | measured], []
    )


def test_of_several_studies_the_best_measured_number_counts_whatever_its_verdict():
    """By the verdict, of many studies one would differ by chance, or for want of seeds."""
    weak = [
        number("few-seeds", "undecided", seeds=2, images=10000),
        number("few-images", "differs", images=100),
        number("stopped", "differs", images=10000, lower_bound=True),
        number("elsewhere", "other settings", seeds=9, images=10000),
        number("not-run", "not run", seeds=None, images=None, lower_bound=None),
    ]
    best = number("best", "agrees")
    for results in ([best, *weak], [*weak, best]):
        assert [row["address"].partition("/")[0] for row in numbers_of(results)] == ["best"]
    shared = number("shared", "consistent", images=100, shared_images=True)
    assert [row["status"] for row in numbers_of([best, shared, *weak])] == ["consistent"]


@pytest.mark.parametrize(
    ("verdicts", "joint"),
    [
        (["holds", "undecided", "not run"], "holds"),
        (["undecided", "fails"], "fails"),
        (["other settings", "undecided"], "undecided"),
        (["holds", "fails"], "undecided"),
        (["fails", "holds", "holds"], "undecided"),
    ],
)
def test_studies_that_contradict_each_other_leave_a_claim_undecided(verdicts, joint):
    results = []
    for i, verdict in enumerate(verdicts):
        head = {"id": "a", "paper": "P", "place": "p", "claim": "c", "settings": None, "verdict": verdict}
        results.append(
            StudyResults([Path("gone.yaml")], "results", [], [head | {"address": f"study{i}/claims/a"}])
        )
    for order in (results, results[::-1]):
        (claim,) = claims_of(order)
        assert claim["verdict"] == joint
        contradict = {"holds", "fails"} <= {*verdicts}
        assert (claim["settings"] is not None) is contradict
        if contradict:
            assert "holds in study" in claim["settings"]
