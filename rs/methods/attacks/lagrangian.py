"""The inner ascent of NAL (Alg. 1) and WRM (Sinha et al., ICLR 2018) as an attack. Instead of a ball it has a
price gamma on the squared l2 distance.

It ascends the mean over the noise of cross-entropy(x + z) - gamma ||x + z - x_0||^2. With `noise_in_cost:
false` the cost is ||x - x_0||^2, which is the expectation of the former up to a constant. The calibration and
the distributional certificate ascend with this cost; without noise it is WRM's.

One ascent serves all radii: its end point is clipped to [0,1] and projected onto the ball of each radius. The
attack does not try to use up a radius, so it is weaker there than PGD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from rs.methods.interfaces import Proposed
from rs.settings.limits import Divisor, Positive, Samples, Steps
from rs.settings.passes import Passes
from rs.smoothing.ascent import lagrangian_ascent, project_l2
from rs.smoothing.smoothed import evaluation_mode, mean_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

    from rs.smoothing.smoothed import Smoothed


@dataclass(frozen=True)
class Lagrangian:
    """Ascent at price `gamma`; `step_size` is 0.5/gamma unless given."""

    source: ClassVar[str] = "NAL, Alg. 1; WRM, Sinha et al., ICLR 2018"
    norm: ClassVar[float] = 2.0
    access: ClassVar[str] = "white-box"
    bounded: ClassVar[bool] = False  # bounded by its price, not by the radius
    passes: ClassVar[Passes] = {"ascent": ("steps", "samples")}

    gamma: Divisor = 1.5
    steps: Steps = 15
    samples: Samples = 16
    step_size: Positive | None = None
    noise_in_cost: bool = True

    def at_radii(self, smoothed: Smoothed, x: Tensor, y: Tensor, radii: Sequence[float]) -> Proposed:
        smoothed.restart()
        with evaluation_mode(smoothed.model):
            worst = lagrangian_ascent(
                lambda at, z: mean_cross_entropy(smoothed.model, at, z, y),
                lambda: smoothed.noise_like(x, self.samples),
                *(x, self.gamma, self.steps, self.step_size, self.noise_in_cost),
            )
        shift = worst.clamp(0, 1) - x
        steps = [torch.full((len(x),), self.steps if radius else 0, device=x.device) for radius in radii]
        return Proposed(torch.stack([x + project_l2(shift, r) for r in radii]), torch.stack(steps))
