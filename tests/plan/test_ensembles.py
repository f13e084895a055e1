"""Runs that average networks of others: ids that follow every member, what does not fit in one line."""

from __future__ import annotations

import copy

import pytest
from ensemble_study import NOISE, STUDY
from tiny_study import with_run

from rs.plan import price, rates
from rs.plan.passes import ASKED, singly
from rs.plan.work import network_of, work_of

HALF = {"name": "gaussian", "sigma": 0.5}


def ensemble(*members, **more) -> dict:
    return {"model": {"name": "ensemble", "members": list(members), **more}}


def ids(plan) -> dict[tuple[str, int], str]:
    return {(planned.run.label, planned.run.seed): planned.id for planned in plan.runs}


def test_members_are_all_seeds_of_a_run_in_order_and_the_ensemble_follows_each(plan_of):
    plan = plan_of(STUDY)
    named = {(p.run.label, p.run.seed): p for p in plan.runs}
    mean, early = named["mean", 0], named["early", 0]
    assert mean.id.startswith("joined-digits-3x-digits-cnn-gaussian-0p25-seed0-")
    members = [named["gaussian", seed] for seed in (0, 1, 2)]
    assert [m["run"] for m in mean.spec["model"]["members"]] == [m.id for m in members]
    assert [m["run"] for m in early.spec["model"]["members"]] == [
        *(m.id for m in members),
        named["other", 0].id,
    ]
    job = plan.maker(early.folder / "model.json")
    assert {*job.follows()} == {
        plan.data_manifest,
        *(m.folder / "model.json" for m in (*members, named["other", 0])),
    }
    assert {"rs.networks.ensemble:Ensemble", "rs.methods.models.digits_cnn:DigitsCnn"} <= {*job.executes}
    assert len(mean.observations) == len(early.observations) == 1


def test_another_member_or_rule_is_another_network_and_an_edit_of_one_member_changes_its_ensembles(plan_of):
    first = ids(plan_of(STUDY))
    other = ids(plan_of(with_run(STUDY, "other", training={"epochs": 2})))
    assert {label for label in first if first[label] != other[label]} == {("other", 0), ("early", 0)}
    some = {"run": "gaussian", "seeds": [1, 0]}
    models = [
        ensemble("gaussian", "other"),
        ensemble("gaussian", "other", average="softmax"),
        ensemble("other", "gaussian"),
        ensemble(some),
        ensemble({**some, "seeds": [0, 1]}),
    ]
    found = [ids(plan_of(with_run(STUDY, "early", **model)))["early", 0] for model in models]
    assert len({*found, first["early", 0]}) == len(models) + 1
    whole = ids(plan_of(with_run(STUDY, "mean", **ensemble("gaussian", consensus=3))))
    assert whole == first, "a consensus of all members is the full ensemble"


@pytest.mark.parametrize(
    ("run", "more", "says"),
    [
        ("mean", ensemble("guassian"), "runs.mean.model.members[0]: no run is labelled 'guassian'; runs:"),
        (
            "mean",
            ensemble({"run": "gaussian", "seeds": [0, 7]}),
            "members[0]: run 'gaussian' has no seed 7; its seeds: 0, 1, 2",
        ),
        (
            "mean",
            ensemble("gaussian", {"run": "gaussian", "seeds": [1]}),
            "members[1]: run 'gaussian' with seed 1 is given twice; each network once",
        ),
        ("mean", ensemble(), "runs.mean.model.members: []: must be a list of at least 1"),
        ("mean", ensemble(3), "runs.mean.model.members[0]: 3: must be a string or a mapping of keys"),
        ("mean", ensemble({"run": "gaussian", "seed": 1}), "members[0].seed: unknown key (did you mean"),
        ("mean", {"model": {"name": "ensemble"}}, "runs.mean.model.members: lacks this key; it is a list"),
        ("mean", ensemble("gaussian", consensus=4), "model.consensus: 4: at most 3, the members"),
        ("mean", ensemble("gaussian", consensus=0), "model.consensus: 0: must be a whole number at least 1"),
        ("mean", ensemble("mean"), "model: references go in a circle: mean -> mean"),
        ("mean", ensemble("early"), "run 'early' is an ensemble itself; name its members"),
        (
            "other",
            {"noise": HALF},
            "model.members: run 'other' is for gaussian sigma=0.5; this run's noise is gaussian sigma=0.25",
        ),
        (
            "mean",
            {"noise": HALF},
            "members: run 'gaussian' is for gaussian sigma=0.25; this run's noise is gaussian sigma=0.5",
        ),
        ("mean", {"objective": {"name": "gaussian"}}, "objective: model ensemble is joined of other"),
        ("mean", {"seeds": [0, 1]}, "seeds: 0 and 1 join the same networks; give this run one seed"),
        (
            "other",
            {"model": {"name": "dncnn"}, "objective": {"name": "denoiser_mse"}, "attacks": []},
            "members[1]: run 'other' gives an image (a denoiser); each of members is of one that gives",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(refusal, run, more, says):
    assert says in refusal(with_run(STUDY, run, **more))


@pytest.mark.parametrize(
    "model",
    [ensemble("gaussian")["model"], {"name": "denoised", "denoiser": "other", "classifier": "gaussian"}],
    ids=lambda model: model["name"],
)
def test_what_is_joined_is_no_architecture_of_a_file(refusal, model):
    study = with_run(STUDY, "mean", **ensemble("gaussian"))
    study["imported"] = {"theirs": {"weights": "theirs.pt", "architecture": model}}
    error = refusal(study)
    assert f"imported.theirs.architecture: {model['name']} is joined of other networks: import these" in error


def test_a_denoiser_inside_a_member_or_a_classifier_is_for_the_noise_too(plan_of, refusal):
    study = copy.deepcopy(STUDY)
    study["runs"] |= {
        "denoiser": {"model": {"name": "dncnn", "depth": 3}, "objective": {"name": "denoiser_mse"}},
        "cleaned": {"model": {"name": "denoised", "denoiser": "denoiser", "classifier": "other"}},
        "mean": ensemble("gaussian", "cleaned"),
    }
    plan = plan_of(study)
    mean = next(p for p in plan.runs if p.run.label == "mean")
    assert {"rs.networks.denoised:Denoised", "rs.methods.models.dncnn:DnCnn"} <= {*mean.classes}
    study["runs"]["mean"]["smoothing"] = [NOISE, HALF]
    says = "runs.mean.smoothing[1]: gaussian sigma=0.5: its denoiser 'denoiser' is for gaussian sigma=0.25"
    assert says in refusal(study)
    study["runs"]["mean"] = {"model": {"name": "denoised", "denoiser": "denoiser", "classifier": "cleaned"}}
    study["runs"]["cleaned"]["noise"] = study["runs"]["denoiser"]["noise"] = HALF
    study["runs"]["again"] = {"model": {"name": "dncnn", "depth": 4}, "objective": {"name": "denoiser_mse"}}
    study["runs"]["mean"]["model"]["denoiser"] = "again"
    assert "noise: gaussian sigma=0.25: its denoiser 'denoiser' is for gaussian sigma=0.5" in refusal(study)


def test_an_ensemble_costs_what_its_members_do_and_early_votes_less(plan_of):
    plan = plan_of(STUDY)
    votes = {
        label: [
            work
            for planned in plan.runs
            if (planned.run.label, planned.run.seed) == (label, 0)
            for job in plan.jobs["sample"].values()
            if job.run == planned.id
            for whole in work_of(plan, job)
            for work in singly(whole)
        ]
        for label in STUDY["runs"]
    }
    copies = {label: sum(work.copies for work in works) for label, works in votes.items()}
    most = {label: sum(work.most or work.copies for work in works) for label, works in votes.items()}
    one = copies["gaussian"]
    assert {work.network for works in votes.values() for work in works} == {votes["other"][0].network}
    assert copies == pytest.approx(
        {"gaussian": one, "other": one, "mean": 3 * one, "early": (2 + 2 * ASKED) * one}
    )
    assert most == pytest.approx({"gaussian": one, "other": one, "mean": 3 * one, "early": 4 * one})
    joined = {p.run.label: plan.maker(p.folder / "model.json") for p in plan.runs}
    alone = network_of(plan, joined["other"], "float32").costs
    assert network_of(plan, joined["mean"], "float32").costs == {key: 3 * v for key, v in alone.items()}
    found = price.price(plan, plan.all_jobs(), rates.card("H100"))
    assert not found.unpriced
