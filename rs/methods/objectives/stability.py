"""Stability training with noise, STN (Li, Chen, Wang & Carin, "Certified Adversarial Robustness with Additive
Noise", NeurIPS 2019, section 5.1): cross-entropy of the clean image plus gamma times the cross-entropy from
the softmax of the clean image to that of the noisy one,

  L = CE(f(x), y) - gamma * mean_j sum_c P(c|x) log P(c|x + z_j).

Interpretation: D(f(x), f(x')) is a function of both arguments, so the gradient also flows through the target
P(c|x). gamma = 1 as in the released code; the paper names no value. Departures: the target is the softmax
that the paper states (the released code passes raw logits); clean and noisy images go through the model in
one batch, so batch norm sees both; there are `samples` noisy copies per image (1 in the paper).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F

from rs.settings.limits import NonNegative, Samples
from rs.settings.passes import Passes
from rs.smoothing.smoothed import noisy_copies

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class Stability:
    """Clean cross-entropy plus `gamma` times the cross-entropy between clean and noisy predictions."""

    source: ClassVar[str] = "Li, Chen, Wang & Carin, NeurIPS 2019"
    passes: ClassVar[Passes] = {"update": (1, (1, "samples"))}

    gamma: NonNegative = 1.0
    samples: Samples = 1

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        log_p = F.log_softmax(model(torch.cat([x, noisy_copies(x, noise, self.samples, generator)])), dim=1)
        clean, noisy = log_p[: len(x)], log_p[len(x) :].unflatten(0, (-1, self.samples))
        classification = F.nll_loss(clean, y)
        stability = -(clean.exp().unsqueeze(1) * noisy).sum(2).mean()
        scalars = {"classification": classification.detach(), "stability": stability.detach()}
        return classification + self.gamma * stability, scalars
