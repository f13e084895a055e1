"""Ids of runs are decided by what the study says: not by the order of runs, nor by which are active."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections import defaultdict

import golden
import pytest

from rs.plan.plan import Plan
from rs.plan.sharing import Sharing
from rs.study.study import Study

GAUSSIAN = {"objective": {"name": "gaussian"}}


@pytest.fixture
def three(tiny):
    """Three ways of voting with one network, of which the first is all defaults, and another network."""
    tiny["attacks"], tiny["sampling"] = [], {}
    tiny["runs"] = {
        "plain": GAUSSIAN,
        "rounded": {**GAUSSIAN, "sampling": {"precision": "bfloat16"}},
        "few": {**GAUSSIAN, "sampling": {"n": 100}},
        "other": {"objective": {"name": "nal", "gamma": 1.5}, "sampling": {"n": 100}},
    }
    return tiny


@pytest.fixture
def ids(plan_of):
    def of(study, **changes):
        return {(run.run.label, run.run.seed): run.id for run in plan_of({**study, **changes}).runs}

    return of


def test_who_votes_by_the_defaults_or_is_alone_has_the_id_of_the_network(three, plan_of):
    runs = {run.run.label: run for run in plan_of(three).runs}
    assert {label for label, run in runs.items() if run.id == run.network} == {"plain", "other"}
    assert len({run.id for run in runs.values()}) == 4


def test_neither_order_nor_what_is_active_changes_an_id(three, ids):
    known = ids(three)
    for labels in itertools.permutations(three["runs"]):
        assert ids(three, runs={label: three["runs"][label] for label in labels}) == known
        for number in (1, 2):
            active = list(labels[:number])
            assert ids(three, active=active) == {key: known[key] for key in known if key[0] in active}


def test_another_run_in_front_changes_no_id(three, ids):
    known, more = ids(three), {"many": {**GAUSSIAN, "sampling": {"n": 20_000}}}
    assert known.items() < ids(three, runs=more | three["runs"]).items()


def test_a_second_label_renames_the_first_unless_that_votes_by_the_defaults(three, ids):
    runs = three["runs"]
    for label, renamed in (("plain", False), ("few", True)):
        alone = ids(three, runs={label: runs[label]})
        both = ids(three, runs={label: runs[label], "rounded": runs["rounded"]})
        assert (alone[label, 0] != both[label, 0]) == renamed


def test_a_log_in_the_place_of_a_run_that_is_not_active_changes_no_id(three, ids, tmp_path):
    log = tmp_path / "log.tsv"
    log.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.5\t1\t0\n")
    noise = {"name": "gaussian", "sigma": 0.25}
    entry = {"file": str(log), "noise": noise, "certificate": "cohen", "alpha": 0.001, "n": 1000}
    runs = {label: three["runs"][label] for label in ("rounded", "few")}
    known = ids(three, runs=runs)
    assert ids(three, runs=runs, active=["few"], logs={"rounded": entry}) == {("few", 0): known["few", 0]}


def test_seeds_vote_alike_and_only_shared_networks_have_a_digest(three, plan_of):
    runs = copy.deepcopy({label: three["runs"][label] for label in ("rounded", "few")})
    runs["few"]["seeds"] = [0, 1, 2]
    runs["rounded"]["seeds"] = [0, 2]
    found = {(run.run.label, run.run.seed): run for run in plan_of({**three, "runs": runs}).runs}
    behind = {key: run.id.removeprefix(run.network) for key, run in found.items()}
    assert behind["few", 0] == behind["few", 2] != ""
    assert behind["few", 1] == ""


@pytest.mark.parametrize(
    "command", ["config/incremental.yaml", "config/nal.yaml", "config/evidence/ensemble.yaml", "references"]
)
def test_networks_are_held_to_be_one_where_they_are(command, three, tmp_path, plan_of):
    """What is told without planning is what the plan of all runs says."""
    with contextlib.chdir(tmp_path):
        if command == "references":
            study = plan_of({**three, "runs": references(three)}).study
        else:
            known = next(files for key, files in golden.shipped().items() if key.split()[0] == command)
            study = Study([golden.CHECKOUT / file for file in known])
        planned, keyed = defaultdict(set), defaultdict(set)
        sharing = Sharing(study)
        for run in Plan(study).runs:
            planned[run.network].add((run.run.label, run.run.seed))
            keyed[sharing._key(run.run)].add((run.run.label, run.run.seed))
    assert sorted(map(sorted, planned.values())) == sorted(map(sorted, keyed.values()))
    assert command != "references" or sorted(map(len, planned.values())) == [1, 1, 2, 2, 2]


def references(study):
    """Networks that are one because those are that they name: by calibration, and in an ensemble."""
    nal = {"objective": {"name": "nal", "gamma": 1.5, "steps": 1, "samples": 1}, "calibration": {"steps": 3}}
    few = {"sampling": {"n": 100}}
    other = {"objective": {**nal["objective"], "gamma": 2.0}, "calibration": {"steps": 3}}

    def by(label):
        return {"objective": {"name": "smoothadv", "epsilon": {"calibrated": label}}}

    def of(*labels):
        return {"model": {"name": "ensemble", "members": list(labels)}}

    return {
        "nal": nal,
        "nal-few": {**nal, **few},
        "other": other,
        "by-nal": by("nal"),
        "by-few": {**by("nal-few"), **few},
        "by-other": by("other"),
        "both": of("nal", "by-nal"),
        "both-few": {**of("nal-few", "by-few"), **few},
    }
