"""Ensembles from the data to the tables: every stage on a tiny study, and what becomes stale."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from ensemble_study import STUDY
from safetensors.torch import load_file
from shared_runs import made_once
from tiny_images import load_split
from tiny_study import Workspace, write_study

from rs.machine.devices import generator
from rs.networks import checkpoints
from rs.plan.plan import Plan
from rs.plan.staleness import job_is_current
from rs.provenance.files import read_json, read_table
from rs.stages.voter import JobVoter
from rs.study.study import Study
from rs.tables import aggregate as tables

pytestmark = pytest.mark.slow
STAGES = ("data", "train", "join", "sample", "certify", "attack")
MEMBERS = ("gaussian", 0), ("gaussian", 1), ("gaussian", 2), ("other", 0)


def opened(folder: Path) -> Workspace:
    return Workspace(folder, Plan(Study([folder / "study.yaml"])))


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Workspace:
    def make(folder: Path) -> None:
        write_study(folder / "study.yaml", STUDY)
        made = opened(folder)
        for job in (job for stage in STAGES for job in made.plan.jobs[stage].values()):
            made.run(job)

    return opened(made_once(tmp_path_factory, "ensembles", make))


def loaded(made: Workspace) -> dict[tuple[str, int], tuple[torch.nn.Module, dict]]:
    data = made.path(made.plan.data_manifest)
    runs = {(p.run.label, p.run.seed): made.path(p.folder) / "model.json" for p in made.plan.runs}
    return {key: checkpoints.load(path, data) for key, path in runs.items()}


def test_the_joined_network_averages_its_members(ran):
    found = loaded(ran)
    networks = {key: network for key, (network, _) in found.items()}
    x, _ = load_split(ran.path(ran.plan.data_manifest), "test")
    x = x + 0.25 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    logits = torch.stack([networks[member](x) for member in MEMBERS])
    torch.testing.assert_close(networks["mean", 0](x), logits[:3].mean(0))
    classes = logits[:2].argmax(2)
    agree = (classes[0] == classes[1])[:, None]
    early = torch.where(agree, logits[:2].mean(0), logits.mean(0))
    torch.testing.assert_close(networks["early", 0](x), early)
    assert 0 < agree.sum() < len(x)
    manifest = found["early", 0][1]
    digests = [found[member][1]["sha256"] for member in MEMBERS]
    assert manifest["provenance"]["parts"] == {f"members.{i}": digest for i, digest in enumerate(digests)}
    assert manifest["audit"] == {"chance": False, "judged_in": "float64"}
    state = load_file(ran.path(ran.job("join", "early").outputs["weights"]))
    assert {name.partition(".")[0] for name in state} == {"members"}
    assert torch.equal(state["members.1.1.weight"], networks["gaussian", 1].state_dict()["1.weight"])


def test_certified_attacked_and_told_as_any_other_network(ran, tmp_path):
    with contextlib.chdir(ran.folder):
        tables.aggregate(ran.plan, tmp_path / "tables", "code")
    read = {name: pd.read_parquet(tmp_path / "tables" / f"{name}.parquet") for name in tables.TABLES}
    runs = read["runs"].set_index("label")
    assert runs.loc["early", "objective"] == "joined"
    ids = [p.id for p in ran.plan.runs if p.run.label == "gaussian"]
    assert runs.loc["mean", "model.members"] == ", ".join(ids)
    assert runs.loc["early", "model.consensus"] == 2
    assert pd.isna(runs.loc["mean", "model.consensus"])
    assert set(read["certified_accuracy"]["label"]) == {*STUDY["runs"]}
    drawn = read["provenance"][read["provenance"]["stage"] == "sample"].groupby("label")[["votes", "passes"]]
    votes, passes = drawn.first()["votes"], drawn.first()["passes"]
    assert set(votes) == {6 * (16 + 64)}
    assert passes.notna().to_dict() == {label: label == "early" for label in STUDY["runs"]}
    assert 2 * votes["early"] < passes["early"] < 4 * votes["early"]
    for job in ran.plan.jobs["attack"].values():
        compared = read_table(ran.path(job.target))[1]["compared"]
        assert compared["differentiable"]["gradients"] <= 1e-9
    assert set(read["empirical_accuracy"]["label"]) == {*STUDY["runs"]}


def test_what_draws_say_that_members_were_asked_is_what_the_definition_asks(ran):
    job = next(j for j in ran.plan.jobs["sample"].values() if "4x" in j.run and j.spec["purpose"] == "select")
    made = read_table(ran.path(job.target))[1]
    voter = JobVoter(job.spec, {k: ran.path(job.inputs[k]) for k in ("model", "data")}, torch.device("cpu"))
    networks = {key: network for key, (network, _) in loaded(ran).items()}
    left = 0
    for row, image in enumerate(voter.x):
        draws = generator(voter.device, job.spec["seed"], "select", voter.images[row], job.spec["block"])
        noisy = voter.noise.sample((job.spec["size"], *image.shape), draws).add_(image)
        first, second = (networks["gaussian", seed](noisy).argmax(1) for seed in (0, 1))
        left += int((first != second).sum())
    assert left > 0
    assert made["passes"] == 2 * 6 * 16 + 2 * left
    assert made["form"]["left"] == 16


def test_a_member_s_new_weights_make_its_ensembles_and_their_votes_stale(ran, tmp_path):
    shutil.copytree(ran.folder, tmp_path / "copy")
    made = opened(tmp_path / "copy")
    before = {key: manifest["sha256"] for key, (_, manifest) in loaded(made).items()}
    trained, network = made.job("train", "other"), loaded(made)["other", 0][0]
    state = network.state_dict()
    state["1.weight"] = -state["1.weight"]
    manifest = read_json(made.path(trained.target))
    outputs = {key: made.path(path) for key, path in trained.outputs.items()}
    checkpoints.save(outputs, state, {k: manifest[k] for k in ("provenance", "classes") if k in manifest})

    def current(stage: str, label: str) -> bool:
        with contextlib.chdir(made.folder):
            return job_is_current(made.job(stage, label))

    assert current("train", "other")
    assert current("join", "mean"), "it has not this member"
    assert not current("join", "early")
    assert current("sample", "early"), "its network is still the old one"
    made.run(made.job("join", "early"))
    assert current("join", "early")
    assert not current("sample", "early")
    assert not current("attack", "early")
    assert current("sample", "mean")
    after = {key: manifest["sha256"] for key, (_, manifest) in loaded(made).items()}
    assert {key for key in before if before[key] != after[key]} == {("other", 0), ("early", 0)}
