"""One-shot denoising by a diffusion model against the best denoiser that there is for Gaussian images."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from rs.errors import UserError
from rs.networks.one_shot import OneShot, schedule_of, step_of

SPREAD = 0.05  # of the images around 1/2, per pixel
BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)  # Ho et al., NeurIPS 2020
LINEAR = torch.cumprod(1 - BETAS, 0)


class Optimal(nn.Module):
    """The mean of the noise given x_t, for images x' = 2 x - 1 whose pixels are N(0, (2 SPREAD)^2)."""

    def __init__(self, alphas: torch.Tensor, variance: bool = False) -> None:
        super().__init__()
        self.register_buffer("alphas_cumprod", alphas)
        self.variance = variance

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        a = self.alphas_cumprod[t].reshape(-1, 1, 1, 1).to(x.dtype)
        noise = (1 - a).sqrt() * x / (a * (2 * SPREAD) ** 2 + 1 - a)
        return torch.cat([noise, torch.ones_like(noise)], 1) if self.variance else noise


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("variance", [False, True])
def test_it_is_the_posterior_mean_of_gaussian_images(sigma, variance):
    """With y = x + d the mean of x is 1/2 + s^2 / (s^2 + sigma^2) (y - 1/2): by hand, in units of [0, 1]."""
    own = LINEAR.new_tensor([1 / (1 + 4 * sigma**2)])
    exact = torch.cat([LINEAR, own]).sort(descending=True).values
    denoiser = OneShot([nn.Identity(), Optimal(exact, variance)], sigma).double()
    y = 0.5 + sigma * torch.randn(3, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    by_hand = 0.5 + SPREAD**2 / (SPREAD**2 + sigma**2) * (y - 0.5)
    torch.testing.assert_close(denoiser(y), by_hand, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("sigma", "step"), [(0.25, 144), (0.5, 258), (1.0, 396)])
def test_the_time_step_of_the_usual_schedule(sigma, step):
    """The levels of the neighbours lie on both sides of 2 sigma, computed from betas in plain Python."""
    level, kept = [], 1.0
    for i in range(1000):
        kept *= 1 - (1e-4 + i * (0.02 - 1e-4) / 999)
        level.append(math.sqrt((1 - kept) / kept))
    found, alpha = step_of(LINEAR, sigma)
    assert level[found - 1] < 2 * sigma < level[found + 1]
    assert alpha == pytest.approx(1 / (1 + level[found] ** 2))
    assert found == step


def test_images_are_clipped_and_gradients_go_through():
    denoiser = OneShot([nn.Identity(), Optimal(LINEAR)], 0.25)
    x = torch.full((1, 1, 2, 2), 0.6, requires_grad=True)
    denoiser(x).sum().backward()
    assert (x.grad > 0).all()
    assert denoiser(torch.full((1, 1, 2, 2), 1e3)).max() == 1


def test_a_level_that_the_schedule_has_not_is_one_line():
    with pytest.raises(
        UserError, match=r"^the diffusion model has no time step for sigma 0\.001; its steps are"
    ):
        step_of(LINEAR, 0.001)
    with pytest.raises(UserError, match=r"no time step for sigma 100; its steps are from 0\.005 to 78"):
        step_of(LINEAR, 100.0)


@pytest.mark.parametrize("given", [None, "alphas", [[0.9, 0.1]], [0.1, 0.9], [1.0, 0.5], []])
def test_what_is_no_schedule_is_one_line(given):
    network = nn.Identity()
    network.alphas_cumprod = given
    with pytest.raises(UserError, match=r"alphas_cumprod") as caught:
        schedule_of(network)
    assert "\n" not in str(caught.value)
