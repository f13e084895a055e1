"""The judge: as many images in a batch of the form as fit, and each judged as if it were alone."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_networks import audited
from torch import nn

from rs.errors import UserError
from rs.machine.devices import generator
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.none import NoNoise
from rs.networks.inference import InferenceForm
from rs.settings.attacks import AttackUse
from rs.settings.attacks import Judge as Votes
from rs.stages.judge import Judge, size

pytestmark = pytest.mark.slow

FORM = {"precision": "float32", "batch": 32, "compiled": False}
IMAGES = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Counted(nn.Module):
    """Batches are counted in a shared list: the form works on a copy of the network."""

    def __init__(self, seen: list[int]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.linear, self.seen = nn.Linear(16, 5), seen

    def __deepcopy__(self, memo: object) -> Counted:
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        logits: torch.Tensor = self.linear(x.flatten(1))
        return logits


@pytest.mark.parametrize(
    ("noise", "n", "batches"),
    [
        (Gaussian(0.5), Votes(10), 7),  # three images in each
        (Gaussian(0.5), Votes(40), 25),  # 20 of 32 votes; the rests of 8 share five
        (NoNoise(), Votes(1000), 1),
        (Gaussian(0.5), "base", 1),
    ],
)
def test_images_share_batches_and_are_judged_as_if_alone(noise, n, batches):
    seen: list[int] = []
    form = InferenceForm(audited(Counted(seen), (1, 4, 4), 5), FORM, torch.device("cpu"))
    seen.clear()
    judge = Judge(form, noise, AttackUse(radii=(), judge=n))
    positions = list(range(100, 120))
    votes = judge.votes(IMAGES, positions)
    assert set(seen) == {32}
    assert len(seen) == batches
    alone = [judge.votes(IMAGES[i : i + 1], [position]) for i, position in enumerate(positions)]
    assert torch.equal(votes, torch.cat(alone))
    assert torch.equal(votes.flip(0), judge.votes(IMAGES.flip(0), positions[::-1]))
    assert set(votes.sum(1).tolist()) == {1 if n == "base" else n.n}


def test_votes_end_where_the_majority_of_all_is_sure():
    """Each image as if alone, with the verdict of all n, which are drawn where it is close."""
    form = InferenceForm(audited(Counted([]), (1, 4, 4), 5), FORM, torch.device("cpu"))
    judge = Judge(form, Gaussian(0.3), AttackUse(radii=(), judge=Votes(1000)))
    positions = list(range(20))
    votes = judge.votes(IMAGES, positions)
    drawn = votes.sum(1).tolist()
    assert {64, 1000} <= set(drawn) <= {64, 128, 256, 512, 1000}
    for i, position in enumerate(positions):
        z = Gaussian(0.3).sample((1000, 1, 4, 4), generator(torch.device("cpu"), 0, "judge", position))
        classes = torch.cat([form(part.add(IMAGES[i])).argmax(1) for part in z.split(32)])
        assert votes[i].tolist() == classes[: drawn[i]].bincount(minlength=5).tolist()
        assert int(votes[i].argmax()) == int(classes.bincount(minlength=5).argmax())
    alone = [judge.votes(IMAGES[i : i + 1], [position]) for i, position in enumerate(positions)]
    assert torch.equal(votes, torch.cat(alone))
    certain = Judge(form, NoNoise(), AttackUse(radii=(), judge=Votes(1000))).votes(IMAGES, positions)
    assert set(certain.sum(1).tolist()) == {1000}  # under no noise one vote is as good as all


def test_logits_that_are_not_finite_are_found():
    form = InferenceForm(audited(Counted([]), (1, 4, 4), 5), FORM, torch.device("cpu"))
    images = torch.stack([torch.ones(1, 4, 4), torch.full((1, 4, 4), torch.inf)])
    with pytest.raises(UserError, match=r"theirs: image 9: 1 of 1 votes \(100\.00%\): logits are not finite"):
        Judge(form, NoNoise(), AttackUse(radii=())).votes(images, [4, 9])


def test_one_logit_that_is_not_finite_is_found():
    """Its class loses, so that the votes look like any others."""
    form = InferenceForm(audited(Counted([]), (1, 4, 4), 5), FORM, torch.device("cpu"))
    judge = Judge(form, NoNoise(), AttackUse(radii=()))
    assert int(judge.votes(IMAGES[:1], [7]).sum()) > 0
    finite = InferenceForm.__call__

    def broken(self: InferenceForm, rows: torch.Tensor) -> torch.Tensor:
        logits = finite(self, rows).clone()
        logits[:, 4] = -torch.inf
        return logits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InferenceForm, "__call__", broken)
        with pytest.raises(UserError, match=r"image 7: .* logits are not finite"):
            judge.votes(IMAGES[:1], [7])


def test_sizes_are_of_each_image():
    delta = torch.tensor([[3.0, -4.0], [0.5, 0.0], [-6.0, 8.0]]).reshape(3, 1, 1, 2)
    assert size(delta, 2).tolist() == pytest.approx([5, 0.5, 10])
    assert size(delta, math.inf).tolist() == [4, 0.5, 8]
