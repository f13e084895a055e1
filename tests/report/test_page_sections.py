"""The page's sections on claims and on differences between runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import study_tables

from rs.report.attacks import attacks_section
from rs.report.claims import claims_section, findings, rests_on
from rs.report.comparisons import comparisons_section
from rs.report.distributional import _checks, calibration_section
from rs.report.frame import _inline
from rs.report.page import _facts, _seeds
from rs.report.training import runs_section
from rs.statistics.paired import of_means
from rs.tables.claims import COLUMNS
from rs.tables.noise import smoothed_with


def condition(name: str, verdict: str, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"id": name, "paper": "NAL", "place": "Table 1", "claim": f"{name} <holds>", "verdict": verdict}
    return row | {"condition": "acr of a better than b", "condition_verdict": verdict} | more


@pytest.mark.parametrize(
    ("low", "high", "counted", "expected"),
    [
        (
            0.4,
            math.inf,
            "images; votes were stopped",
            "acr of a: 0.500 [0.400, ∞] (undecided; images; votes were stopped)",
        ),
        (None, None, "a: votes were stopped", "acr of a: 0.500 (undecided; a: votes were stopped)"),
        (0.4, 0.6, "images and seeds", "acr of a: 0.500 [0.400, 0.600]"),
        (-0.40001, 0.60001, "images", "acr of a: 0.500 [-0.401, 0.601]"),
        (0.5, 0.5, "the same votes, on these images", "acr of a: 0.500 (the same votes, on these images)"),
        (
            0.4,
            0.6,
            "images; within the margin of 0.2",
            "acr of a: 0.500 [0.400, 0.600] (within the margin of 0.2)",
        ),
    ],
)
def test_what_a_claim_rests_on_says_which_votes_leave_it_open(low, high, counted, expected) -> None:
    own = "undecided" if "stopped" in counted else "holds"
    row = {
        "condition": "acr of a",
        "radius": None,
        "value": 0.5,
        "evidence": "acr[0]",
        "condition_verdict": own,
    }
    assert rests_on([row | {"low": low, "high": high, "counted": counted}], "holds") == expected


def test_what_all_values_of_a_condition_share_is_said_once() -> None:
    same = "the same votes, on these images"
    rows = [
        condition("c", "undecided", radius=r, value=0.1, counted=same, condition_verdict=own)
        for r, own in ((0.5, "holds"), (1, "undecided"))
    ]
    first = {**rows[0], "condition": "acr of b"}
    assert findings([*rows, first], "undecided") == [
        f"acr of a better than b: 0.100 at 0.5 (holds), 0.100 at 1 (each: {same})",
        f"acr of b: 0.100 at 0.5 (holds; {same})",
    ]
    apart = [rows[0], {**rows[1], "counted": "images"}]
    assert findings(apart, "holds") == [
        f"acr of a better than b: 0.100 at 0.5 ({same}), 0.100 at 1 (undecided)"
    ]


def test_a_claim_is_one_row_with_all_that_it_rests_on(tmp_path: Path) -> None:
    rows = [
        condition("first", "holds", radius=0.5, value=0.1, low=0.05, high=0.15),
        condition("first", "holds", radius=1.0, value=0.2, condition_verdict="undecided"),
        condition("second", "other settings", settings="training.epochs 2, not 20", evidence="tests/x.py"),
    ]
    section = claims_section(study_tables.write(tmp_path, {"claims": pd.DataFrame(rows)}))
    first, second = section.tables[0].rows
    assert first[2].text == "acr of a better than b: 0.100 [0.050, 0.150] at 0.5, 0.200 at 1 (undecided)"
    assert second[2].text == "training.epochs 2, not 20; tests/x.py"
    assert second[2].lines == ("training.epochs 2, not 20", "tests/x.py")
    assert [row[1].kind for row in (first, second)] == ["text verdict holds", "text verdict other"]


def test_the_matrix_of_differences_is_antisymmetric(tmp_path: Path) -> None:
    pair = {"about": "networks", "metric": "acr", "certificate": "cohen"}
    pair |= smoothed_with({"name": "gaussian", "sigma": 0.25})
    pair |= {"a": "one", "b": "two", "difference": 0.05, "low": 0.0306, "high": 0.0794, "verdict": "better"}
    section = comparisons_section(study_tables.write(tmp_path, {"comparisons": pd.DataFrame([pair])}))
    (table,) = section.tables
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["one", "", "+0.050 ▲"],
        ["two", "−0.050 ▼", ""],
    ]
    assert table.rows[1][1].under == "−0.080 to −0.030"


def test_studies_without_claims_or_pairs_have_no_such_sections(tmp_path: Path) -> None:
    assert claims_section(tmp_path).tables == []
    assert comparisons_section(tmp_path).tables == []


@pytest.mark.parametrize(("seeds", "expected"), [([0, 0], {}), ([0, 1], {"run 0": 0, "run 1": 1}), ([], {})])
def test_seeds_are_told_where_they_differ(seeds, expected):
    runs = [{"run": f"run {i}", "seed": seed} for i, seed in enumerate(seeds)]
    assert _seeds(pd.DataFrame(runs)) == expected


def test_what_training_made_as_the_study_asked_is_said_once() -> None:
    runs = study_tables.frames()["runs"].assign(**{"training.epochs": study_tables.EPOCHS})
    note = runs_section(runs).tables[0].note
    assert note.count(f"epochs {study_tables.EPOCHS}") == 1
    subset = runs.assign(**{"train.max": 600, "train.images": 500})
    assert "train max 600 · train images 500" in runs_section(subset).tables[0].note
    runs["training.epochs"] = 99  # cut short: the setting is not what was made
    assert "epochs 99" in runs_section(runs).tables[0].note


@pytest.mark.parametrize(("optimizer", "used"), [("adam", False), ("sgd", True)])
def test_a_setting_that_no_run_uses_is_not_told(optimizer: str, used: bool) -> None:
    """Beside Adam's name a momentum reads as one of Adam's."""
    schedule = {"training.schedule.name": "multistep" if used else "cosine", "training.schedule.gamma": 0.1}
    made = {"training.optimizer.name": optimizer, "training.optimizer.momentum": 0.9, **schedule}
    note = runs_section(study_tables.frames()["runs"].assign(**made)).tables[0].note
    assert ("optimizer.momentum 0.9" in note, "schedule.gamma 0.1" in note) == (used, used)
    assert f"optimizer.name {optimizer}" in note


def test_what_all_rows_of_attacks_share_is_said_above_the_table(tmp_path: Path) -> None:
    """On a phone the columns of texts would hide the accuracies."""
    frame = study_tables.frames()["empirical_accuracy"]
    (table,) = attacks_section(study_tables.write(tmp_path, {"empirical_accuracy": frame}), {}).tables
    assert table.title == "ℓ₂ radius, pgd_l2"
    assert [head for head, _ in table.columns[:3]] == ["label", "smoothing noise", "r = 0"]
    one = frame[frame["smoothing_parameters"] == frame["smoothing_parameters"].iloc[0]]
    (table,) = attacks_section(study_tables.write(tmp_path, {"empirical_accuracy": one}), {}).tables
    assert table.title == "ℓ₂ radius, gaussian σ = 0.25, pgd_l2"
    assert [head for head, _ in table.columns[:2]] == ["label", "r = 0"]


def test_a_study_that_calibrates_nothing_has_no_such_section(tmp_path: Path) -> None:
    assert not calibration_section(tmp_path).empty


def test_verdicts_on_bounds_have_the_colours_of_other_verdicts() -> None:
    fields = {"adversary": "pgd_smoothed", "rho": 0.1, "bound": 0.3, "loss": 0.2, "excess": -0.1, "p": 1.0}
    rows = [
        fields | {"error": 0.01, "certificate": name, "rigorous": rigorous, "verdict": verdict}
        for name, rigorous, verdict in (
            ("neyman_pearson", True, "holds"),
            ("nal_gap", True, "fails"),
            ("nal", False, "fails"),
        )
    ]
    shown = [row[-1] for row in _checks(pd.DataFrame(rows), "bounds").rows]
    assert [cell.text for cell in shown] == ["fails", "refuted", "holds"]
    assert [cell.kind.split()[2] for cell in shown] == ["fails", "fails", "holds"]
    assert all(f"td.verdict.{verdict}" in _inline("page.css") for verdict in ("holds", "fails"))


def test_networks_that_nobody_trained_here_are_counted_as_networks(tmp_path: Path) -> None:
    run = {"dataset": "mnist", "model": "lenet", "objective": "imported", "noise": "gaussian", "network": "a"}
    facts = dict(_facts(pd.DataFrame([run | {"run": "r1"}, run | {"run": "r2"}]), tmp_path))
    assert facts["networks"] == "1"
    assert "trainings" not in facts


def test_runs_that_certify_nothing_differ_by_nothing_without_an_interval(tmp_path: Path) -> None:
    nothing = of_means(np.zeros(20), np.zeros(20))
    row = {
        "a": "one",
        "b": "two",
        "about": "networks",
        "metric": "acr",
        "certificate": "cohen",
        "radius": None,
    }
    row |= smoothed_with({"name": "gaussian", "sigma": 0.5}) | {"verdict": "undecided"}
    row |= {"difference": nothing.value, "low": nothing.low, "high": nothing.high}
    study_tables.write(tmp_path, {"comparisons": pd.DataFrame([row])})
    (table,) = comparisons_section(tmp_path).tables
    assert [(cell.text, cell.under) for cell in table.rows[0][1:]] == [("", ""), ("+0.000 ◐", "")]
