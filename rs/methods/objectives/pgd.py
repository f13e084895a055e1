"""Adversarial training (Madry et al., ICLR 2018, eq. 2.1): cross-entropy at the worst image that PGD finds in
an l2 or l-infinity ball, from a uniform start in it. It uses no noise; STN's transfer attacks take their
images from such a network.

  loss = l(x'),   x' ~ argmax l(x') over ||x' - x||_p <= epsilon and [0,1]^d,   l = cross-entropy

A step has length `relative_step` * epsilon / `steps`, along the signs of the gradient for l-infinity and
along the gradient scaled to norm 1 for l2. Published for l-infinity: 40 steps, epsilon 0.3, relative step 4/3
for MNIST; 7, 8/255, 7/4 for CIFAR-10. Departures: batch norm is in evaluation mode during the ascent; a zero
gradient takes no step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field
from torch.nn import functional as F

from rs.methods.objectives.epsilon import Epsilon, epsilon_now
from rs.settings.limits import Positive, Steps
from rs.settings.passes import Passes
from rs.smoothing.ascent import l2_norm, pgd, random_perturbations
from rs.smoothing.smoothed import evaluation_mode

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class Pgd:
    """PGD adversarial training; `epsilon` is a number or the calibrated epsilon (l2) of another run."""

    source: ClassVar[str] = "Madry et al., ICLR 2018"
    noises: ClassVar[frozenset[str]] = frozenset({"none"})
    passes: ClassVar[Passes] = {"ascent": ("steps", 1), "update": (1, 1)}

    epsilon: Epsilon
    norm: Literal["l2", "linf"] = "l2"
    steps: Steps = 10
    relative_step: Positive = 2.0
    random_start: bool = True
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.0

    def phase(self, progress: float) -> float:
        """The radius of the ball."""
        return epsilon_now(self.epsilon, progress, self.warmup)

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        epsilon = self.phase(progress)
        p, worst = 2.0 if self.norm == "l2" else math.inf, x
        if epsilon > 0:
            start = random_perturbations(x, epsilon, p, generator) if self.random_start else None
            with evaluation_mode(model):
                worst = pgd(
                    lambda at: F.cross_entropy(model(at), y, reduction="none"),
                    x,
                    epsilon,
                    self.steps,
                    self.relative_step * epsilon / self.steps,
                    p,
                    start=start,
                )
        loss = F.cross_entropy(model(worst), y)
        return loss, {"cross_entropy": loss.detach(), "distance": l2_norm(worst - x).mean()}
