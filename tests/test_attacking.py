"""The attack stage: projected, judged by fresh votes of the inference form, and the same for any subset."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from rs import catalog, checkpoints
from rs.attacking import attack, project, size
from rs.devices import generator
from rs.preparation import load_split
from rs.provenance import read_table

CPU = torch.device("cpu")


@pytest.fixture
def outcome(workspace, tmp_path):
    """Rows and provenance of the tiny study's attack with changed settings."""
    job = workspace.job("attack")
    files = workspace.path(job.inputs["model"]), workspace.path(job.inputs["data"])

    def make(**changes):
        spec = copy.deepcopy(job.spec)
        spec["attack"] |= changes
        attack(spec, *files, tmp_path / "a.parquet", CPU, "code")
        table, made = read_table(tmp_path / "a.parquet")
        return table.to_pylist(), made

    return make


def test_rows_are_images_by_radii_with_0_and_stay_in_the_ball(workspace, outcome):
    rows, made = outcome(radii=[1.5, 0.5])
    assert [(r["radius"], r["image"]) for r in rows] == [(r, i) for r in (0.0, 0.5, 1.5) for i in range(3)]
    assert (made["norm"], made["judge"]) == (2.0, 32)
    x, y = load_split(workspace.path(workspace.plan.data_manifest), "test")
    for row in rows:
        assert row["label"] == int(y[row["image"]])
        assert row["success"] == (row["prediction"] != row["label"])
        shift = np.array(row["attacked"]) - np.array(row["clean"])
        assert row["distortion"] == pytest.approx(np.linalg.norm(shift), abs=1e-5)
        assert row["distortion"] <= row["radius"] * (1 + 1e-6)
        assert min(row["attacked"]) >= 0
        assert max(row["attacked"]) <= 1
        np.testing.assert_allclose(row["clean"], x[row["image"]].flatten())


def test_an_image_is_attacked_and_judged_alike_in_every_subset(outcome):
    """It meets the same noise; only the rounding of its gradients knows the size of the batch."""
    many = {(r["image"], r["radius"]): r for r in outcome(images={"max": 4})[0]}
    for subset in ({"max": 1}, {"max": 2, "skip": 3}):
        for row in outcome(images=subset)[0]:
            same = many[row["image"], row["radius"]]
            assert row["prediction"] == same["prediction"]
            np.testing.assert_allclose(row["attacked"], same["attacked"], atol=1e-5)
            assert row["noisy"] == same["noisy"]


def test_the_judge_is_a_majority_of_fresh_votes_or_the_base_classifier(workspace, outcome):
    rows, made = outcome(judge="base")
    assert made["judge"] == "base"
    job = workspace.job("attack")
    data = workspace.path(job.inputs["data"])
    network, _ = checkpoints.load(workspace.path(job.inputs["model"]), data)
    for row in rows:
        image = torch.tensor(row["attacked"]).reshape(1, 1, 8, 8)
        assert row["prediction"] == int(network(image).argmax())
    noise = catalog.build("noises", job.spec["noise"])
    for row in outcome()[0]:
        z = noise.sample((32, 1, 8, 8), generator(CPU, 0, "judge", row["image"]))
        votes = network(torch.tensor(row["attacked"]).reshape(1, 8, 8) + z).argmax(1)
        assert row["prediction"] == int(torch.bincount(votes, minlength=10).argmax())


def test_projection_onto_ball_and_box_in_both_norms():
    clean = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    wild = clean + torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    for norm in (2.0, float("inf")):
        found = project(clean, wild, 0.3, norm)
        distance = torch.linalg.vector_norm((found - clean).double().flatten(1), norm, dim=1)
        assert (distance <= 0.3 * (1 + 1e-6)).all()
        assert distance.max() > 0.29
        assert found.min() >= 0
        assert found.max() <= 1
        torch.testing.assert_close(size(found - clean, norm), distance)
        assert torch.equal(project(clean, wild, 0.0, norm), clean)
