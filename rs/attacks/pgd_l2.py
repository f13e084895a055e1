"""l2 PGD on the smoothed classifier with gradients averaged over noise (EOT), as NAL (section 5) and STN
(section 6.2) attack: K = 20 steps of length 2 epsilon/K.

`loss: soft` ascends -log of the mean softmax over the noise samples (Salman et al., NeurIPS 2019), `mean` the
mean cross-entropy. Noise is fresh in every step, and starts again for every radius, so a radius's result
depends neither on the other radii nor on the other images. Steps are unit-norm gradients, projected onto
[0,1] and then onto the ball. The papers leave open: the number of samples per step (16 here), and whether a
random start is made (not here).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field

from rs.ascent import pgd, random_in_ball

if TYPE_CHECKING:
    from torch import Tensor

    from rs.smoothing import Smoothed


@dataclass(frozen=True)
class PgdL2:
    """PGD in an l2 ball: steps of length `relative_step` * radius / `steps`, each on `samples` noises."""

    source: ClassVar[str] = "Madry et al., ICLR 2018; on smoothed classifiers Salman et al., NeurIPS 2019"
    norm: ClassVar[float] = 2.0

    steps: Annotated[int, Field(ge=1)] = 20
    samples: Annotated[int, Field(ge=1)] = 16
    relative_step: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
    loss: Literal["soft", "mean"] = "soft"
    random_start: bool = False

    def propose(self, smoothed: Smoothed, x: Tensor, y: Tensor, radii: Sequence[float]) -> Tensor:
        """Attacked images [R, B, C, H, W], inside ball and box; radius 0 gives x itself."""
        return torch.stack([self._attack(smoothed, x, y, radius) if radius > 0 else x for radius in radii])

    def _attack(self, smoothed: Smoothed, x: Tensor, y: Tensor, radius: float) -> Tensor:
        smoothed.restart()
        start = None
        if self.random_start:
            start = torch.stack([random_in_ball(x.shape[1:], radius, g) for g in smoothed.generators])
        objective = smoothed.soft_loss if self.loss == "soft" else smoothed.mean_loss
        step = self.relative_step * radius / self.steps
        return pgd(lambda at: objective(at, y, self.samples), x, radius, self.steps, step, start=start)
