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


def claim_of(study: str, verdict: str, *values: float | None, evidence: str | None = None) -> StudyResults:
    """A claim with a condition for each value."""
    head = {"id": "a", "paper": "P", "place": "p", "claim": "c", "settings": None, "verdict": verdict}
    rows = [
        head | {"address": f"{study}/claims/a", "value": value, "evidence": evidence}
        for value in values or (None,)
    ]
    return StudyResults([Path("gone.yaml")], "results", [], rows)


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
    results = [claim_of(f"study{i}", verdict) for i, verdict in enumerate(verdicts)]
    for order in (results, results[::-1]):
        (claim,) = claims_of(order)
        assert claim["verdict"] == joint
        contradict = {"holds", "fails"} <= {*verdicts}
        assert (claim["settings"] is not None) is contradict
        if contradict:
            assert "holds in study" in claim["settings"]


def test_of_studies_with_one_verdict_the_one_that_measured_most_stands_for_a_claim():
    """A study that ran nothing of it, and is listed first, must not hide what another one found."""
    measured = claim_of("measured", "not run", -1.3, None)
    empty = claim_of("empty", "not run", None, None)
    for order in ([empty, measured], [measured, empty]):
        assert [claim["address"] for claim in claims_of(order)] == ["measured/claims/a"]
    decided = claim_of("decided", "holds", None)
    assert [claim["address"] for claim in claims_of([measured, decided])] == ["decided/claims/a"]


@pytest.mark.parametrize("verdict", ["fails", "undecided"])
def test_of_studies_that_measured_the_same_conditions_the_one_with_most_seeds_stands_for_a_claim(verdict):
    """Whatever it says: the verdict that says most would be one of several tries."""
    few = claim_of("few", "fails", -1.3, evidence="acr[0], acr[1]")
    many = claim_of("many", verdict, -1.3, evidence="acr[0], acr[1], acr[2]")
    for order in ([few, many], [many, few]):
        assert [claim["address"] for claim in claims_of(order)] == ["many/claims/a"]
