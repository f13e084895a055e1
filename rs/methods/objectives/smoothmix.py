"""SmoothMix (Jeong et al., NeurIPS 2021, section 3): training under noise, plus training on mixtures of an
image and its adversarial example whose target moves towards the uniform distribution. With P(x) the mean
softmax over the m noises z_j,

  x~ : `steps` ascents of length `step_size` on -log P(x)_y, kept in [0,1] but in no ball,
  x_mix = (1 - u) x + u x~,   y_mix = (1 - u) P(x) + u / classes,   u uniform in [0, 1/2] per image,
  L = mean_j l(x + z_j) + eta 1[argmax P(x) = y] mean_j KL(y_mix || P(x_mix + z_j)).

With `one_step` the first step of the ascent replaces the clean image everywhere but at the start of the
ascent. Published: m = 4, step 1, 2 to 8 steps and eta 1 or 5 for MNIST; m = 2, step 2 sigma, 4 steps, eta 5
for CIFAR-10. As in the released code, all parts see the same noise, the gradient flows through P(x) in y_mix,
and eta (with the length of the one step) grows from 0 over `warmup`.

Departures: the released code splits a batch into m smaller ones, each with m noises per image; here every
image of the batch has m. Clean and mixed images go through the model in one batch, so batch norm sees them
together. The warm-up follows the share of the training done instead of epochs. A zero gradient takes no step.
With `one_step` and `steps: 1` the loss is not the released one: that code takes the first step's end where a
second step begins, so with a single step it keeps the clean image; here the mixture is of the first step with
itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field
from torch.nn import functional as F

from rs.settings.limits import NonNegative, Positive, Samples, Steps
from rs.settings.passes import Passes
from rs.smoothing.ascent import l2_norm, pgd, project_l2
from rs.smoothing.smoothed import add_noise, draw_noise, evaluation_mode, soft_loss, soft_mean

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class SmoothMix:
    """Cross-entropy under noise plus `eta` times the divergence on mixtures with unrestricted adversarial
    examples.
    """

    source: ClassVar[str] = "Jeong et al., NeurIPS 2021"
    passes: ClassVar[Passes] = {"ascent": ("steps", "samples"), "update": (1, ("samples", "samples"))}

    samples: Samples = 4
    steps: Steps = 4
    step_size: Positive = 1.0
    eta: NonNegative = 5.0
    one_step: bool = False
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.0

    def phase(self, progress: float) -> float:
        """The progress of the warm-up, from 0 to 1."""
        return min(1.0, progress / self.warmup) if self.warmup else 1.0

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        grown = self.phase(progress)
        z = draw_noise(x, noise, self.samples, generator)
        u = torch.rand(len(x), generator=generator, device=generator.device).to(x.dtype) / 2
        clean, worst = self.attack(model, x, z, y, grown)
        share = u.reshape(-1, 1, 1, 1)
        mixed = (1 - share) * clean + share * worst
        logits, mixed_logits = model(torch.cat([add_noise(clean, z), add_noise(mixed, z)])).chunk(2)
        classification = F.cross_entropy(logits, y.repeat_interleave(self.samples))
        log_p = soft_mean(logits, self.samples)
        # log of (1 - u) P + u / classes, finite where P is 0
        uniform = (u.log() - math.log(log_p.shape[1])).unsqueeze(1)
        target = torch.logaddexp(torch.log1p(-u).unsqueeze(1) + log_p, uniform).unsqueeze(1)
        log_q = F.log_softmax(mixed_logits, dim=1).unflatten(0, (-1, self.samples))
        divergence = (
            F.kl_div(log_q, target.expand_as(log_q), reduction="none", log_target=True).sum(2).mean(1)
        )
        correct = log_p.argmax(1) == y
        mixture = torch.where(correct, divergence, 0.0).mean()
        scalars = {
            "classification": classification.detach(),
            "mixture": mixture.detach(),
            "correct": correct.float().mean(),
            "distance": l2_norm(worst - x).mean(),
        }
        return classification + self.eta * grown * mixture, scalars

    def attack(
        self, model: nn.Module, x: Tensor, z: Tensor, y: Tensor, grown: float
    ) -> tuple[Tensor, Tensor]:
        """The two images of the mixture: the clean one (with `one_step` the first step) and the adversarial
        one.
        """
        with evaluation_mode(model):

            def ascend(steps: int, start: Tensor | None = None) -> Tensor:
                return pgd(
                    lambda at: soft_loss(model, at, z, y), x, math.inf, steps, self.step_size, start=start
                )

            first = ascend(1)
            worst = ascend(self.steps - 1, first - x)
        return x + project_l2(first - x, grown * self.step_size) if self.one_step else x, worst
