"""NAL's two readings of line 8 of its Algorithm 1: the outer loss on fresh noise, or on the last step's."""

from __future__ import annotations

import math

import pytest
import torch
from objective_checks import BATCH, NOISE, SHAPE, SIGMA, Tiny, check, generator, images, probabilities, same

from rs.methods.noise.none import NoNoise
from rs.methods.objectives.clean import Clean
from rs.methods.objectives.gaussian import GaussianTraining
from rs.methods.objectives.nal import Nal

EVERY = torch.arange(BATCH)


def loss_at(model, x, z, y):
    """Mean cross-entropy over the noise [B, S, ...], per image."""
    parts = [probabilities(model, x + z[:, j])[EVERY, y].log() for j in range(z.shape[1])]
    return -sum(parts) / z.shape[1]


@pytest.mark.parametrize("redraw", [True, False])
@pytest.mark.parametrize("in_cost", [True, False])
def test_nal_is_algorithm_1(redraw, in_cost):
    gamma, eta, r = 0.7, 0.3, 3

    def formula(model, x0, y, draw):
        x = x0
        for _ in range(4):
            z, x = draw(r), x.detach().requires_grad_()
            cost = (x.unsqueeze(1) + z - x0.unsqueeze(1)) if in_cost else (x - x0).unsqueeze(1)
            value = loss_at(model, x, z, y).sum() - gamma * cost.square().mean(1).sum()
            x = x.detach() + eta * torch.autograd.grad(value, x)[0]
        return loss_at(model, x, draw(r) if redraw else z, y).mean()

    check(Nal(4, r, gamma, eta, in_cost, redraw=redraw), formula)


class Seen(Tiny):
    """Keeps the images of its last call in training, and has no gradient in them: what is left is noise."""

    def forward(self, x):
        self.last_images = x.detach()
        return super().forward(torch.zeros_like(x) + 0 * x)


@pytest.mark.slow
@pytest.mark.parametrize("r", [1, 2, 4])
def test_fresh_noise_trains_at_sigma_root_1_plus_1_over_r_and_reused_noise_at_root_1_minus_1_over_r(r):
    """Where the loss is flat nothing but the noise moves the images."""

    def spread(redraw, in_cost=True):
        model, (x, y), source = Seen(), images(), generator()
        found = []
        for _ in range(400):
            objective = Nal(2, r, 1.5, noise_in_cost=in_cost, redraw=redraw)
            objective.loss(model, x, y, NOISE, source, 0.5)
            found.append(model.last_images.unflatten(0, (BATCH, r)) - x.unsqueeze(1))
        return float(torch.stack(found).square().mean().sqrt())

    count = 400 * BATCH * math.prod(SHAPE)  # at least as many independent values
    fresh, reused = spread(True), spread(False)
    assert fresh == pytest.approx(SIGMA * math.sqrt(1 + 1 / r), rel=5 * math.sqrt(1 / count))
    assert reused == pytest.approx(SIGMA * math.sqrt(1 - 1 / r), rel=5 * math.sqrt(1 / count), abs=1e-6)
    for redraw in (True, False):  # the noise is not in the cost: nothing recentres the draws
        assert spread(redraw, in_cost=False) == pytest.approx(SIGMA, rel=5 * math.sqrt(1 / count))


@pytest.mark.parametrize("steps", [1, 4])
def test_with_one_reused_noise_the_distance_of_eq_8_is_the_gradient_over_2_gamma(steps):
    """x_K + z - x_0 = grad l / (2 gamma): no noise in epsilon, whatever sigma is."""
    gamma, (x0, y), seen = 0.7, images(), []

    class Keeping(Tiny):
        def forward(self, x):
            if not x.requires_grad:  # the outer loss
                seen.append(x.detach())
            else:
                self.at = x.detach()
            return super().forward(x)

    model = Keeping(3.0)
    Nal(steps, 1, gamma, redraw=False).loss(model, x0, y, NOISE, generator(), 0.5)
    at = model.at.requires_grad_()  # x_{K-1} + z
    (gradient,) = torch.autograd.grad(-probabilities(Tiny(3.0), at)[EVERY, y].log().sum(), at)
    moved = (seen[0] - x0).flatten(1).norm(dim=1)
    torch.testing.assert_close(moved, gradient.flatten(1).norm(dim=1) / (2 * gamma))
    assert float(moved.min()) > 0
    fresh = Nal(steps, 1, gamma).loss
    fresh(model, x0, y, NOISE, generator(), 0.5)
    assert float((seen[1] - x0).flatten(1).norm(dim=1).mean()) > 2 * float(moved.mean())


def test_the_readings_agree_without_noise_and_where_no_step_is_taken():
    same(Nal(redraw=False), Nal(), noise=NoNoise())
    for redraw in (True, False):
        same(Nal(steps=0, samples=3, redraw=redraw), GaussianTraining(samples=3))
    # under a large penalty the reading without noise of its own trains on the images themselves
    same(Nal(samples=1, gamma=1e6, redraw=False), Clean())
