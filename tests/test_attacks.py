"""l2 PGD on the smoothed classifier: inside ball and box, stronger than nothing, the same in any company."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rs.attacks.pgd_l2 import PgdL2
from rs.noise.gaussian import Gaussian
from rs.noise.none import NoNoise
from rs.smoothing import Smoothed

RADII = (0.0, 0.25, 0.5, 1.0)
ATTACKS = [PgdL2(steps=6), PgdL2(steps=6, loss="mean"), PgdL2(steps=6, random_start=True)]


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3)
    ).train()


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    x[0, 0, 0], x[1, 0, 1] = 0.0, 1.0  # on the faces of the box
    return x, torch.arange(5) % 3


def smoothed(model: nn.Module, rows: list[int], noise=None) -> Smoothed:
    return Smoothed(model, noise or Gaussian(0.25), [torch.Generator().manual_seed(100 + i) for i in rows])


@pytest.mark.parametrize("attack", ATTACKS)
def test_inside_ball_and_box(model, images, attack):
    x, y = images
    flags = [m.training for m in model.modules()]
    statistics = model[2].running_mean.clone()
    out = attack.propose(smoothed(model, list(range(5))), x, y, RADII)
    assert out.shape == (4, *x.shape)
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(out[0], x)
    for radius, proposed in zip(RADII[1:], out[1:], strict=True):
        distance = (proposed - x).flatten(1).norm(dim=1)
        assert (distance <= radius * (1 + 1e-5)).all()
        assert (distance > 0.5 * radius).all()
    assert [m.training for m in model.modules()] == flags
    assert torch.equal(model[2].running_mean, statistics)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("noise", [Gaussian(0.25), NoNoise()])
def test_raises_the_smoothed_loss_more_in_larger_balls(model, images, attack, noise):
    x, y = images
    out = attack.propose(smoothed(model, list(range(5)), noise), x, y, RADII)
    judge = [smoothed(model, list(range(5)), noise).soft_loss(proposed, y, 2000) for proposed in out]
    for smaller, larger in pairwise(judge):
        assert larger.mean() > smaller.mean()
        assert (larger > judge[0]).all()


@pytest.mark.parametrize("attack", ATTACKS)
def test_depends_on_no_other_image_and_no_other_radius(model, images, attack):
    x, y = images
    whole = attack.propose(smoothed(model, list(range(5))), x, y, RADII)
    rows = [3, 1]
    part = attack.propose(smoothed(model, rows), x[rows], y[rows], [1.0])
    torch.testing.assert_close(part[0], whole[3, rows], rtol=1e-4, atol=1e-5)
    state = smoothed(model, list(range(5)))
    state.noise_like(x, 3)  # a generator that was used before starts again
    assert torch.equal(attack.propose(state, x, y, [0.5])[0], whole[2])


def test_more_noise_samples_follow_the_exact_gradient(images):
    """For a linear classifier of two classes the best direction is known, whatever the noise."""
    x, _ = images
    x = 0.4 + 0.2 * x
    torch.manual_seed(3)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    w = (linear[1].weight[1] - linear[1].weight[0]).detach()
    out = PgdL2(steps=8).propose(
        smoothed(linear, list(range(5))), x, torch.zeros(5, dtype=torch.int64), [0.3]
    )[0]
    cosine = F.cosine_similarity((out - x).flatten(1), w.expand(5, -1))
    assert (cosine > 0.999).all()
    assert (out - x).flatten(1).norm(dim=1).tolist() == pytest.approx([0.3] * 5)


def test_the_default_is_that_of_nal():
    attack = PgdL2()
    assert (attack.steps, attack.relative_step, attack.samples) == (20, 2.0, 16)
