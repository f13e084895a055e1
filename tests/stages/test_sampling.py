"""Votes and moments: equal to a plain loop, whatever the shards, blocks and batch sizes."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from tiny_images import load_split
from tiny_networks import audited
from torch import nn

from rs.errors import UserError
from rs.machine.devices import generator
from rs.methods import catalog
from rs.methods.certificates.cohen import Cohen
from rs.methods.noise.gaussian import Gaussian
from rs.networks import checkpoints
from rs.networks.inference import InferenceForm
from rs.provenance.files import read_table
from rs.stages.draw_files import merge, read_votes
from rs.stages.sample import sample
from rs.stages.voter import Voter

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
FORM = {"precision": "float32", "batch": 32, "compiled": False}
SPEC = {
    "noise": {"name": "gaussian", "sigma": 0.25},
    **FORM,
    "betas": [1, 8],
    "seed": 3,
    "purpose": "estimate",
}


@pytest.fixture
def draw(workspace, tmp_path):
    """Draws of the trained Gaussian network for a changed spec: what `read_votes` reads."""
    train = workspace.job("train")
    files = {"model": train.outputs["manifest"], "data": workspace.plan.data_manifest}
    files = {name: workspace.path(file) for name, file in files.items()}

    def make(images, size, block=0, name="d", **changes):
        path = tmp_path / f"{name}.parquet"
        sample({**SPEC, "images": images, "size": size, "block": block, **changes}, files, path, CPU, "code")
        return read_votes(path)

    return make


def reference(workspace, image, size, block=0, seed=3, purpose="estimate", batch=32):
    """Logits of `size` noisy copies by a plain loop over float32 batches of the stated noise stream."""
    train = workspace.job("train")
    manifest = workspace.path(train.outputs["manifest"])
    network, _ = checkpoints.load(manifest, workspace.path(workspace.plan.data_manifest))
    x, _ = load_split(workspace.path(workspace.plan.data_manifest), "test")
    noise = catalog.build("noises", SPEC["noise"])
    z = noise.sample((size, *x.shape[1:]), generator(CPU, seed, purpose, image, block))
    with torch.no_grad():
        return torch.cat([network(part) for part in (x[image] + z).split(batch)])


def test_votes_and_moments_equal_a_plain_loop(workspace, draw):
    images, labels, votes, made = draw([0, 9, 4], 200)
    assert list(images) == [0, 4, 8]
    _, y = load_split(workspace.path(workspace.plan.data_manifest), "test")
    assert list(labels) == y[[0, 4, 8]].tolist()
    for row, image in enumerate(images):
        logits = reference(workspace, int(image), 200)
        expected = torch.bincount(logits.argmax(1), minlength=10)
        assert votes.counts[row].tolist() == expected.tolist()
        for beta in (1.0, 8.0):
            scores = (beta * logits).softmax(1).double()
            np.testing.assert_allclose(votes.sums[beta][row], scores.sum(0), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(votes.squares[beta][row], scores.square().sum(0), rtol=1e-5, atol=1e-6)
    assert list(votes.n) == [200] * 3
    assert made["form"] == {**FORM, "folded": True, "layout": "channels_last", "device": "cpu"}
    assert (made["dimension"], made["classes"]) == (64, 10)


def test_shards_and_neighbours_change_nothing(draw):
    whole = draw([0, 6, 1], 96)[2].counts
    parts = [draw([first, first + 2, 1], 96, name=str(first))[2].counts for first in (4, 0, 2)]
    assert np.array_equal(whole, np.concatenate([parts[1], parts[2], parts[0]]))
    assert np.array_equal(whole[::3], draw([0, 6, 3], 96)[2].counts)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_file_whose_images_share_batches_is_that_of_batches_of_their_own(draw, monkeypatch, precision):
    drawn = functools.partial(draw, size=20, purpose="select", precision=precision)
    with monkeypatch.context() as patched:
        patched.setattr(Voter, "vote", None)  # what has batches of its own
        shared = drawn([0, 40, 1])[2]
    for image in (0, 17, 39):
        alone = drawn([image, image + 1, 1])[2]
        assert np.array_equal(alone.counts[0], shared.counts[image])
        for beta in (1.0, 8.0):
            assert np.array_equal(alone.sums[beta][0], shared.sums[beta][image])
            assert np.array_equal(alone.squares[beta][0], shared.squares[beta][image])


def test_the_gaussian_stream_is_the_same_in_pieces():
    """Batches are multiples of 16 images, so a block's noise does not depend on the batch size."""
    noise = catalog.build("noises", {"name": "gaussian", "sigma": 0.5})
    for shape in ((1, 8, 8), (3, 5, 7)):
        whole = noise.sample((100, *shape), torch.Generator().manual_seed(5))
        for batch in (16, 32, 48):
            source = torch.Generator().manual_seed(5)
            sizes = [min(batch, 100 - start) for start in range(0, 100, batch)]
            pieces = torch.cat([noise.sample((size, *shape), source) for size in sizes])
            assert torch.equal(whole, pieces)


def test_other_batch_sizes_see_the_same_noise(draw):
    """The classifiers differ by rounding only, so their votes agree to a few."""
    small, large = draw([0, 4, 1], 192, batch=16), draw([0, 4, 1], 192, batch=64)
    assert np.abs(small[2].counts - large[2].counts).sum() <= 4
    assert np.abs(small[2].sums[1.0] - large[2].sums[1.0]).max() < 1e-3
    assert small[3]["form"] != large[3]["form"]


def test_purposes_blocks_seeds_and_images_are_independent(workspace):
    streams = {
        (purpose, image, block, seed): generator(CPU, seed, purpose, image, block)
        for purpose in ("select", "estimate", "judge", "attack")
        for image in (0, 1)
        for block in (0, 1)
        for seed in (0, 1)
    }
    z = torch.stack([torch.randn(4000, generator=g) for g in streams.values()])
    correlation = (z @ z.T / 4000 - torch.eye(len(z))).abs()
    assert correlation.fill_diagonal_(0).max() < 5.5 / 4000**0.5


def test_votes_do_not_depend_on_other_runs(workspace):
    """The noise of an image is the same for every run: jobs differ by nothing but the model."""
    gaussian, nal = (workspace.job("sample", run) for run in ("gaussian", "nal"))
    assert gaussian.spec == nal.spec
    assert gaussian.inputs != nal.inputs


def test_short_batches_are_padded_to_the_form():
    seen: list[int] = []

    class Shape(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x.flatten(1)

    form = InferenceForm(audited(Shape(), (1, 2, 2), 4), {**FORM, "batch": 48}, CPU)
    seen.clear()
    images = torch.rand(5, 1, 2, 2)
    assert torch.equal(form(images), images.flatten(1))
    counts, sums, squares = form.vote(images[0], 100, lambda rows: torch.zeros(rows, 1, 2, 2), (2.0,))
    assert counts.tolist() == [100 * (i == int(images[0].argmax())) for i in range(4)]
    scores = (2 * images[0].flatten()).softmax(0).double()
    torch.testing.assert_close(sums[0], 100 * scores)
    torch.testing.assert_close(squares[0], 100 * scores.square())
    assert set(seen) == {48}


def test_wrong_outputs_are_refused():
    with pytest.raises(UserError, match=r"theirs: its output is \[16, 4\]; expected \[batch, 10\] logits"):
        InferenceForm(audited(nn.Flatten(), (1, 2, 2), 10), FORM, CPU)
    broken = InferenceForm(audited(nn.Flatten(), (1, 2, 2), 4), FORM, CPU)
    broken.vote(torch.full((1, 2, 2), torch.nan), 10, lambda rows: torch.zeros(rows, 1, 2, 2))
    broken.vote(torch.ones(1, 2, 2), 10, lambda rows: torch.zeros(rows, 1, 2, 2))
    with pytest.raises(UserError, match="logits are not finite"):
        broken.check()


def test_bfloat16_votes_are_another_classifier_with_nearly_the_same_votes(draw):
    single, half = draw([0, 4, 1], 192), draw([0, 4, 1], 192, precision="bfloat16")
    assert half[3]["form"]["precision"] == "bfloat16"
    assert np.abs(single[2].counts - half[2].counts).sum() <= 40
    assert np.all(half[2].n == 192)


def test_the_stage_merges_into_what_a_certificate_sees(workspace):
    certify = workspace.job("certify")
    files = [workspace.path(f) for f in certify.reads()]
    selection, estimation = files[:2], [files[2:4], files[4:6]]
    found = merge(selection, estimation, np.arange(6), np.zeros(6))
    assert np.all(found.selection.n == 16)
    assert np.all(found.estimation.n == 64)
    assert (found.estimation.counts.argmax(1) == found.labels).mean() > 0.4
    table, _ = read_table(workspace.path(certify.outputs["certified"]))
    expected = Cohen().certify(found, Gaussian(0.25), 0.001)
    assert table["image"].to_pylist() == list(range(6))
    assert table["prediction"].to_pylist() == expected.prediction.tolist()
    assert table["radius"].to_pylist() == expected.radius.tolist()
    assert max(expected.radius) > 0
