"""MACER (Zhai et al., ICLR 2020, eq. 17 and Algorithm 1): cross-entropy of the soft smoothed classifier plus
a hinge on its certified radius, over the images that it classifies correctly.

With p the mean of softmax(logits) over k noise samples and q that of softmax(beta * logits), over n images:

  -1/n sum log p_y + lambda sigma / (2n) sum_{correct} max(gamma - xi, 0),
  xi = Phi^-1(q_y) - Phi^-1(max_{c != y} q_c).

Interpretation: Algorithm 1 writes one softmax everywhere, but the paper's section on the effect of beta and
the released code apply beta to the robustness term only, as here. "Correct" refers to q (the released code's
choice): Theorem 2 gives the radius of the very classifier whose correctness it assumes, and xi >= 0 follows.
`correct: unscaled` refers to p instead. Delayed lambda (`lambda_from`) is published for CIFAR-10 at sigma =
1.0 only: 0 until the learning rate first drops (200 of 440 epochs), then 12.

Departures: the released code drops infinite xi and adds 1e-10 inside the logarithm, in float32. Here the
logarithms of p and q are computed directly, and xi in float64 with Phi^-1(q_y) = -Phi^-1(1 - q_y), where 1 -
q_y is the sum of the other classes. So xi is exact up to 74, and its gradient is zero wherever the hinge is
inactive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from rs.settings.limits import Moment, NonNegative, Positive, Samples
from rs.settings.passes import Passes
from rs.smoothing.smoothed import noisy_copies, soft_mean

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.methods.noise.gaussian import Gaussian

_INSIDE = (1e-300, 1 - 2.0**-53)  # where Phi^-1 and its derivative are finite: from -37 to 8.2


@dataclass(frozen=True)
class Macer:
    """Maximises the certified radius of the soft smoothed classifier; `lambda` weighs it, `gamma` caps it (in
    xi).
    """

    source: ClassVar[str] = "Zhai et al., ICLR 2020"
    noises: ClassVar[frozenset[str]] = frozenset({"gaussian"})
    passes: ClassVar[Passes] = {"update": (1, "k")}

    k: Samples = 16
    lambda_: Annotated[NonNegative, Field(alias="lambda")] = 12.0
    gamma: Annotated[float, Field(gt=0, lt=37)] = 8.0
    beta: Positive = 16.0
    lambda_from: Moment = 0.0
    correct: Literal["scaled", "unscaled"] = "scaled"

    def phase(self, progress: float) -> bool:
        """Whether lambda is in effect."""
        return progress >= self.lambda_from

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Gaussian, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits = model(noisy_copies(x, noise, self.k, generator))
        log_p = soft_mean(logits, self.k)
        classification = F.nll_loss(log_p, y)
        scaled = soft_mean(logits.double(), self.k, self.beta)
        others = scaled.masked_fill(F.one_hot(y, scaled.shape[1]).bool(), -torch.inf)
        miss, second = torch.logsumexp(others, 1).exp(), others.amax(1).exp()
        xi = -torch.special.ndtri(miss.clamp(*_INSIDE)) - torch.special.ndtri(second.clamp(*_INSIDE))
        correct = (scaled if self.correct == "scaled" else log_p).argmax(1) == y
        hinge = torch.where(correct, (self.gamma - xi).clamp_min(0), 0.0)
        robustness = (hinge.mean() * noise.sigma / 2).to(classification.dtype)
        weight = self.lambda_ if self.phase(progress) else 0.0
        scalars = {
            "classification": classification.detach(),
            "robustness": robustness.detach(),
            "correct": correct.float().mean(),
        }
        return (classification + weight * robustness if weight else classification), scalars
