"""Runs that name the networks of others: ids that follow them, and what does not fit in one line."""

from __future__ import annotations

import pytest
from denoised_study import DNCNN, STUDY
from tiny_study import with_run

from rs.plan import price
from rs.plan.work import network_of

LAPLACE = {"name": "laplace", "scale": 0.25}
FOR = "its denoiser 'mse' is for gaussian sigma=0.25"
CLASSIFIER, DENOISER = "logits (a classifier)", "an image (a denoiser)"
HALF = {"name": "gaussian", "sigma": 0.5}


def denoised(denoiser: str = "mse", classifier: str = "clean") -> dict:
    return {"model": {"name": "denoised", "denoiser": denoiser, "classifier": classifier}}


def ids(plan) -> dict[str, str]:
    return {planned.run.label: planned.id for planned in plan.runs}


def test_a_joined_run_follows_its_parts_and_is_observed_where_denoisers_are_not(plan_of):
    plan = plan_of(STUDY)
    named = {planned.run.label: planned for planned in plan.runs}
    assert named["by-mse"].id.startswith("joined-digits-")
    assert [len(named[label].observations) for label in STUDY["runs"]] == [1, 0, 0, 1, 1]
    job = plan.maker(named["by-stability"].folder / "model.json")
    assert job.stage == "join"
    assert set(job.follows()) == {
        plan.data_manifest,
        *(named[p].folder / "model.json" for p in ("clean", "stability")),
    }
    trained = plan.maker(named["stability"].folder / "model.json")
    assert named["clean"].folder / "model.json" in trained.follows()
    assert "rs.methods.models.digits_cnn:DigitsCnn" in trained.executes
    sample = next(j for j in plan.jobs["sample"].values() if j.run == named["by-mse"].id)
    classes = {"rs.networks.denoised:Denoised", "rs.methods.models.dncnn:DnCnn"}
    assert classes | {"rs.methods.models.digits_cnn:DigitsCnn"} <= {*sample.executes}


def test_another_part_is_another_network_and_the_noise_of_the_test_is_not(plan_of):
    first = ids(plan_of(STUDY))
    other = ids(plan_of(with_run(STUDY, "clean", training={"epochs": 2})))
    assert {label for label in first if first[label] != other[label]} == {
        "clean",
        "stability",
        "by-mse",
        "by-stability",
    }
    exact = plan_of(with_run(STUDY, "by-mse", noise={**STUDY["noise"], "exact": True}, attacks=[]))
    assert ids(exact)["by-mse"].rpartition("-")[2] == first["by-mse"].rpartition("-")[2]


def test_a_joined_network_costs_what_its_parts_do(plan_of):
    plan = plan_of(STUDY)
    joined = next(iter(plan.jobs["join"].values()))
    assert network_of(plan, joined, "float32").costs is None  # a denoiser of any shape is measured first
    assert "dncnn" in " ".join(price.price(plan, plan.all_jobs()).unpriced)


@pytest.mark.parametrize(
    ("run", "more", "says"),
    [
        ("by-mse", {"noise": HALF}, f"noise: gaussian sigma=0.5: {FOR}"),
        ("by-mse", {"smoothing": [STUDY["noise"], HALF]}, f"smoothing[1]: gaussian sigma=0.5: {FOR}"),
        ("by-mse", {"smoothing": [LAPLACE]}, f"smoothing[0]: laplace scale=0.25: {FOR}"),
        (
            "by-mse",
            denoised(denoiser="clean"),
            f"model.denoiser: run 'clean' gives {CLASSIFIER}; the denoiser is of one that gives {DENOISER}",
        ),
        (
            "by-mse",
            denoised(classifier="stability"),
            f"model.classifier: run 'stability' gives {DENOISER}; the classifier is of one",
        ),
        ("by-mse", denoised(denoiser="mes"), "model.denoiser: no run is labelled 'mes'; runs: clean, mse"),
        ("by-mse", {"model": {"name": "denoised", "denoiser": "mse"}}, "model.classifier: lacks this key"),
        ("by-mse", denoised(classifier="by-mse"), "model: references go in a circle: by-mse -> by-mse"),
        (
            "stability",
            {"objective": {"name": "denoiser_stability", "classifier": "by-stability"}},
            "objective: references go in a circle: stability -> by-stability -> stability",
        ),
        (
            "stability",
            {"objective": {"name": "denoiser_stability", "classifier": "mse"}},
            f"objective.classifier: run 'mse' gives {DENOISER}; the classifier is of one",
        ),
        (
            "mse",
            {"model": {"name": "digits_cnn"}},
            f"run 'mse' gives {CLASSIFIER}; objective denoiser_mse is of one that gives {DENOISER}",
        ),
        (
            "clean",
            {"model": DNCNN, "smoothing": None},
            f"model: run 'clean' gives {DENOISER}; objective clean is of one",
        ),
        ("mse", {"attacks": STUDY["attacks"]}, "attacks: dncnn gives an image: runs of model denoised"),
        ("mse", {"training": {"keep": "best_clean"}}, "training.keep: best_clean selects by accuracy"),
        ("by-mse", {"objective": {"name": "gaussian"}}, "objective: model denoised is joined of other"),
        ("by-mse", {"training": {"epochs": 3}}, "training: model denoised is joined of other networks"),
        ("by-mse", {"seeds": [0, 1]}, "seeds: 0 and 1 join the same networks"),
        ("new", {}, "objective: lacks this key; it is a mapping of keys"),
    ],
)
def test_what_does_not_fit_is_one_line(refusal, run, more, says):
    message = refusal(with_run(STUDY, run, **more))
    assert f": runs.{run}." in message
    assert says in message


def test_a_transfer_attack_does_not_start_at_a_denoiser(refusal):
    transfer = {"name": "transfer", "source_run": "mse", "attack": "pgd_l2", "radii": [0.5]}
    assert "run 'mse' gives an image (a denoiser)" in refusal(with_run(STUDY, "clean", attacks=[transfer]))
