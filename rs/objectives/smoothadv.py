"""SmoothAdv with the PGD attack (Salman et al., NeurIPS 2019, eq. 6 and section 3): adversarial training of
the smoothed classifier.

x' maximises -log mean_j softmax(x' + z_j)_y over ||x' - x||_2 <= epsilon and [0,1]^d by PGD with unit-norm
gradients, then the weights minimise the mean over j of the cross-entropy at x' + z_j. As published: the same
noise serves every step and the update (`redraw: true` draws afresh each time), box before ball, the step is 2
epsilon/K. NAL's Table 3 trains it with the step epsilon/2, which is the same at its K = 4.

Departures: the released code trains on all m noisy copies only with its flag `train-multi-noise` (that is
what this does; otherwise it uses one of them, on batches m times smaller); its epsilon is divided by 256
where the paper divides by 255 (here epsilon is in [0,1] units); a zero gradient takes no step where it takes
a random one; the warm-up grows epsilon linearly from 0 with the share of the training done instead of once
per epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from rs.ascent import l2_norm, pgd
from rs.smoothing import draw_noise, evaluation_mode, mean_cross_entropy, soft_loss
from rs.spec import Calibrated

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.interfaces import Noise


@dataclass(frozen=True)
class SmoothAdv:
    """PGD on the soft smoothed loss inside an l2 ball; one step is `relative_step` * epsilon / `steps` long.

    `epsilon` is a number or the calibrated epsilon of another run. `warmup` is the share of the training over
    which it grows from 0.
    """

    source: ClassVar[str] = "Salman et al., NeurIPS 2019"

    epsilon: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Calibrated
    steps: Annotated[int, Field(ge=1)] = 10
    samples: Annotated[int, Field(ge=1)] = 1
    relative_step: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.0
    redraw: bool = False

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if isinstance(self.epsilon, Calibrated):
            raise TypeError(
                f"epsilon still refers to run {self.epsilon.calibrated!r}, which has no value yet"
            )
        epsilon = self.epsilon * min(1.0, progress / self.warmup) if self.warmup else self.epsilon
        z = draw_noise(x, noise, self.samples, generator)

        def draw() -> Tensor:
            return draw_noise(x, noise, self.samples, generator) if self.redraw else z

        worst = x
        if epsilon > 0:
            with evaluation_mode(model):
                step = self.relative_step * epsilon / self.steps
                worst = pgd(lambda at: soft_loss(model, at, draw(), y), x, epsilon, self.steps, step)
        loss = mean_cross_entropy(model, worst, draw(), y).mean()
        return loss, {"cross_entropy": loss.detach(), "distance": l2_norm(worst - x).mean()}
