"""ADRE_REG (Feng et al., AAAI 2020, eq. 5-8 and Algorithm 1): training under noise, minus lambda times the
cross-entropy of the smoothed classifier at its strongest wrong class. With the same k noises in both terms
and G the mean softmax over them,

  L = mean_j l(x + z_j) - lambda * (-log max_{c != y} G_c).

`single_sample` is the variant of the CIFAR-10 rows of Table 1: it takes l at only one of the k noisy copies
(drawn at random in the paper, the first here, which is equivalent for independent draws). `regularizer:
radius` is the alternative of eq. (10), -lambda * (Phi^-1(G's largest) - Phi^-1(G's second)). The paper found
it unstable: it also rewards wrong images for a large radius. `label_smoothing` is 0.1 in the paper's ImageNet
recipe (for its basic training too, which is lambda = 0).

Both regularisers are unbounded below. The first pays lambda for every unit of a correct image's margin, and
cross-entropy charges 1 for every unit of a wrong image's. So the weights grow for ever once the wrong margins
sum to less than lambda times the correct ones. Departure, to keep them finite: a probability below `floor`
counts as `floor` and has no gradient. At 1e-10 that is far beyond what a certificate sees (1 - 7e-5 at n =
100,000), and the loss stays above -23.1 lambda (-12.8 lambda for eq. 10). The logarithm of G is computed
directly. Eq. (10) is computed in float64 from the sum of the other classes, which is exact where 1 - G rounds
to 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from rs.settings.limits import NonNegative, Samples
from rs.settings.passes import Passes
from rs.smoothing.smoothed import noisy_copies, soft_mean

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise

Floor = Annotated[float, Field(gt=0, lt=0.01)]


def adaptive_radius(log_g: Tensor, y: Tensor, floor: float) -> Tensor:
    """-log of the strongest wrong class's probability: [B, K] logarithms -> [B], at most -log(floor)."""
    wrong = log_g.masked_fill(F.one_hot(y, log_g.shape[1]).bool(), -torch.inf)
    return -wrong.max(1).values.clamp_min(math.log(floor))


def certified_gap(log_g: Tensor, floor: float) -> Tensor:
    """Phi^-1 of the largest probability minus Phi^-1 of the second: [B, K] float64 logarithms -> [B]."""
    ordered = log_g.sort(1, descending=True).values
    # Phi^-1(p) = -Phi^-1(1 - p), and 1 - p is the sum of the others
    miss, second = torch.logsumexp(ordered[:, 1:], 1).exp(), ordered[:, 1].exp()
    return -torch.special.ndtri(miss.clamp_min(floor)) - torch.special.ndtri(second.clamp_min(floor))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Adre:
    """Cross-entropy under noise minus `lambda` times a measure of the smoothed classifier's radius."""

    source: ClassVar[str] = "Feng et al., AAAI 2020"
    passes: ClassVar[Passes] = {"update": (1, "k")}

    k: Samples = 8
    lambda_: Annotated[NonNegative, Field(alias="lambda")] = 0.1
    single_sample: bool = False
    regularizer: Literal["cross_entropy", "radius"] = "cross_entropy"
    floor: Floor = 1e-10
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return self.regularized(model(noisy_copies(x, noise, self.k, generator)), y)

    def regularized(self, logits: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and scalars from the logits of the noisy copies [B*k, K]."""
        used = 1 if self.single_sample else self.k
        counted = logits.unflatten(0, (-1, self.k))[:, :used].flatten(0, 1)
        classification = F.cross_entropy(
            counted, y.repeat_interleave(used), label_smoothing=self.label_smoothing
        )
        if self.regularizer == "radius":
            reward = certified_gap(soft_mean(logits.double(), self.k), self.floor).mean().to(logits.dtype)
        else:
            reward = adaptive_radius(soft_mean(logits, self.k), y, self.floor).mean()
        scalars = {"classification": classification.detach(), "reward": reward.detach()}
        return classification - self.lambda_ * reward, scalars
