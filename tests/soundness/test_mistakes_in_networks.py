"""Networks that are no deterministic function of one image: refused before they cast a vote that counts."""

from __future__ import annotations

import foreign_networks as foreign
import pytest
import torch
from foreign_networks import SHAPE, made
from tiny_networks import audited, probes
from torch import nn

import rs
from rs.networks.audit import audit
from rs.networks.inference import InferenceForm

pytestmark = pytest.mark.slow


@pytest.fixture
def refusal(mistake):
    """The audit of a network; that of a sound one passes."""
    assert audit(made(foreign.Base), probes(SHAPE), "theirs") == {"chance": False, "judged_in": "float64"}

    def refused(build, *allow):
        return mistake.refused(lambda: audit(made(build), probes(SHAPE), "theirs", allow))

    return refused


def test_batch_statistics(mistake, refusal):
    refusal(foreign.batch_statistics)


def test_dropout(mistake, refusal):
    refusal(foreign.ActiveDropout)
    assert audit(made(foreign.ActiveDropout), probes(SHAPE), "theirs", ["chance"])["chance"]


def test_training_mode(mistake, refusal):
    refusal(foreign.AlwaysTraining)


def test_noise_shared_in_a_batch(mistake, refusal):
    refusal(foreign.SharedDraw, "chance")


def test_network_keeps_state(mistake, refusal):
    refusal(foreign.RemembersImages)
    refusal(foreign.ChangesByItself, "chance")


def test_place_in_the_batch(mistake, refusal):
    refusal(foreign.ByPlace)


def test_other_under_attack(mistake, refusal):
    refusal(foreign.ByGradient)


def test_not_a_number(mistake):
    """argmax of NaN would be a vote for class 0."""

    def logits(images: torch.Tensor) -> torch.Tensor:
        found = images.flatten(1)[:, :3]
        return torch.where(found.sum(1, keepdim=True) > 1.9, torch.nan, found)

    images = torch.full((1, 1, 2, 2), 0.5)
    smoothed = rs.smooth(logits, sigma=0.25, batch=32, device="cpu")
    mistake.refused(lambda: smoothed.certify(images, n=2000, progress=False))
    form = {"precision": "float32", "batch": 32, "compiled": False}
    network = InferenceForm(audited(nn.Flatten(), (1, 2, 2), 4), form, torch.device("cpu"))
    network.vote(images[0], 10, lambda rows: torch.zeros(rows, 1, 2, 2))
    network.check()
    network.vote(torch.full((1, 2, 2), torch.nan), 10, lambda rows: torch.zeros(rows, 1, 2, 2))
    mistake.refused(network.check)
