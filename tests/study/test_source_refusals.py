"""What a run that starts from another one's answers may not ask for: one line, before anything runs."""

from __future__ import annotations

import copy
import re

import pytest

from rs.settings.certificates import is_for


@pytest.fixture
def two(tiny):
    tiny["sampling"] |= {"n": 160, "block": 80}
    tiny["attacks"] = []
    rounded = {"precision": "bfloat16", "source": "gaussian", "mode": "sequential", "n": 80}
    rounded["stop"] = {"radii": [0.0, 0.1]}
    certificates = [{"name": "incremental"}]
    tiny["runs"] = {
        "gaussian": {"objective": {"name": "gaussian"}, "sampling": {"answers": 80}},
        "rounded": {"objective": {"name": "gaussian"}, "sampling": rounded, "certificates": certificates},
    }
    return tiny


def test_the_study_that_they_are_told_from_plans(two, plan_of):
    plan = plan_of(two)
    assert plan.runs[1].source is plan.runs[0]
    assert {job.spec["purpose"] for job in plan.jobs["sample"].values()} == {
        "select",
        "answered",
        "estimate",
        "sequential",
    }


def test_another_network_can_be_the_source_and_need_not_be_active(two, plan_of):
    two["runs"]["rounded"]["objective"] = {"name": "nal", "gamma": 1.5}
    two["active"] = ["rounded"]
    plan = plan_of(two)
    (run,) = plan.runs
    assert run.source.run.label == "gaussian"
    assert run.source.network != run.network


@pytest.mark.parametrize(
    ("run", "sampling", "line"),
    [
        (
            "gaussian",
            {"answers": None},
            "sampling.source: 'gaussian' stores no answers; set sampling.answers",
        ),
        ("gaussian", {"seed": 1}, "'gaussian' has sampling.seed 1, this run 0; they must be the same"),
        ("gaussian", {"batch": 64}, "'gaussian' has sampling.batch 64, this run 32"),
        ("gaussian", {"images_per_shard": 3}, "'gaussian' has sampling.images_per_shard 3, this run 4"),
        ("gaussian", {"betas": [1.0]}, "answers: softmax moments are not stored beside answers"),
        (
            "gaussian",
            {"mode": "sequential", "answers": None, "block": 160, "stop": {"radii": [0.1]}},
            "'gaussian' stops its votes early",
        ),
        ("rounded", {"mode": "fixed"}, "sampling.mode: with source, votes stop: it must be sequential"),
        ("rounded", {"source": "rounded"}, "sampling.source: 'rounded' is the run itself"),
        ("rounded", {"source": "nobody"}, "no run is labelled 'nobody'"),
        ("rounded", {"n": 160}, "n: 160: gaussian stores answers of 80 votes"),
        ("rounded", {"stop": {"radii": [0.6]}}, "n: 80 draws beside 160 votes of gaussian decide nothing"),
        ("rounded", {"stop": {"radii": [9, 3]}}, "stop.radii: no allowed n certifies radius 3 at sigma 0.25"),
        ("rounded", {"stop": {"radii": []}}, "give one of radii and width"),
    ],
)
def test_what_cannot_be_a_source(two, refusal, run, sampling, line):
    two["runs"][run]["sampling"] |= sampling
    found = refusal(two)
    assert re.search(line, found), found


def test_a_chain_other_noise_and_another_certificate(two, refusal):
    third = copy.deepcopy(two["runs"]["rounded"])
    third["sampling"] |= {"source": "rounded", "precision": "float32"}
    two["runs"]["third"] = third
    assert "'rounded' starts from 'gaussian' itself, and a chain is not offered" in refusal(two)
    del two["runs"]["third"]
    two["runs"]["rounded"]["smoothing"] = [{"name": "gaussian", "sigma": 0.5}]
    assert "'gaussian' is certified under gaussian sigma=0.25, this run under gaussian sigma=0.5" in refusal(
        two
    )
    del two["runs"]["rounded"]["smoothing"]
    two["runs"]["rounded"]["certificates"] = [{"name": "cohen"}]
    assert (
        "is for certificates of two networks' votes, of which the run has none; there are: incremental"
        in refusal(two)
    )
    two["runs"]["rounded"] = {"objective": {"name": "gaussian"}, "certificates": [{"name": "incremental"}]}
    assert "name the other run in sampling.source" in refusal(two)


@pytest.mark.parametrize(
    ("certificate", "meant"),
    [({}, True), ({"noises": None}, True), ({"noises": []}, False), ({"noises": ["uniform"]}, False)],
)
def test_a_certificate_is_for_the_noises_that_it_names_and_by_default_for_all(certificate, meant):
    assert is_for(certificate, "gaussian") == meant
