"""Settings of the distributional certificate."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from rs.settings.images import Subset
from rs.settings.limits import Divisor, Gammas, Radii, Samples, Seed, Share, Steps

NOISES = ("gaussian", "none")  # noises that its theorem covers


@dataclass(frozen=True)
class Distributional:
    """NAL's Wasserstein certificate (Thm. 1) beside the worst case found, on `images` of the test set.

    The certificate takes the best of `gammas` at each of `rhos` (E ||x - x_0||^2, without the noise's share;
    by default, up to the farthest point found). Worst cases are those of `attack_gammas` (by default
    `gammas`) and those of PGD in balls of `attack_radii`, which no certificate sees. An ascent takes `steps`,
    each on `samples` noises; the loss at its end is the mean over `estimates` fresh ones. `error_probability`
    is 1 - softmax_y. `clip` bounds the loss by cutting it there. `alpha` is the error rate of rigorous
    bounds.
    """

    gammas: Annotated[Gammas, Field(min_length=1)] = (0.1, 0.25, 0.5, 1, 1.5, 3, 6, 12, 25)
    attack_gammas: Gammas = ()
    attack_radii: Radii = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
    rhos: Radii = ()
    loss: Literal["cross_entropy", "error_probability"] = "cross_entropy"
    clip: Divisor | None = None
    steps: Steps = 15
    samples: Samples = 4
    estimates: Annotated[int, Field(ge=2, le=100_000, multiple_of=2)] = 64
    images: Subset = field(default_factory=lambda: Subset(max=1000))
    seed: Seed = 0
    alpha: Share = 0.001

    @property
    def bound(self) -> float:
        """M: the loss lies in [0, M]."""
        highest = 1.0 if self.loss == "error_probability" else math.inf
        return highest if self.clip is None else min(highest, self.clip)
