"""Claims beside the numbers that their own paper prints: rounding alone leaves them open."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_study import TINY

from rs.report.claims import rests_on
from rs.tables.own_numbers import by_own_numbers

RUNS = {name: {"objective": run["objective"]} for name, run in TINY["runs"].items()}
ENTRY = {"paper": "P", "table": "T", "radii": [0.0, 0.25]}


@pytest.fixture
def own_verdict(plan_of):
    """What the numbers printed for nal and gaussian say of one condition."""

    def by(*conditions: Any, **more: Any) -> str | None:
        *conditions, nal, gaussian = conditions
        printed = [{**ENTRY, "run": "nal", **nal}, {**ENTRY, "run": "gaussian", **gaussian}]
        claim = {"id": "c", "paper": "P", "place": "p", "claim": "c", "conditions": conditions}
        runs = {**TINY["runs"], "nal": {**TINY["runs"]["nal"], "calibration": {"images": {}}}}
        changed = {"published": printed, "claims": [claim], "runs": runs, "report": {"radii": [0, 0.25]}}
        found = by_own_numbers(plan_of({**TINY, **changed, **more}).study).get("c")
        return found and found[0]

    return by


def accuracies(*shares: float | str) -> dict[str, Any]:
    return {"certified_accuracy": list(shares)}


BETTER = {"better": "nal", "than": "gaussian", "metric": "certified_accuracy", "radii": [0, 0.25]}


@pytest.mark.parametrize(
    ("nal", "is_"),
    [
        *[
            ((0.91, 0.81), "holds"),
            ((0.95, 0.9), "holds"),
            ((0.95, 0.79), "fails"),
            ((0.9, 0.81), "undecided"),
        ],
    ],
)
def test_one_unit_of_the_last_digit_decides_and_equal_digits_do_not(own_verdict, nal, is_) -> None:
    assert own_verdict(BETTER, accuracies(*nal), accuracies("0.90", 0.8)) == is_


def test_a_difference_knows_how_much_was_rounded_off(own_verdict) -> None:
    condition = {"difference": ["nal", "gaussian"], "metric": "certified_accuracy", "radii": [0.25]}
    for least, is_ in ((0.08, "holds"), (0.1, "undecided"), (0.12, "fails")):
        assert (
            own_verdict({**condition, "at_least": least}, accuracies(0.9, "0.90"), accuracies(0.9, "0.80"))
            == is_
        )
    third = own_verdict(
        {**condition, "at_least": 0.099}, accuracies(0.9, "0.9000"), accuracies(0.9, "0.8000")
    )
    assert third == "holds"


def test_equivalent_has_the_margin_of_the_study(own_verdict) -> None:
    condition = {"equivalent": "nal", "than": "gaussian", "metric": "acr"}
    assert own_verdict(condition, {"acr": "0.531"}, {"acr": "0.538"}) == "holds"
    assert own_verdict(condition, {"acr": "0.500"}, {"acr": "0.538"}) == "fails"
    assert own_verdict(condition, {"acr": "0.531"}, {"acr": "0.538"}, agreement={"acr": 0.001}) == "fails"


def test_ratios_of_times_and_a_calibrated_epsilon(own_verdict) -> None:
    hours = {"ratio": ["nal", "gaussian"], "metric": "train_seconds", "at_most": 0.62}
    assert own_verdict(hours, {"train_hours": 117.9}, {"train_hours": 193.1}) == "holds"
    assert own_verdict({**hours, "at_most": 0.6}, {"train_hours": 117.9}, {"train_hours": 193.1}) == "fails"
    value = {"value": "nal", "metric": "epsilon", "at_least": 0.8}
    assert own_verdict(value, {"epsilon": 0.84}, {"acr": 1}) == "holds"
    assert own_verdict(value, {"epsilon": 0.84, "cost": "with_noise"}, {"acr": 1}) is None


def test_a_step_the_other_way_contradicts_a_trend_and_is_told(plan_of) -> None:
    printed = [{**ENTRY, "run": run, "acr": acr, "radii": []} for run, acr in STEPS]
    condition = {"trend": [run for run, _ in STEPS], "metric": "acr"}
    claim = {"id": "c", "paper": "P", "place": "p", "claim": "c", "conditions": [condition]}
    runs = {run: {"objective": {"name": "nal", "gamma": i + 1}} for i, (run, _) in enumerate(STEPS)}
    study = plan_of({**TINY, "runs": runs, "published": printed, "claims": [claim]}).study
    verdict, rows = by_own_numbers(study)["c"]
    assert verdict == "fails"
    assert "a step goes the other way" in rests_on(rows, verdict)


STEPS = [("a", "0.51"), ("b", "0.55"), ("c", "0.54"), ("d", "0.60")]


def test_what_is_not_printed_says_nothing(own_verdict) -> None:
    assert own_verdict({**BETTER, "radii": [0.25]}, accuracies(0.9, 0.9), {"acr": 1}) is None
    assert (
        own_verdict(BETTER, {**accuracies(0.95, 0.95), "run": ["nal", "gaussian"]}, accuracies(0.9, 0.8))
        is None
    )
    assert own_verdict(BETTER, {**accuracies(0.95, 0.95), "paper": "Q"}, accuracies(0.9, 0.8)) is None
    theory = {"proven": "tests/methods/test_dual.py::test_no_exponent_equals_cohen"}
    assert own_verdict(theory, accuracies(0.95, 0.95), accuracies(0.9, 0.8)) is None


def test_theory_counts_beside_printed_numbers(own_verdict) -> None:
    test = "tests/methods/test_dual.py::test_no_exponent_equals_cohen"
    for kind, is_ in (("proven", "holds"), ("impossible", "fails")):
        assert own_verdict({kind: test}, BETTER, accuracies(0.95, 0.95), accuracies("0.90", 0.8)) == is_


def test_theory_keeps_its_evidence_and_printed_numbers_have_none(plan_of) -> None:
    proof = {"proven": "tests/methods/test_dual.py::test_no_exponent_equals_cohen"}
    printed = [
        {**ENTRY, "run": run, **accuracies(0.95, share)} for run, share in (("nal", 0.9), ("gaussian", 0.8))
    ]
    claim = {
        "id": "c",
        "paper": "P",
        "place": "p",
        "claim": "c",
        "conditions": [proof, {**BETTER, "radii": [0.25]}],
    }
    study = plan_of({**TINY, "published": printed, "claims": [claim], "report": {"radii": [0, 0.25]}}).study
    outcomes = [(row["counted"], row["evidence"]) for row in by_own_numbers(study)["c"][1]]
    assert outcomes == [("theory", proof["proven"]), ("as printed", None)]


def test_a_network_that_is_printed_in_two_tables_counts_once(plan_of) -> None:
    networks = (("T", "nal", (0.95, 0.9)), ("U", "nal", (0.95, 0.9)), ("T", "gaussian", ("0.90", 0.8)))
    printed = [
        {**ENTRY, "table": table, "run": run, **accuracies(*shares)} for table, run, shares in networks
    ]
    claim = {"id": "c", "paper": "P", "place": "p", "claim": "c", "conditions": [BETTER]}
    study = plan_of({**TINY, "published": printed, "claims": [claim], "report": {"radii": [0, 0.25]}}).study
    assert by_own_numbers(study)["c"][0] == "holds"
