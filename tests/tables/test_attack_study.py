"""Attacks in a study: what is refused, what enters a spec, and the edge between two runs of a transfer."""

from __future__ import annotations

import copy
import json
import shutil
from importlib.util import find_spec

import pandas as pd
import pytest

from rs.errors import UserError
from rs.report import figures
from rs.report.page import write_report
from rs.settings.labels import attack_label
from rs.stages import execution
from rs.tables import aggregate as tables

pytestmark = pytest.mark.slow

TRANSFER = {"name": "transfer", "source_run": "nal", "attack": "pgd_l2", "radii": [0.5]}


@pytest.fixture
def with_attacks(tiny):
    def make(*attacks, **more):
        study = copy.deepcopy(tiny) | more
        study["runs"]["gaussian"]["attacks"] = list(attacks)
        return study

    return make


PGD = {"name": "pgd_l2", "radii": [0.5]}


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (
            {**PGD, "radii": [0.5, -0.1]},
            "attacks[0].radii[1]: -0.1: must be a number at least 0 and at most 1000000",
        ),
        ({**PGD, "steps": 0}, "attacks[0].steps: 0: must be a whole number at least 1 and at most 100000"),
        (
            {**PGD, "samples": 0},
            "attacks[0].samples: 0: must be a whole number at least 1 and at most 100000",
        ),
        (
            {"name": "ddn", "radii": [1], "gamma": 1},
            "attacks[0].gamma: 1: must be a number above 0 and below 1",
        ),
        (
            {**PGD, "checks": -1},
            "attacks[0].checks: -1: must be a whole number at least 0 and at most 1000000000",
        ),
        (
            {**PGD, "certificate": "pixeldp"},
            "attacks[0].certificate: the run has no certificate 'pixeldp'; its certificates: cohen",
        ),
        (
            {"name": "pgd_linf", "radii": [0.1], "certificate": "cohen"},
            "attacks[0].certificate: cohen is for l2 radii, the attack moves in an l-infinity ball; "
            "the norms must be the same",
        ),
        (
            {"name": "square_linf", "radii": [0.1], "compiled": True},
            "attacks[0].compiled: square_linf takes no gradients, and only gradients are compiled; "
            "leave it out",
        ),
        (
            {**TRANSFER, "source_run": "nall"},
            "attacks[0].source_run: no run is labelled 'nall'; runs: gaussian, nal",
        ),
        (
            {**TRANSFER, "attack": "ddn"},
            "attacks[0].attack: run 'nal' has no attack 'ddn' that sees a network; "
            "it has: pgd_l2 samples=2 steps=2",
        ),
        (
            {"name": "transfer", "attack": "pgd_l2", "radii": [1]},
            "attacks[0].source_run: lacks this key; it is a string",
        ),
    ],
)
def test_bad_attacks_are_refused_in_one_line(with_attacks, refusal, attack, message):
    assert refusal(with_attacks(attack)).endswith(message)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (
            {**PGD, "certificate": "soft_hoeffding"},
            "soft_hoeffding certifies mean scores, and votes judge attacks; certificates of votes: cohen",
        ),
        (
            {**PGD, "certificate": "soft"},
            "soft certifies mean scores, and votes judge attacks; certificates of votes: cohen",
        ),
        (
            {**PGD, "certificate": "cohen", "judge": "base"},
            "cohen is about the smoothed classifier, and judge is base; judge by votes or leave it out",
        ),
    ],
)
def test_an_attack_is_held_against_what_judges_it(tiny, with_attacks, refusal, attack, message):
    soft = {"name": "soft_hoeffding", "beta": 1.0, "label": "soft"}
    more = {"certificates": [*tiny["certificates"], soft]}
    more["sampling"] = {**tiny["sampling"], "betas": [1.0]}
    assert refusal(with_attacks(attack, **more)).endswith(f"attacks[0].certificate: {message}")


def test_an_ambiguous_source_attack_is_refused(with_attacks, refusal, plan_of):
    study = with_attacks(TRANSFER)
    study["runs"]["nal"]["attacks"] = [{**PGD, "steps": 5}, {**PGD, "steps": 7}]
    assert "run 'nal' has 2 attacks named 'pgd_l2' that sees" in refusal(study)
    study["runs"]["gaussian"]["attacks"] = [{**TRANSFER, "attack": "pgd_l2 steps=7"}]
    plan = plan_of(study)
    (job,) = [j for j in plan.jobs["attack"].values() if j.run == plan.runs[0].id]
    assert job.spec["source"]["attack"] == {"name": "pgd_l2", "steps": 7}


def test_a_transfer_needs_the_sources_network_and_its_code(with_attacks, plan_of):
    plan = plan_of(with_attacks(PGD, {**TRANSFER, "seed": 3}))
    gaussian, nal = plan.runs
    white, transfer = (j for j in plan.jobs["attack"].values() if j.run == gaussian.id)
    assert "source" not in white.inputs
    assert transfer.inputs["source"] == nal.folder / "model.json"
    assert transfer.inputs["source_weights"] == nal.folder / "model.safetensors"
    assert transfer.inputs["model"] == gaussian.folder / "model.json"
    own = {"name": "pgd_l2", "steps": 2, "samples": 2}
    noise = {"name": "gaussian", "sigma": 0.25}
    assert transfer.spec["source"] == {"run": nal.id, "attack": own, "noise": noise, "seed": 0}
    named = {
        "rs.methods.attacks.pgd_l2:PgdL2",
        "rs.methods.attacks.transfer:Transfer",
        "rs.methods.models.digits_cnn:DigitsCnn",
    }
    assert named <= set(transfer.executes)
    above = [plan.maker(path) for path in transfer.follows()]
    assert [job.run for job in above] == [gaussian.id, nal.id]
    assert {job.stage for job in above} == {"train"}


def test_runs_may_attack_each_other_and_sources_need_not_be_active(with_attacks, plan_of):
    study = with_attacks(PGD, TRANSFER)
    back = {**TRANSFER, "source_run": "gaussian", "label": "back"}
    study["runs"]["nal"]["attacks"] = [{**PGD, "steps": 2, "samples": 2}, back]
    plan = plan_of(study)
    assert len(plan.jobs["attack"]) == 4
    ids = {p.run.label: p.id for p in plan.runs}
    sources = {j.run: j.spec["source"]["run"] for j in plan.jobs["attack"].values() if "source" in j.spec}
    assert sources == {ids["gaussian"]: ids["nal"], ids["nal"]: ids["gaussian"]}
    alone = plan_of({**study, "active": ["gaussian"]})
    assert [p.run.label for p in alone.runs] == ["gaussian"]
    assert ids["nal"] in {job.run for job in alone.jobs["train"].values()}


def test_the_source_enters_the_id_and_what_tables_say_does_not(with_attacks, plan_of):
    def targets(study):
        plan = plan_of(study)
        return sorted(t for t, j in plan.jobs["attack"].items() if j.run == plan.runs[0].id)

    before = targets(with_attacks(PGD, TRANSFER))
    attacks = [{**PGD, "label": "PGD", "certificate": "cohen"}, {**TRANSFER, "label": "from NAL"}]
    assert targets(with_attacks(*attacks)) == before
    defaults = {"keep_broken": None, "compiled": False, "checks": 100, "steps": 20, "samples": 16}
    assert targets(with_attacks({**PGD, **defaults}, TRANSFER)) == before
    other = with_attacks(PGD, TRANSFER)
    other["runs"]["nal"]["objective"]["gamma"] = 2.5
    assert len(set(targets(other)) & set(before)) == 1
    for changed in ({"keep_broken": True}, {"compiled": True}):
        assert len(set(targets(with_attacks({**PGD, **changed}, TRANSFER))) & set(before)) == 1


def test_labels_name_an_attack_by_its_own_parameters():
    given = {**PGD, "steps": 5, "checks": 3, "certificate": "cohen", "keep_broken": True}
    assert attack_label(given) == "pgd_l2 steps=5"


def test_a_source_of_another_seed_is_refused(with_attacks, plan_of):
    study = with_attacks(TRANSFER)
    study["seeds"] = [0, 1]
    study["runs"]["nal"]["seeds"] = [0, 2]
    with pytest.raises(UserError, match=r"attacks\[0\].source_run: run 'nal' has no seed 1"):
        plan_of(study)
    study["runs"]["nal"]["seeds"] = [0]
    assert len(plan_of(study).runs) == 3


def test_a_study_of_many_attacks_from_jobs_to_the_page(workspace, tiny, plan_of, tmp_path, monkeypatch):
    """Every attack runs as the workflow runs it; tables, checks, figure and page follow from the files."""
    shutil.copytree(workspace.folder / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    few = {"images": {"max": 4}, "judge": {"n": 32}, "checks": 2}
    quick = {"steps": 3, "samples": 2, **few}
    own = [
        {"name": "pgd_l2", "radii": [0.5, 2.0], **quick, "label": "PGD"},
        {"name": "pgd_linf", "radii": [0.1], **quick},
        {"name": "adre_pgd", "radii": [0.5], "lambda": 0.3, **quick},
        {"name": "lagrangian", "radii": [0.5], "gamma": 0.1, **quick},
        {"name": "ddn", "radii": [0.5], "votes": 20, **quick},
        {"name": "carlini_wagner_l2", "radii": [0.5], "votes": 20, "search_steps": 2, **quick},
    ]
    if find_spec("art"):
        own += [
            {"name": n, "radii": [0.1], **quick} for n in ("square_linf", "autoattack_linf", "autoattack_l2")
        ]
    taken = {**few, "source_run": "nal", "attack": "PGD", "radii": [0.5, 2.0]}
    study = {**tiny, "attacks": own}
    study["runs"]["gaussian"]["attacks"] = [*own, {"name": "transfer", **taken}]
    plan = plan_of(study)
    gaussian, nal = plan.runs
    for job in plan.jobs["attack"].values():
        if job.run == gaussian.id or "pgd-l2" in str(next(iter(job.outputs.values()))):
            execution.execute("attack", json.loads(json.dumps(execution.as_dict(job))))
    plan.runs.remove(nal)
    tables.aggregate(plan, plan.tables, "code")
    accuracy = pd.read_parquet(plan.tables / "empirical_accuracy.parquet")
    assert set(accuracy.attack) == {attack_label(a) for a in gaussian.run.sections["attacks"]}
    assert (
        dict(zip(accuracy.attack, accuracy.access, strict=True))["transfer attack=PGD source_run=nal"]
        == "transfer"
    )
    assert set(accuracy[accuracy.attack.str.startswith("ddn")].shares) == {"minimal"}
    found = pd.read_parquet(plan.tables / "attack_checks.parquet")
    assert {"radius", "more steps", "more samples", "unbounded", "weaker access: transfer"} <= set(
        found.check
    )
    assert set(found[found.attack == "PGD"].check) >= {"more steps", "more samples", "unbounded"}
    assert "unbounded" not in set(found[found.attack.str.startswith("lagrangian")].check)
    drawn = figures.draw(plan.tables, tmp_path / "figures")
    write_report("tiny", plan.tables, drawn, tmp_path / "report.html", {})
    page = (tmp_path / "report.html").read_text()
    assert "Checks of the attacks" in page
    assert "4 test images" in page
