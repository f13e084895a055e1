"""l2 PGD on the smoothed classifier with gradients averaged over noise (EOT), as NAL (section 5) and STN
(section 6.2) attack: K = 20 steps of length 2 epsilon/K.

`loss: soft` ascends -log of the mean softmax over the noise samples (Salman et al., NeurIPS 2019); `mean`
ascends the mean cross-entropy. Every step draws fresh noise, moves along the gradient scaled to norm 1, and
projects onto [0,1], then onto the ball. The papers leave open the number of samples per step (16 here) and
whether the start is random (not here).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from rs.methods.attacks.balls import ascend_in_balls
from rs.settings.limits import Positive, Samples, Steps
from rs.settings.passes import Passes

if TYPE_CHECKING:
    from torch import Tensor

    from rs.methods.interfaces import Proposed
    from rs.smoothing.smoothed import Smoothed


@dataclass(frozen=True)
class PgdL2:
    """PGD in an l2 ball: steps of length `relative_step` * radius / `steps`, each on `samples` noises."""

    source: ClassVar[str] = "Madry et al., ICLR 2018; on smoothed classifiers Salman et al., NeurIPS 2019"
    norm: ClassVar[float] = 2.0
    access: ClassVar[str] = "white-box"
    passes: ClassVar[Passes] = {"ascent": (("radii", "steps"), "samples")}

    steps: Steps = 20
    samples: Samples = 16
    relative_step: Positive = 2.0
    loss: Literal["soft", "mean"] = "soft"
    random_start: bool = False

    def at_radii(self, smoothed: Smoothed, x: Tensor, y: Tensor, radii: Sequence[float]) -> Proposed:
        objective = smoothed.soft_loss if self.loss == "soft" else smoothed.mean_loss
        return ascend_in_balls(
            lambda: lambda at: objective(at, y, self.samples),
            *(smoothed, x, radii, self.norm, self.steps, self.relative_step, self.random_start),
        )
