"""Square attack (Andriushchenko et al., ECCV 2020) of the Adversarial Robustness Toolbox: random search with
shrinking squares, without gradients.

Each query sees the mean softmax over fresh noise. A white-box attack that does worse than this one suffers
from masked gradients. The toolbox makes three queries per iteration (verdict, old and new margin). Departure:
200 iterations by default, where the original makes up to 10,000. An image that survives so few may still fall
to a white-box attack. The l2 variant is not offered: version 1.20 divides a new square by the norm that it
should be scaled to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from rs.errors import UserError
from rs.methods.attacks.toolbox import propose, require
from rs.settings.limits import Samples, Steps
from rs.settings.passes import Passes

if TYPE_CHECKING:
    from torch import Tensor

    from rs.methods.interfaces import Proposed
    from rs.smoothing.smoothed import Smoothed


@dataclass(frozen=True)
class SquareLinf:
    """Random squares in an l-infinity ball: at most `steps` iterations on `samples` noises."""

    source: ClassVar[str] = "Andriushchenko et al., ECCV 2020 (Adversarial Robustness Toolbox)"
    norm: ClassVar[float] = math.inf
    access: ClassVar[str] = "gradient-free"
    keeps_broken: ClassVar[bool] = True
    passes: ClassVar[Passes] = {"forward": (("radii", 3, "steps"), "samples")}

    steps: Steps = 200
    samples: Samples = 16
    initial_share: Annotated[float, Field(gt=0, lt=1)] = 0.8

    def at_radii(self, smoothed: Smoothed, x: Tensor, y: Tensor, radii: Sequence[float]) -> Proposed:
        require("square_linf")
        height, width = x.shape[2:]
        if round(math.sqrt(self.initial_share * height * width)) >= min(height, width):
            advice = f"images of {height}x{width} are too small for initial_share {self.initial_share:g}"
            raise UserError(f"attack square_linf: {advice}: the first square must fit into them")

        def generate(classifier: Any, image: np.ndarray, label: np.ndarray, radius: float) -> np.ndarray:
            from art.attacks.evasion import SquareAttack

            settings: dict[str, Any] = {"norm": np.inf, "eps": radius}
            settings |= {"max_iter": self.steps, "p_init": self.initial_share, "verbose": False}
            found: np.ndarray = SquareAttack(classifier, **settings).generate(image, label)
            return found

        return propose(smoothed, x, y, radii, self.samples, generate)
