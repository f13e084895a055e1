"""l-infinity PGD on the smoothed classifier, as STN (section 6.2) attacks: signs of the gradient averaged
over the noise, projected onto the ball and [0,1].

STN averages the gradients of the base classifier's loss (`loss: mean`, the default); `soft` differentiates
-log of the mean softmax. STN leaves open the number of steps and their length (20 steps of 2 epsilon/K here,
as NAL has them), the number of samples n_0 per step (16 here), and a random start (none here).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from rs.methods.attacks.pgd_l2 import PgdL2


@dataclass(frozen=True)
class PgdLinf(PgdL2):
    """PGD in an l-infinity ball: every coordinate moves by `relative_step` * radius / `steps`."""

    source: ClassVar[str] = "Madry et al., ICLR 2018; with averaged gradients STN, Li et al., NeurIPS 2019"
    norm: ClassVar[float] = math.inf

    loss: Literal["soft", "mean"] = "mean"
