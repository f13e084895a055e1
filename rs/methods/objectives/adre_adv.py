"""ADRE_ADV (Feng et al., AAAI 2020, eq. 12-13, Algorithm 1): ADRE's regularised loss at images that PGD finds
against the regularised loss of the smoothed classifier. With G the mean softmax over k noises and c* its
strongest class other than y,

  x' maximises -log G(x')_y - lambda * (-log G(x')_c*) over ||x' - x||_2 <= epsilon,
  L = mean_j l(x' + z_j) - lambda * (-log G(x')_c*),

with the same noise in every step and in the update, and steps of length 2 epsilon / `steps`. Without lambda
this is SmoothAdv.

Interpretation: eq. (13) writes the plain gradient, but the step size (in the section on experiments) fits a
gradient scaled to norm 1, as in SmoothAdv; lambda is the same inside and outside. Departures: images are kept
in [0,1], as in SmoothAdv; probabilities below `floor` count as `floor` in the regulariser, as in `adre`; a
zero gradient takes no step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from torch.nn import functional as F

from rs.methods.objectives.adre import Adre, Floor, adaptive_radius
from rs.methods.objectives.epsilon import Epsilon, epsilon_now
from rs.settings.limits import NonNegative, Positive, Samples, Steps
from rs.settings.passes import Passes
from rs.smoothing.ascent import l2_norm, pgd
from rs.smoothing.smoothed import add_noise, draw_noise, evaluation_mode, soft_mean

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class AdreAdv:
    """ADRE at the worst images in an l2 ball; `epsilon` is a number or the calibrated epsilon of a run."""

    source: ClassVar[str] = "Feng et al., AAAI 2020"
    passes: ClassVar[Passes] = {"ascent": ("steps", "k"), "update": (1, "k")}

    epsilon: Epsilon
    steps: Steps = 2
    k: Samples = 8
    lambda_: Annotated[NonNegative, Field(alias="lambda")] = 0.1
    relative_step: Positive = 2.0
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.0
    floor: Floor = 1e-10
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def phase(self, progress: float) -> float:
        """The radius of the ball."""
        return epsilon_now(self.epsilon, progress, self.warmup)

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        epsilon = self.phase(progress)
        z = draw_noise(x, noise, self.k, generator)

        def attacked(at: Tensor) -> Tensor:
            log_g = soft_mean(model(add_noise(at, z)), self.k)
            missed = F.nll_loss(log_g, y, reduction="none")
            return missed - self.lambda_ * adaptive_radius(log_g, y, self.floor)

        worst = x
        if epsilon > 0:
            with evaluation_mode(model):
                worst = pgd(attacked, x, epsilon, self.steps, self.relative_step * epsilon / self.steps)
        adre = Adre(self.k, self.lambda_, floor=self.floor, label_smoothing=self.label_smoothing)
        loss, scalars = adre.regularized(model(add_noise(worst, z)), y)
        return loss, {**scalars, "distance": l2_norm(worst - x).mean()}
