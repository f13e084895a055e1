"""A diffusion model as a denoiser, in one step (Carlini et al., "(Certified!!) Adversarial Robustness for
Free!", ICLR 2023).

A diffusion model predicts the noise e in x_t = sqrt(a_t) x' + sqrt(1 - a_t) e for images x' in [-1, 1] and e
standard normal, with a_t its cumulative product of alphas. For an image x in [0, 1] under noise d of level
sigma, 2 (x + d) - 1 = x' + 2 d: noise of level 2 sigma in the model's units. So t is the step with

  (1 - a_t) / a_t = (2 sigma)^2,    x_t = sqrt(a_t) (2 (x + d) - 1),

and one step back, x' = (x_t - sqrt(1 - a_t) e(x_t, t)) / sqrt(a_t), clipped to [-1, 1], is the denoised
image. If a network has twice the channels, because it also predicts its variance, the first half is the
noise. Departures: the nearest step is taken (they take the first that is noisy enough); a schedule whose
nearest level is more than 5 % off is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rs.errors import UserError

FARTHEST = 0.05  # relative to the requested level


class OneShot(nn.Sequential):
    """`Sequential(nothing, network)`, laid out and named as imported networks are: noisy images [B, C, H, W]
    -> denoised images in [0, 1].
    """

    def __init__(self, parts: Sequence[nn.Module], sigma: float) -> None:
        """`network(x_t, t)`, t int64 [B], has `alphas_cumprod`. Raises UserError where no step has the
        level.
        """
        super().__init__(*parts)
        self.step, self.alpha = step_of(schedule_of(self[1]), sigma)

    def forward(self, x: Tensor) -> Tensor:
        signal, noise = math.sqrt(self.alpha), math.sqrt(1 - self.alpha)
        scaled = signal * (2 * x - 1)
        found = self[1](scaled, x.new_full((x.shape[0],), self.step, dtype=torch.int64))[:, : x.shape[1]]
        clean: Tensor = (scaled - noise * found) / signal
        return (clean.clamp(-1, 1) + 1) / 2


def schedule_of(network: Any) -> Tensor:
    """The network's `alphas_cumprod`, float64 [T]. Raises UserError unless it falls from 1 to 0."""
    products = getattr(network, "alphas_cumprod", None)
    try:
        found = torch.as_tensor(products, dtype=torch.float64).detach().cpu()
    except Exception as error:  # a user's network may hold anything there
        raise UserError("a diffusion model needs its alphas_cumprod: a number for each time step") from error
    falls = found.dim() == 1 and len(found) > 0 and bool((found.diff() < 0).all())
    if not (falls and bool(((found > 0) & (found < 1)).all())):
        raise UserError("alphas_cumprod of a diffusion model must fall from step to step, between 1 and 0")
    return found


def step_of(alphas: Tensor, sigma: float) -> tuple[int, float]:
    """The time step whose noise is nearest to level `sigma` of images in [0, 1], and its cumulative alpha."""
    levels = ((1 - alphas) / alphas).sqrt() / 2
    step = int((levels.log() - math.log(sigma)).abs().argmin())
    if abs(float(levels[step]) / sigma - 1) > FARTHEST:
        ends = f"from {float(levels[0]):.3g} to {float(levels[-1]):.3g}"
        raise UserError(f"the diffusion model has no time step for sigma {sigma:g}; its steps are {ends}")
    return step, float(alphas[step])
