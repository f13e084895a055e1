"""AutoAttack's version for randomised defences (Croce & Hein, ICML 2020): APGD of the Adversarial Robustness
Toolbox on cross-entropy and, where that fails, on the difference of logits ratio.

Settings are those of the authors' version: gradients averaged over 20 noise samples, 100 steps, one start,
first step 2 epsilon; an image broken at a smaller radius is not attacked again. Logits are the log of the
mean softmax. Departure: the toolbox starts at a random point of the ball.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rs.methods.attacks.toolbox import propose, require
from rs.settings.limits import Samples, Steps
from rs.settings.passes import Passes

if TYPE_CHECKING:
    from torch import Tensor

    from rs.methods.interfaces import Proposed
    from rs.smoothing.smoothed import Smoothed

_LOSSES = ("cross_entropy", "difference_logits_ratio")


@dataclass(frozen=True)
class AutoAttackLinf:
    """APGD in an l-infinity ball on two losses, `steps` each, gradients averaged over `samples` noises."""

    source: ClassVar[str] = "Croce & Hein, ICML 2020, version rand (Adversarial Robustness Toolbox)"
    norm: ClassVar[float] = math.inf
    access: ClassVar[str] = "white-box"
    keeps_broken: ClassVar[bool] = True
    passes: ClassVar[Passes] = {
        "ascent": (("radii", 2, "steps"), "samples"),
        "forward": (("radii", 2, "steps"), "samples"),
    }

    steps: Steps = 100
    samples: Samples = 20

    def at_radii(self, smoothed: Smoothed, x: Tensor, y: Tensor, radii: Sequence[float]) -> Proposed:
        require("autoattack")

        def generate(classifier: Any, image: np.ndarray, label: np.ndarray, radius: float) -> np.ndarray:
            from art.attacks.evasion import AutoProjectedGradientDescent

            settings: dict[str, Any] = {"norm": 2 if self.norm == 2 else np.inf, "eps": radius}
            settings |= {"eps_step": 2 * radius, "max_iter": self.steps, "nb_random_init": 1}
            found = image
            for loss in (
                _LOSSES if classifier.nb_classes > 2 else _LOSSES[:1]
            ):  # the ratio needs a third class
                attack = AutoProjectedGradientDescent(classifier, **settings, loss_type=loss, verbose=False)
                found = attack.generate(image, label)
                if classifier.predict(found).argmax(1) != label.argmax(1):
                    break
            return found

        return propose(smoothed, x, y, radii, self.samples, generate)


@dataclass(frozen=True)
class AutoAttackL2(AutoAttackLinf):
    """APGD in an l2 ball on two losses."""

    norm: ClassVar[float] = 2.0
