"""Denoised smoothing from the data to the page: every stage on a tiny study, and parts that do not fit."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pandas as pd
import pytest
import torch
from denoised_study import STUDY
from safetensors.torch import load_file
from shared_runs import made_once
from tiny_study import Workspace, write_study

from rs.cli.main import main
from rs.errors import UserError
from rs.networks import checkpoints
from rs.plan.plan import Plan
from rs.provenance.files import read_json, read_table
from rs.stages.join import join
from rs.study.study import Study
from rs.tables import aggregate as tables

pytestmark = pytest.mark.slow
STAGES = ("data", "train", "join", "sample", "certify", "attack")


@pytest.fixture(scope="module")
def joined(tmp_path_factory) -> Workspace:
    def make(folder: Path) -> None:
        made = Workspace(folder, Plan(Study([write_study(folder / "study.yaml", STUDY)])))
        for job in (job for stage in STAGES for job in made.plan.jobs[stage].values()):
            made.run(job)

    folder = made_once(tmp_path_factory, "denoised", make)
    return Workspace(folder, Plan(Study([folder / "study.yaml"])))


def test_the_joined_network_is_the_classifier_of_the_denoised_image(joined):
    named = {p.run.label: joined.path(p.folder) for p in joined.plan.runs}
    data = joined.path(joined.plan.data_manifest)
    loaded = {label: checkpoints.load(folder / "model.json", data) for label, folder in named.items()}
    networks = {label: network for label, (network, _) in loaded.items()}
    digests = {label: manifest["sha256"] for label, (_, manifest) in loaded.items()}
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.3
    for denoiser, label in (("mse", "by-mse"), ("stability", "by-stability")):
        logits = networks["clean"](networks[denoiser](x))
        assert torch.equal(networks[label](x), logits)
        assert not torch.allclose(logits, networks["clean"](x))
        parts = {"classifier": digests["clean"], "denoiser": digests[denoiser]}
        assert loaded[label][1]["provenance"]["parts"] == parts
    assert loaded["stability"][1]["provenance"]["resolved"] == {"classifier": digests["clean"]}


def test_certified_attacked_and_told_as_any_other_network(joined, tmp_path):
    with contextlib.chdir(joined.folder):
        tables.aggregate(joined.plan, tmp_path / "tables", "code")
    runs = pd.read_parquet(tmp_path / "tables" / "runs.parquet").set_index("label")
    assert runs.loc["by-mse", "objective"] == "joined"
    ids = {p.run.label: p.id for p in joined.plan.runs}
    assert runs.loc["by-mse", "model.denoiser"] == ids["mse"]
    stages = pd.read_parquet(tmp_path / "tables" / "provenance.parquet").groupby("label")["stage"].first()
    assert stages.to_dict() == {label: "join" if "by" in label else "train" for label in STUDY["runs"]}
    certified = pd.read_parquet(tmp_path / "tables" / "certified_accuracy.parquet")
    assert set(certified["label"]) == {"clean", "by-mse", "by-stability"}
    training = pd.read_parquet(tmp_path / "tables" / "training.parquet")
    assert set(training["label"]) == {"clean", "mse", "stability"}
    pairs = pd.read_parquet(tmp_path / "tables" / "comparisons.parquet")
    assert {"by-mse", "by-stability"} <= {*pairs["a"], *pairs["b"]}
    for job in joined.plan.jobs["attack"].values():
        compared = read_table(joined.path(job.target))[1]["compared"]
        assert compared["differentiable"]["gradients"] <= 1e-9  # through the denoiser too
    attacked = pd.read_parquet(tmp_path / "tables" / "empirical_accuracy.parquet")
    assert set(attacked["label"]) == set(certified["label"])


def test_a_study_is_compared_without_its_denoisers(joined, capsys):
    with contextlib.chdir(joined.folder):
        assert main(["compare", "study.yaml"]) == 0
    output = capsys.readouterr().out
    assert "by-mse − clean: 6 images; the same noise" in output or "clean − by-mse: 6 images" in output
    assert "stability − mse" not in output.replace("by-stability − by-mse", "")


def test_parts_that_do_not_fit_leave_no_model(joined, tmp_path):
    job = joined.job("join", "by-mse")
    outputs = {key: tmp_path / path.name for key, path in job.outputs.items()}
    other = joined.path(joined.job("train", "stability").target)
    parts = {key: joined.path(path) for key, path in job.inputs["parts"].items()}
    data = joined.path(job.inputs["data"])
    with pytest.raises(UserError, match=r"model\.json: is run .*denoiser-stability.*, not .*denoiser-mse.*"):
        join(job.spec, {**parts, "denoiser": other}, data, outputs, "code")
    assert not list(tmp_path.glob("model*"))


def test_the_weights_of_a_joined_network_are_those_of_its_parts(joined):
    job = joined.job("join", "by-mse")
    state = load_file(joined.path(job.outputs["weights"]))
    for key, path in job.inputs["weights"].items():
        for name, value in load_file(joined.path(path)).items():
            assert torch.equal(state.pop(f"{key}.{name}"), value)
    assert not state
    assert read_json(joined.path(job.target))["audit"] == {"chance": False, "judged_in": "float64"}
