"""NAL ("A Distributional Robustness Certificate by Randomized Smoothing", eq. 6, Algorithm 1): K steps of
ascent on the Lagrangian of the smoothed loss, then cross-entropy at the point found.

  x_{k+1} = x_k + eta * mean_j grad [l(x_k + z_j) - gamma ||x_k + z_j - x_0||_2^2],   z_j fresh in every step
  loss = mean_j l(x_K + z'_j),   l = cross-entropy, eta = 0.5/gamma (Table 1)

Line 8 of Algorithm 1 names the z_ij of line 4 again, which reads as z' = z, the noise of the last step
(`redraw: false`). `redraw: true` draws z' afresh, which estimates the expectation over the noise without
bias.

Not stated in the paper: with eta = 0.5/gamma a step lands at x_0 - mean_j z_j + mean_j grad l/(2 gamma)
wherever x_k was. So the noise in the cost recentres the draws, and K matters only through grad l. Apart from
grad l, the network is trained on x_0 + z'_j - mean_i z_i, whose noise has per coordinate the standard
deviation

  sigma sqrt(1 + 1/r) for fresh z',   sigma sqrt(1 - 1/r) for z' = z.

The latter is 0 at r = 1: every copy lies at x_0 + grad l/(2 gamma), and the distance of eq. (8) is exactly
|grad l|/(2 gamma). The other cost of the paper's Figure 2b, ||x - x_0||_2^2, is `noise_in_cost: false`; the
standard deviation is then sigma in both readings. Images are not clipped, as the paper writes no projection.
With noise `none` this is WRM (Sinha et al., ICLR 2018) at a constant step size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from rs.settings.limits import Divisor, Positive, Samples
from rs.settings.passes import Passes
from rs.smoothing.ascent import lagrangian_ascent
from rs.smoothing.smoothed import draw_noise, evaluation_mode, mean_cross_entropy

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class Nal:
    """Ascent on the Lagrangian of the smoothed loss: `steps` K, `samples` r, penalty `gamma`.

    `redraw` draws fresh noise for the outer loss; without it the loss reuses the noise of the last step.
    """

    source: ClassVar[str] = "NAL, A Distributional Robustness Certificate by Randomized Smoothing"
    calibrates: ClassVar[bool] = True  # rho and epsilon are measured with its gamma and step_size
    passes: ClassVar[Passes] = {"ascent": ("steps", "samples"), "update": (1, "samples")}

    steps: Annotated[int, Field(ge=0, le=100_000)] = 4
    samples: Samples = 4
    gamma: Divisor = 1.5
    step_size: Positive | None = None
    noise_in_cost: bool = True
    redraw: bool = True

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        drawn: list[Tensor] = []

        def draw() -> Tensor:
            drawn[:] = [draw_noise(x, noise, self.samples, generator)]
            return drawn[0]

        with evaluation_mode(model):
            worst = lagrangian_ascent(
                lambda at, z: mean_cross_entropy(model, at, z, y),
                draw,
                x,
                self.gamma,
                self.steps,
                self.step_size,
                self.noise_in_cost,
            )
        z = draw() if self.redraw or not drawn else drawn[0]  # 0 steps draw none
        loss = mean_cross_entropy(model, worst, z, y).mean()
        moved = (worst - x).flatten(1).square().sum(1).mean()
        return loss, {"cross_entropy": loss.detach(), "squared_distance": moved}
