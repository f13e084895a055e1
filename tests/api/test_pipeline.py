"""`import rs` on a network of a study: its draws, its radii and its attacked images, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_images import load_split

import rs
from rs.networks import checkpoints
from rs.plan.draw_paths import files_of
from rs.provenance.files import read_table
from rs.stages.draw_files import read_votes


@pytest.fixture(scope="module")
def of_the_study(workspace):
    """The tiny study's Gaussian network, smoothed as there, its test images and labels."""
    data = workspace.path(workspace.plan.data_manifest)
    network, _ = checkpoints.load(workspace.path(workspace.job("train").outputs["manifest"]), data)
    images, labels = load_split(data, "test")
    return rs.smooth(network, sigma=0.25, batch=32, device="cpu"), images, labels


def drawn(workspace, purpose: str) -> np.ndarray:
    """The counts [images, classes] of a purpose's first block, as the study's draw files hold them."""
    jobs = [j for j in workspace.plan.jobs["sample"].values() if j.run == workspace.job("train").run]
    of = [j for j in jobs if j.spec["purpose"] == purpose and j.spec["block"] == 0]
    return np.concatenate([read_votes(workspace.path(j.outputs["draws"]))[2].counts for j in of])[:6]


def test_votes_are_the_studys(workspace, of_the_study):
    smoothed, images, labels = of_the_study
    n = 32  # one block
    found = smoothed.certify(images[:6], labels[:6], n=n, n0=16, progress=False)
    np.testing.assert_array_equal(found.counts.selection, drawn(workspace, "select"))
    np.testing.assert_array_equal(found.counts.estimation, drawn(workspace, "estimate"))


def test_certificates_of_the_studys_draws_are_its_radii(workspace):
    job = workspace.job("certify")
    table = read_table(workspace.path(job.outputs["certified"]))[0].to_pandas()
    folder, shards = workspace.path(job.inputs["folder"]), job.inputs["shards"]
    spec = job.spec
    files = files_of(folder, shards, spec["n0"], spec["n"], spec["block"], None)
    selection = np.concatenate([read_votes(f)[2].counts for f in files[0]])
    estimation = np.concatenate([sum(read_votes(f)[2].counts for f in blocks) for blocks in files[1]])
    found = rs.certify_counts((selection[:6], estimation[:6]), alpha=0.001, sigma=0.25)
    np.testing.assert_array_equal(found.radius, table["radius"])
    np.testing.assert_array_equal(found.prediction, table["prediction"])


def test_attacks_come_to_what_the_study_finds(workspace, of_the_study):
    smoothed, images, labels = of_the_study
    job = workspace.job("attack")
    table = read_table(workspace.path(job.outputs["attacks"]))[0].to_pandas()
    table = table[table["variant"] == ""].sort_values(["radius", "image"])
    settings = {"radii": [0.5], "steps": 2, "samples": 2, "judge": 32, "progress": False}
    found = rs.attack(smoothed, images[:3], labels[:3], "pgd_l2", **settings)
    assert found.radii.tolist() == [0.0, 0.5]
    np.testing.assert_array_equal(found.prediction.reshape(-1), table["prediction"])
    np.testing.assert_array_equal(found.votes.reshape(6, -1), np.stack(table["votes"]))
    np.testing.assert_array_equal(found.frame()["distortion"], table["distortion"])
    moved = (found.images[1] - images[:3]).flatten(1).norm(dim=1)
    assert (moved <= 0.5 + 1e-5).all()
    assert torch.equal(found.images[0], images[:3])
    right = (found.prediction == found.labels).mean(1)
    assert repr(found) == (
        f"<Attacked: 3 images at 2 radii, empirical accuracy {right[0]:.3g}, and {right[1]:.3g} at l2 0.5>"
    )
    np.testing.assert_array_equal(found.empirical_accuracy()["empirical_accuracy"], right)
