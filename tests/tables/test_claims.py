"""Every predicate of a claim and every verdict, each both ways it could come out; every slip is one line."""

from __future__ import annotations

import math
from typing import Any

import pytest
from claim_rows import accuracy, steady
from tiny_study import TINY

from rs.tables.claims import joined

SEEDS = (0, 1, 2)
RUNS = {name: {"objective": run["objective"]} for name, run in TINY["runs"].items()}


@pytest.mark.parametrize(
    ("kind", "share", "is_"),
    [
        *[("better", 0.9, "holds"), ("better", 0.7, "fails"), ("better", 0.8, "undecided")],
        *[("worse", 0.7, "holds"), ("worse", 0.9, "fails"), ("better", 0.81, "undecided")],
    ],
)
def test_better_and_worse_by_the_runs_own_intervals(verdict, kind, share, is_) -> None:
    tables = {"certified_accuracy": steady("nal", share, half=0.03) + steady("gaussian", 0.8, half=0.03)}
    found, rows = verdict({kind: "nal", "than": "gaussian"}, tables=tables)
    assert found == is_
    assert rows[0]["value"] == pytest.approx(share - 0.8)
    assert rows[0]["evidence"].split(", ") == [f"certified_accuracy[{i}]" for i in range(6)]


def test_equivalent_is_within_the_margin(verdict) -> None:
    tables = {"certified_accuracy": steady("nal", 0.801, half=0.002) + steady("gaussian", 0.8, half=0.002)}
    condition = {"equivalent": "nal", "than": "gaussian"}
    assert verdict(condition, tables=tables)[0] == "holds"
    assert verdict(condition, tables=tables, agreement={"accuracy": 0.003})[0] == "undecided"
    found, rows = verdict({"better": "nal", "than": "gaussian"}, tables=tables)
    assert (found, rows[0]["counted"].split("; ")[-1]) == ("fails", "within the margin of 0.02")
    far = {"certified_accuracy": steady("nal", 0.9) + steady("gaussian", 0.8)}
    for name, rows in (("holds", tables), ("fails", far)):  # the words of the verdict say why
        (found, (row,)) = verdict(condition, tables=rows)
        assert (found, "margin" in row["counted"]) == (name, False)


def test_methods_need_three_seeds_and_networks_one(verdict) -> None:
    tables = {"certified_accuracy": accuracy("nal", 0.9) + accuracy("gaussian", 0.8)}
    condition = {"better": "nal", "than": "gaussian"}
    found, rows = verdict(condition, tables=tables)
    assert (found, rows[0]["low"], rows[0]["counted"]) == ("undecided", None, "fewer than 3 training seeds")
    assert verdict(condition | {"about": "networks"}, tables=tables)[0] == "holds"
    spread = {"certified_accuracy": accuracy("nal", 0.8, 0.9, 0.99) + steady("gaussian", 0.8)}
    assert verdict(condition, tables=spread)[0] == "undecided"
    assert verdict(condition | {"about": "networks"}, tables=spread)[0] == "undecided"  # its seeds are known


TWO = {"certificates": [{"name": "cohen"}, {"name": "tcertify"}]}


def test_certificates_on_the_same_votes_differ_by_no_noise(verdict) -> None:
    def both(share: float) -> Any:
        rows = accuracy("nal", 0.8, half=0.05) + accuracy("nal", share, half=0.05)
        rows[1]["certificate"] = "tcertify"
        return {"certified_accuracy": rows}

    condition = {"difference": [{"run": "nal", "certificate": "tcertify"}, "nal"], "at_least": 0}
    for share, is_ in ((0.8, "holds"), (0.802, "holds"), (0.798, "fails")):
        found, rows = verdict(condition, tables=both(share), **TWO)
        assert (found, rows[0]["counted"]) == (is_, "the same votes, on these images")
    less = {"better": {"run": "nal", "certificate": "tcertify"}, "than": "nal"}
    assert verdict(less, tables=both(0.802), **TWO)[0] == "holds"  # by how little stands beside it
    assert verdict(less, tables=both(0.8), **TWO)[0] == "fails"


def test_lower_bounds_of_stopped_votes_decide_only_what_they_can(verdict) -> None:
    low, high = steady("nal", 0.5, lower_bound=True), steady("gaussian", 0.8)
    more = [row for name in ("n1", "n2") for row in steady(name, 0.9)]
    study: dict[str, Any] = {"tables": {"certified_accuracy": low + high + more}}
    for bound, is_ in (("at_most", "undecided"), ("at_least", "undecided")):
        found, rows = verdict({"value": "nal", bound: 0.6}, **study)
        assert (found, rows[0]["high"]) == (is_, math.inf)
        assert rows[0]["counted"].endswith("votes were stopped at a lower bound")
    assert verdict({"value": "nal", "at_least": 0.4}, **study)[0] == "holds"
    assert verdict({"value": "gaussian", "at_most": 0.9}, **study)[0] == "holds"
    conditions = [{kind: "nal", "than": "gaussian"} for kind in ("better", "worse", "equivalent")]
    conditions += [{kind: ["gaussian", "nal"], "at_least": 0.1} for kind in ("difference", "ratio")]
    conditions += [{"trend": ["nal", "gaussian", "n1"]}]
    conditions += [{"crosses": ["nal", "gaussian"], "small": 0, "large": 0.25, "radii": []}]
    study["tables"]["certified_accuracy"] += steady("nal", 0.9, radius=0.0) + steady(
        "gaussian", 0.8, radius=0.0
    )
    for condition in conditions:
        found, rows = verdict(condition, runs={**RUNS, **STEPS}, report={"radii": [0, 0.25]}, **study)
        assert found == "undecided", condition
        assert rows[-1]["counted"] == "nal: votes were stopped at a lower bound"
        assert rows[-1]["low"] is None
    exact = [row | {"lower_bound": False} for row in low]  # at a radius that the votes were stopped for
    study["tables"]["certified_accuracy"][:3] = exact
    assert verdict(conditions[1], **study)[0] == "holds"


@pytest.mark.parametrize(("least", "is_"), [(0.7, "holds"), (0.9, "fails"), (0.8, "undecided")])
def test_a_value_is_at_least_a_number(verdict, least, is_) -> None:
    tables = {"certified_accuracy": steady("nal", 0.8)}
    assert verdict({"value": "nal", "at_least": least}, tables=tables)[0] == is_
    turned = {"holds": "fails", "fails": "holds"}.get(is_, is_)
    assert verdict({"value": "nal", "at_most": least}, tables=tables)[0] == turned
    assert verdict({"value": "nal", "at_least": 0.7, "at_most": least}, tables=tables)[0] in ("fails", turned)


def test_ratios_of_times_name_the_machines(verdict) -> None:
    times = [
        {"label": n, "run": f"{n}{i}", "train_seconds": t + i - 1, "device": "d"}
        for n, t in (("nal", 50), ("gaussian", 100))
        for i in range(3)
    ]
    condition = {"ratio": ["nal", "gaussian"], "metric": "train_seconds", "radii": [], "about": "networks"}
    found, rows = verdict(condition | {"at_most": 0.61}, tables={"runs": times})
    assert (found, rows[0]["value"], rows[0]["machines"]) == ("holds", 0.5, "d")
    assert verdict(condition | {"at_most": 0.4}, tables={"runs": times})[0] == "fails"
    others = [row | {"device": "another"} if row["label"] == "nal" else row for row in times]
    found, rows = verdict(condition | {"at_most": 0.61}, tables={"runs": others})
    assert (found, rows[0]["settings"]) == ("other settings", "machines: another, d")


@pytest.mark.parametrize(
    ("first", "second", "value", "ends"),
    [
        ((0.2, 0.1, 0.3), (0.0, 0.0, 0.1), None, (None, None)),
        ((0.2, 0.1, 0.3), (0.5, 0.4, 0.6), 0.4, (0.1 / 0.6, 0.3 / 0.4)),
        ((0.0, -0.1, 0.1), (0.5, 0.4, 0.6), 0.0, (-0.1 / 0.4, 0.1 / 0.4)),
        ((-0.2, -0.3, -0.1), (0.5, 0.4, 0.6), -0.4, (-0.3 / 0.4, -0.1 / 0.6)),
    ],
)
def test_a_ratio_lies_between_the_quotients_of_opposite_ends(verdict, first, second, value, ends) -> None:
    rows = [r for name in ("nal", "gaussian") for r in accuracy(name, 0.5)]
    for row, numbers in zip(rows, (first, second), strict=True):
        row |= dict(zip(("acr", "low", "high"), numbers, strict=True))
    condition = {"ratio": ["nal", "gaussian"], "about": "networks", "at_most": 0.8}
    condition |= {"metric": "acr", "radii": []}
    found, (outcome,) = verdict(condition, tables={"average_certified_radius": rows})
    assert (found, outcome["value"]) == ("undecided" if value is None else "holds", pytest.approx(value))
    assert (outcome["low"], outcome["high"]) == pytest.approx(ends)


STEPS = {f"n{i}": {"objective": {"name": "nal", "gamma": float(i)}} for i in range(1, 5)}


@pytest.mark.parametrize(
    ("values", "is_"),
    [
        ((0.5, 0.6, 0.7, 0.8), "holds"),
        ((0.8, 0.7, 0.6, 0.5), "fails"),
        ((0.6, 0.6, 0.6, 0.6), "undecided"),
        ((0.5, 0.9, 0.6, 0.8), "fails"),  # one step against it
        ((0.6, 0.595, 0.7, 0.8), "holds"),  # against it within its interval
    ],
)
def test_a_trend_is_a_contrast_and_no_step_against_it(verdict, values, is_) -> None:
    tables = {"certified_accuracy": [r for i, v in enumerate(values) for r in steady(f"n{i + 1}", v)]}
    condition = {"trend": list(STEPS), "goes": "rising"}
    assert verdict(condition, tables=tables, runs=STEPS)[0] == is_
    turned = {"holds": "fails"}.get(is_, is_) if is_ != "fails" or values[1] == 0.9 else "holds"
    assert verdict(condition | {"goes": "falling"}, tables=tables, runs=STEPS)[0] == turned


def test_curves_that_cross(verdict) -> None:
    rows = steady("nal", 0.9, radius=0.0) + steady("gaussian", 0.8, radius=0.0)
    condition = {"crosses": ["nal", "gaussian"], "small": 0, "large": 0.5, "radii": []}
    for far, is_ in ((0.5, "holds"), (0.7, "fails"), (0.6, "undecided")):
        more = [r for n, a in (("nal", far), ("gaussian", 0.6)) for r in steady(n, a, radius=0.5, half=0.03)]
        found, outcomes = verdict(
            condition, tables={"certified_accuracy": rows + more}, report={"radii": [0, 0.5]}
        )
        assert (found, [r["radius"] for r in outcomes]) == (is_, [0.0, 0.5])


def test_theory_names_its_test(verdict) -> None:
    page = "docs/evidence/soap-bubbles-theory.md"
    found, rows = verdict(
        {"impossible": page, "radii": []}, tables={}, papers={"P": {"data": {"name": "mnist"}}}
    )
    assert (found, rows[0]["evidence"], rows[0]["condition_verdict"]) == ("fails", page, "fails")
    proof = "tests/methods/test_dual.py::test_no_exponent_equals_cohen"
    assert verdict({"proven": proof, "radii": []}, tables={})[0] == "holds"


def test_not_run_and_other_settings(verdict) -> None:
    condition = {"better": "nal", "than": "gaussian"}
    found, rows = verdict(condition, tables={"certified_accuracy": steady("nal", 0.9)})
    assert (found, rows[0]["counted"]) == ("not run", "gaussian is not run")
    tables = {"certified_accuracy": steady("nal", 0.9) + steady("gaussian", 0.8)}
    paper = {"papers": {"P": {"training": {"epochs": 25}}}}
    found, rows = verdict(condition, tables=tables, **paper)
    assert (found, rows[0]["condition_verdict"]) == ("other settings", "holds")
    assert rows[0]["settings"] == "gaussian, nal: training.epochs 1, not 25"
    row = {"paper": "P", "table": "T", "acr": 1}  # what is printed of a run
    own = {"papers": {"P": paper["papers"]["P"] | {"objective": {"name": "gaussian"}}}}
    _, rows = verdict(condition, tables=tables, **own, published=[row | {"run": ["nal", "gaussian"]}])
    both, one = "gaussian, nal: training.epochs 1, not 25", "nal: objective nal, not gaussian"
    assert rows[0]["settings"] == f"{both}. {one}"
    row["settings"] = {"training": {"epochs": 1}}
    one = paper | {"published": [row | {"run": "gaussian"}, row | {"run": ["nal", "gaussian"]}]}
    assert verdict(condition, tables=tables, **one)[0] == "holds"


def test_a_run_in_no_printed_row_is_a_baseline_with_its_own_method(verdict) -> None:
    """The paper's objective is no setting of it, its epochs are; a printed row makes it the paper's own."""
    condition = {"better": "nal", "than": "gaussian"}
    tables = {"certified_accuracy": steady("nal", 0.9) + steady("gaussian", 0.8)}
    paper = {"papers": {"P": {"objective": {"name": "gaussian"}, "training": {"epochs": 1}}}}
    assert verdict(condition, tables=tables, **paper)[0] == "holds"
    row = {"paper": "P", "table": "T", "acr": 1}
    other = "nal: objective nal, not gaussian"
    for run, settings in ((["gaussian"], None), (["gaussian", "nal"], other), ("nal", other)):
        found, rows = verdict(condition, tables=tables, **paper, published=[row | {"run": run}])
        assert (found, rows[0]["settings"]) == ("other settings" if settings else "holds", settings)
    epochs = {"papers": {"P": {"training": {"epochs": 2}}}}
    _, rows = verdict(condition, tables=tables, **epochs)
    assert rows[0]["settings"] == "gaussian, nal: training.epochs 1, not 2"


def test_one_condition_of_any_holds_as_a_whole(verdict) -> None:
    rows = [r for n, a in (("nal", 0.9), ("gaussian", 0.8)) for r in steady(n, a)]
    rows += [r for n, a in (("nal", 0.5), ("gaussian", 0.8)) for r in steady(n, a, radius=0.5)]
    condition = {"better": "nal", "than": "gaussian", "radii": [0.25, 0.5]}
    crossing = {
        "crosses": ["gaussian", "nal"],
        "small": 0.25,
        "large": 0.5,
        "radii": [],
    }  # neither half holds
    study: dict[str, Any] = {"tables": {"certified_accuracy": rows}, "report": {"radii": [0.25, 0.5]}}
    found, each = verdict(condition, crossing, join="any", **study)
    assert [row["condition_verdict"] for row in each] == ["holds", "fails", "fails", "fails"]
    assert found == "fails"
    assert verdict(condition, crossing | {"crosses": ["nal", "gaussian"]}, join="any", **study)[0] == "holds"


@pytest.mark.parametrize(
    ("join", "verdicts", "is_"),
    [
        *[
            ("all", "hh", "holds"),
            ("all", "hf", "fails"),
            ("all", "hu", "undecided"),
            ("all", "hn", "not run"),
        ],
        *[("all", "nf", "fails"), ("any", "hf", "holds"), ("any", "ff", "fails"), ("any", "fu", "undecided")],
        *[("any", "fn", "not run"), ("any", "nh", "holds"), ("all", "un", "not run")],
    ],
)
def test_all_or_any(join, verdicts, is_) -> None:
    words = {"h": "holds", "f": "fails", "u": "undecided", "n": "not run"}
    assert joined(join, [words[v] for v in verdicts]) == is_


def test_several_rows_of_one_run_are_told_apart(verdict) -> None:
    rows = [
        {"label": "nal", "run": "nal", "certificate": "c", "rho": r, "low": 1.0, "high": 2.0}
        for r in (0.1, 0.2)
    ]
    condition = {
        "value": "nal",
        "metric": "distributional.high",
        "radii": [],
        "at_least": 1.5,
        "about": "networks",
    }
    with pytest.raises(Exception, match=r"claims\[0\].conditions\[0\]: distributional has several rows"):
        verdict(condition, tables={"distributional": rows})
    narrower = condition | {"where": {"rho": 0.2}}
    assert verdict(narrower, tables={"distributional": rows})[0] == "undecided"
    noisy = steady("nal", 0.9) + steady("nal", 0.9, smoothing="none")
    with pytest.raises(Exception, match="smoothed with several noises; name one: smoothing"):
        verdict({"value": "nal", "at_least": 0.5}, tables={"certified_accuracy": noisy})
