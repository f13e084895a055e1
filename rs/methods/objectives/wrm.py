"""WRM (Sinha, Namkoong & Duchi, ICLR 2018, Algorithm 1) as NAL compares with it (its Table 3): ascent on the
Lagrangian of the loss without noise, then cross-entropy at the point found.

  x_{k+1} = x_k + eta * grad [l(x_k) - gamma ||x_k - x_0||_2^2],   loss = l(x_K),   eta = 0.5/gamma

It is NAL under noise `none`. 15 steps are Sinha et al.'s; NAL does not say how many it gives WRM. The theory
needs a smooth network: both papers replace ReLU by ELU (`activation: elu` of a model). Departures: images are
not clipped, as the paper writes no projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from rs.methods.objectives.nal import Nal
from rs.settings.limits import Divisor, Positive
from rs.settings.passes import Passes

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.methods.noise.none import NoNoise


@dataclass(frozen=True)
class Wrm:
    """Ascent on the Lagrangian of the loss: `steps`, penalty `gamma`."""

    source: ClassVar[str] = "Sinha, Namkoong & Duchi, ICLR 2018"
    noises: ClassVar[frozenset[str]] = frozenset({"none"})
    calibrates: ClassVar[bool] = True  # rho and epsilon are measured with its gamma and step_size
    passes: ClassVar[Passes] = {"ascent": ("steps", 1), "update": (1, 1)}

    steps: Annotated[int, Field(ge=0, le=100_000)] = 15
    gamma: Divisor = 1.5
    step_size: Positive | None = None

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: NoNoise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        nal = Nal(self.steps, 1, self.gamma, self.step_size, noise_in_cost=False)
        return nal.loss(model, x, y, noise, generator, progress)
