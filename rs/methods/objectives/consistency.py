"""Consistency regularisation (Jeong & Shin, NeurIPS 2020): training under noise, with a penalty on
predictions that differ between noises and on an uncertain mean. With P_j the softmax at x + z_j and P their
mean over m noises,

  L = mean_j l(x + z_j) + lambda mean_j KL(P || P_j) + eta H(P).

Published: m = 2, eta = 0.5 and lambda between 1 and 20 by data set and sigma (MNIST: 10 at sigma = 0.25, 5
above). With lambda = eta the penalty is lambda times the mean cross-entropy from P to P_j. Departure: the
released code splits a batch into m smaller ones, each with m noises per image; here every image of the batch
has m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from torch.nn import functional as F

from rs.settings.limits import NonNegative, Samples
from rs.settings.passes import Passes
from rs.smoothing.smoothed import noisy_copies, soft_mean

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class Consistency:
    """Cross-entropy under noise, plus `lambda` times the divergence from the mean prediction, plus `eta`
    times the mean prediction's entropy.
    """

    source: ClassVar[str] = "Jeong & Shin, NeurIPS 2020"
    passes: ClassVar[Passes] = {"update": (1, "samples")}

    samples: Samples = 2
    lambda_: Annotated[NonNegative, Field(alias="lambda")] = 10.0
    eta: NonNegative = 0.5

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits = model(noisy_copies(x, noise, self.samples, generator))
        classification = F.cross_entropy(logits, y.repeat_interleave(self.samples))
        log_p = F.log_softmax(logits, dim=1).unflatten(0, (-1, self.samples))
        log_mean = soft_mean(logits, self.samples)
        mean = log_mean.exp()
        entropy = -(mean * log_mean).sum(1).mean()
        # KL(P || P_j) is the cross-entropy from P to P_j minus the entropy of P
        divergence = -(mean.unsqueeze(1) * log_p).sum(2).mean() - entropy
        scalars = {
            "classification": classification.detach(),
            "divergence": divergence.detach(),
            "entropy": entropy.detach(),
        }
        return classification + self.lambda_ * divergence + self.eta * entropy, scalars
