"""The pairs that claims are about: each under its own certificate, or its own attack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest
from observed_runs import NETWORK, observe, observed_pair
from tiny_study import TINY

from rs.provenance.files import provenance, read_table, write_table
from rs.tables.claims import judged
from rs.tables.comparisons import PairSettings, compare
from rs.tables.contestants import Contestant, Outcomes, every, of_runs
from rs.tables.pairs import between
from rs.tables.stored import Stored

WEAK = {**TINY["attacks"][0], "label": "weak"}
STRONG = {**WEAK, "label": "strong", "steps": 4}
UNDER_WEAK = {"better": "nal", "than": "gaussian", "metric": "empirical_accuracy", "radii": [0.5]}
UNDER_WEAK["attack"] = "weak"


def claims(*conditions):
    return [{"id": "a", "paper": "P", "place": "1", "claim": "is so", "conditions": list(conditions)}]


def paired(plan):
    return between(plan.study, every(Stored(plan)))


@pytest.fixture
def observed(tiny, plan_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda **study: observed_pair(plan_of, {**tiny, **study}, 0.0)


def test_accuracies_under_two_attacks_are_paired_each_under_its_own(observed):
    condition = {"better": "nal", "than": "gaussian", "metric": "empirical_accuracy", "radii": [0.5]}
    under = [condition | {"attack": attack, "about": "networks"} for attack in ("weak", "strong")]
    plan = observed(attacks=[WEAK, STRONG], claims=claims(*under))
    rows = paired(plan)
    each = [(r["attack"], r["radius"], r["level"]) for r in rows if r["about"] == "networks"]
    assert sorted(each) == [(a, 0.5, c) for a in ("strong", "weak") for c in (0.95, 0.975)]
    noise = rows[0]["smoothing"]
    accuracies = [
        {"label": label, "run": label, "attack": attack, "smoothing": noise, "radius": 0.5, "accuracy": share}
        | {"images": 3, "low": 0.0, "high": 1.0}
        for label, share in (("nal", 1.0), ("gaussian", 2 / 3))
        for attack in ("weak", "strong")
    ]
    found = judged(plan.study, {"empirical_accuracy": accuracies, "comparisons": rows})
    assert [row["counted"] for row in found] == ["3 images paired"] * 2
    assert [row["value"] for row in found] == pytest.approx([1 / 3] * 2)


def test_runs_know_what_their_stopped_votes_decide(observed):
    fixed = of_runs(observed(attacks=[]))
    assert {c.decided for c in fixed} == {None}
    stop = {"alpha": 0.001, "radii": [0.25]}
    sampling = {**TINY["sampling"], "mode": "sequential", "stop": stop, "n": 4096}
    conditions = [
        {"better": "nal", "than": "gaussian", "radii": [r], "metric": "certified_accuracy"}
        for r in (0.25, 0.5)
    ]
    plan = observed(attacks=[], sampling=sampling, claims=claims(*conditions))
    stopped = of_runs(plan)
    assert {c.decided for c in stopped} == {(0.25,)}
    assert {c.conditions["n"] for c in stopped} == {"stopped, at most 4096"}  # fewer would certify less
    assert {c.n0 for c in [*fixed, *stopped]} == {TINY["sampling"]["n0"]}
    assert {r["radius"]: r["lower_bound"] for r in paired(plan)} == {0.25: False, 0.5: True}


def test_what_stopped_votes_leave_open_is_undecided_and_no_test_of_the_family():
    images, labels = np.arange(30), np.zeros(30, int)
    outcomes = [Outcomes(images, labels, np.full((1, 30), radius)) for radius in (0.9, 0.1)]
    a, b = (Contestant(name, (0,), found) for name, found in zip("ab", outcomes, strict=True))
    all_votes = compare([(a, b, PairSettings([0.2, 0.5]))])
    assert {r["verdict"] for r in all_votes if r["about"] == "networks"} == {"better"}
    for stopped in ((replace(a, decided=(0.5,)), b), (a, replace(b, decided=(0.5,)))):
        rows = [r for r in compare([(*stopped, PairSettings([0.2, 0.5]))]) if r["about"] == "networks"]
        verdicts = {(r["metric"], r["radius"]): (r["verdict"], r["lower_bound"]) for r in rows}
        decided = verdicts.pop(("certified_accuracy", 0.5))
        assert decided == ("better", False)
        assert set(verdicts.values()) == {("undecided", True)}
        (at,) = (r for r in rows if r["radius"] == 0.5)
        assert at["adjusted_p"] == at["p"]  # the radius that is open does not count


def test_a_row_is_the_same_whichever_conditions_read_it(observed):
    """Alone, or with other radii: nothing of it is adjusted for the others."""
    condition = {"better": "nal", "than": "gaussian", "metric": "certified_accuracy", "about": "networks"}
    alone = paired(observed(attacks=[], claims=claims(condition | {"radii": [0.25]})))
    both = [condition | {"radii": [0.25, 0.0]}, condition | {"radii": [0.25]}]
    rows = paired(observed(attacks=[], claims=claims(*both)))
    assert {r["radius"] for r in rows} == {0.0, 0.25}
    assert len([r for r in rows if r["about"] == "networks"]) == 2 * 2  # at 95 %, and as one of three
    (one,) = (r for r in alone if r["about"] == "networks")
    assert one in rows
    assert one["adjusted_p"] == one["p"]


def accuracies(plan, side, right):
    """Rows of the table `empirical_accuracy` for one side of a condition, one per seed."""
    own = {"label": side["run"], "attack": side["attack"], "radius": 0.5, "accuracy": right}
    own |= {"smoothing": side["smoothing"]} if "smoothing" in side else {}
    runs = [p.id for p in plan.runs if p.run.label == side["run"]]
    return [own | {"run": run, "images": 3, "low": 0.0, "high": 1.0} for run in runs]


@pytest.mark.parametrize("by", ["attack", "smoothing"])
def test_a_run_is_paired_with_itself(observed, by):
    """Under another attack, and with and without noise: image by image and seed by seed."""
    named = {"attack": ("weak", "strong"), "smoothing": ("none", "gaussian sigma=0.25")}[by]
    sides = [{"run": "nal", "attack": "weak", by: name} for name in named]
    condition = {"metric": "empirical_accuracy", "radii": [0.5]}
    conditions = [
        condition | {"better": sides[0], "than": sides[1], "about": "networks"},
        condition | {"difference": sides, "at_least": 0.7, "about": "methods"},
    ]
    study = {
        "attack": {"attacks": [WEAK, STRONG]},
        "smoothing": {
            "attacks": [WEAK],
            "smoothing": [{"name": "none"}, {"name": "gaussian", "sigma": 0.25}],
            "certificates": [],
        },
    }[by]
    plan = observed(seeds=[0, 1, 2], claims=claims(*conditions), **study)

    def under(spec):
        weak = spec["attack"]["steps"] == WEAK["steps"] if by == "attack" else spec["noise"]["name"] == "none"
        return [False] * 3 if weak else [False, True, True]

    observe(plan, lambda run: [0.1] * 6, under=under)
    rows = paired(plan)
    assert {(row["a"], row["b"]) for row in rows} == {tuple(f"nal ({name})" for name in named)}
    right = [*accuracies(plan, sides[0], 1.0), *accuracies(plan, sides[1], 1 / 3)]
    found = judged(plan.study, {"empirical_accuracy": right, "comparisons": rows})
    counted = ["3 images paired", "3 images paired, and seeds"]
    assert [row["counted"].split(";")[0] for row in found] == counted
    assert [row["value"] for row in found] == pytest.approx([2 / 3] * 2)


def test_sides_that_differ_in_what_nobody_named_are_no_pair(observed):
    """Votes of other numbers; and two certificates on the same votes, which need no images."""
    metric = {"metric": "certified_accuracy", "radii": [0.25]}
    kinds = [{"name": "cohen", "alpha": 0.001, "label": name} for name in ("one", "same")]
    kinds.append({"name": "cohen", "alpha": 0.05, "label": "loose"})

    def pairs(first, second):
        sides = [{"run": run, "certificate": label} for run, label in (first, second)]
        condition = metric | {"difference": sides, "at_least": 0.0}
        return paired(observed(attacks=[], certificates=kinds, claims=claims(condition)))

    assert pairs(("nal", "one"), ("gaussian", "same"))
    assert not pairs(("nal", "one"), ("gaussian", "loose"))
    assert not pairs(("nal", "one"), ("nal", "same"))


def test_curves_that_cross_are_paired_and_so_are_runs_of_their_own_noise(observed):
    """Each at the radius at which it should lead; of several noises none is meant until it is named."""
    curves = {"crosses": ["gaussian", "nal"], "small": 0.0, "large": 0.5, "metric": "certified_accuracy"}
    other = {**TINY["runs"]["nal"], "noise": {"sigma": 0.5}}
    other.pop("calibration")
    runs = {"gaussian": TINY["runs"]["gaussian"], "nal": other}
    conditions = [curves | {"about": "networks"}]
    rows = [
        r
        for r in paired(observed(attacks=[], runs=runs, claims=claims(*conditions)))
        if r["about"] == "networks"
    ]
    assert {(r["a"], r["b"], r["radius"]) for r in rows} == {
        ("gaussian", "nal", 0.0),
        ("nal", "gaussian", 0.5),
    }
    several = [{"name": "none"}, {"name": "gaussian", "sigma": 0.5}]
    for smoothing, found in ((None, True), (several, False)):
        runs["nal"] = other | ({"smoothing": smoothing} if smoothing else {})
        plan = observed(attacks=[WEAK], certificates=[], runs=runs, claims=claims(UNDER_WEAK))
        assert bool(paired(plan)) == found


def test_margins_of_average_radii_are_shares_of_the_second_run_s(observed):
    """About 0.1, give or take 0.07, is within 0.8 * 0.225 and not within 0.8 * 0.125. Wrong images are 0."""
    condition = {"metric": "acr", "radii": [], "about": "networks"}
    both = [condition | {"equivalent": a, "than": b} for a, b in (("nal", "gaussian"), ("gaussian", "nal"))]
    plan = observed(attacks=[], agreement={"acr": 0.8}, claims=claims(*both))

    def equivalent(**radii):
        observe(plan, lambda run: radii[run.label])
        rows = [r for r in paired(plan) if r["about"] == "networks"]
        return {r["a"] for r in rows if r["verdict"] == "equivalent"}

    low = [0.05 * i for i in range(6)]
    higher = [r + 0.1 + 0.002 * (-1) ** i for i, r in enumerate(low)]
    assert equivalent(gaussian=low, nal=higher) == {"gaussian"}
    # means 0.25 and 1/3, 1/12 apart
    assert equivalent(nal=[0.0] + [0.3] * 5, gaussian=[-1.0] + [0.4] * 5) == {"nal", "gaussian"}


def test_two_attacks_on_other_images_are_no_pair(observed):
    """And do not stop the tables, as two runs that share no image would."""
    sides = [{"run": "nal", "attack": attack} for attack in ("weak", "strong")]
    condition = {"difference": sides, "at_least": 0.0, "metric": "empirical_accuracy", "radii": [0.5]}
    apart = [WEAK | {"images": {"max": 2}}, STRONG | {"images": {"first": 2, "max": 4}}]
    plan = observed(attacks=apart, certificates=[], claims=claims(condition))
    observe(plan, lambda run: [0.1] * 6, under=lambda spec: [False] * 2)
    for planned in plan.runs:  # the strong one's images are others
        path = planned.observations[0].attacks[1]
        table = read_table(path)[0]
        moved = table.set_column(0, "image", pc.add(table.column("image"), 2))
        spec = plan.job("attack", str(path)).spec
        facts = {"norm": 2.0, "judge": 32, "shape": [1, 1, 1], "classes": 10, "samples": 2}
        write_table(
            path,
            moved,
            {**provenance(spec, "code"), "model": NETWORK, **facts, "access": "white-box", "shares": "none"},
        )
    assert paired(plan) == []


@pytest.mark.parametrize("without", ["gaussian", "nal"])
def test_attacks_are_paired_under_whichever_certificates_stand_beside_them(observed, without):
    runs = {name: {**TINY["runs"][name]} for name in ("gaussian", "nal")}
    runs[without]["certificates"] = []
    assert paired(observed(attacks=[WEAK], runs=runs, claims=claims(UNDER_WEAK)))


def test_sides_of_other_rows_of_a_table_are_no_pair(observed):
    """Both would have one name, and the outcomes behind them are not told apart."""
    sides = [{"run": "nal", "attack": "weak", "where": {"seed": seed}} for seed in (0, 1)]
    condition = {"difference": sides, "at_least": 0.0, "metric": "empirical_accuracy", "radii": [0.5]}
    assert paired(observed(attacks=[WEAK], certificates=[], claims=claims(condition))) == []


def test_the_radii_of_one_run_under_two_noises_are_a_pair_and_two_runs_under_each_noise(observed):
    noises = {f"gaussian sigma={sigma}": {"name": "gaussian", "sigma": sigma} for sigma in (0.25, 0.5)}
    sides = [{"run": "nal", "smoothing": noise} for noise in noises]
    condition = {"metric": "certified_accuracy", "radii": [0.25]}
    of_one = condition | {"difference": sides, "at_least": 0.0}
    of_two = condition | {"better": "nal", "than": "gaussian"}
    plan = observed(attacks=[], smoothing=[*noises.values()], claims=claims(of_one, of_two))
    rows = [row for row in paired(plan) if row["about"] == "networks"]
    first, second = noises
    assert {(row["a"], row["b"]) for row in rows} == {
        (f"nal ({first})", f"nal ({second})"),
        ("nal", "gaussian"),
    }
    assert {row["smoothing"] for row in rows if row["a"] == "nal"} == {*noises}
