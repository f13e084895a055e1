"""l-infinity PGD on the smoothed classifier, as STN (section 6.2) attacks: it steps along the signs of the
gradient averaged over the noise and projects onto the ball and [0,1].

STN averages the gradients of the base classifier's loss (`loss: mean`, the default); `soft` differentiates
-log of the mean softmax. STN leaves open: number and length of the steps (here 20 steps of 2 epsilon/K, as in
NAL), the number n_0 of samples per step (here 16), and a random start (here none).
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
