"""TRADES (Zhang et al., ICML 2019, Algorithm 1): cross-entropy plus beta times the Kullback-Leibler
divergence to the worst image in a ball, with and without noise. With P(.|x) the softmax of the base
classifier and z_j the noise,

  L = mean_j [l(x + z_j) + beta KL(P(.|x + z_j) || P(.|x' + z_j))],
  x' maximises mean_j KL(P(.|x + z_j) || P(.|x' + z_j)) over ||x' - x||_p <= epsilon and [0,1]^d.

With noise `none` this is TRADES as published; beta is its 1/lambda. As in the released code, the ascent
starts at x + 0.001 N(0, I) (at x the divergence has no gradient) with the network in evaluation mode, and the
gradient of the loss flows through both sides. Interpretation of NAL, which compares with TRADES at the same
noise level as all others: one noise per image serves both sides, every step and the update, as in SmoothAdv.
A step has length `relative_step` * epsilon / `steps`. NAL's Table 3 has epsilon/2, the same at its K = 4;
published for l-infinity are 40 steps of 4/3 (MNIST) and 10 of 2.26 (CIFAR-10), beta 1 and 6.

Departures: x and x' go through the model in one batch, so batch norm sees both together; a zero gradient
takes no step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from rs.methods.objectives.epsilon import Epsilon, epsilon_now
from rs.settings.limits import NonNegative, Positive, Samples, Steps
from rs.settings.passes import Passes
from rs.smoothing.ascent import l2_norm, pgd
from rs.smoothing.smoothed import add_noise, draw_noise, evaluation_mode

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise

START = 0.001  # standard deviation of the first perturbation


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) of rows of log-probabilities [..., K] -> [...]; finite wherever they are."""
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)


@dataclass(frozen=True)
class Trades:
    """Cross-entropy plus `beta` times the worst divergence of the predictions in a ball."""

    source: ClassVar[str] = "Zhang et al., ICML 2019"
    passes: ClassVar[Passes] = {
        "forward": (1, "samples"),
        "ascent": ("steps", "samples"),
        "update": (1, ("samples", "samples")),
    }

    epsilon: Epsilon
    beta: NonNegative = 6.0
    norm: Literal["l2", "linf"] = "l2"
    steps: Steps = 10
    samples: Samples = 1
    relative_step: Positive = 2.0
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.0

    def phase(self, progress: float) -> float:
        """The radius of the ball."""
        return epsilon_now(self.epsilon, progress, self.warmup)

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        epsilon = self.phase(progress)
        z = draw_noise(x, noise, self.samples, generator)
        worst = self.attack(model, x, z, epsilon, generator) if epsilon > 0 else x
        images = torch.cat([add_noise(x, z), add_noise(worst, z)])
        clean, moved = F.log_softmax(model(images), dim=1).chunk(2)
        classification = F.nll_loss(clean, y.repeat_interleave(self.samples))
        robustness = kl_divergence(clean, moved).mean()
        scalars = {
            "cross_entropy": classification.detach(),
            "divergence": robustness.detach(),
            "distance": l2_norm(worst - x).mean(),
        }
        return classification + self.beta * robustness, scalars

    def attack(self, model: nn.Module, x: Tensor, z: Tensor, epsilon: float, generator: Generator) -> Tensor:
        """Images like x whose predictions under the noise z are as far from those of x as PGD gets them."""
        start = START * torch.randn(x.shape, generator=generator, device=generator.device)
        step, p = self.relative_step * epsilon / self.steps, 2.0 if self.norm == "l2" else math.inf
        with evaluation_mode(model):
            with torch.no_grad():
                clean = F.log_softmax(model(add_noise(x, z)), dim=1)

            def loss(at: Tensor) -> Tensor:
                moved = F.log_softmax(model(add_noise(at, z)), dim=1)
                return kl_divergence(clean, moved).unflatten(0, (-1, self.samples)).mean(1)  # type: ignore[no-any-return]

            return pgd(loss, x, epsilon, self.steps, step, p, start=start)
