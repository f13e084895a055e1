"""ADRE's attack (Feng et al., AAAI 2020, eq. 12 and 13): l2 PGD that drives the smoothed probability of the
label down and that of the strongest other class up.

It ascends -log G_y + lambda log max_{c != y} G_c, where G is the mean softmax over the noise samples (eq. 8).
The second term is at most 0, so it cannot diverge. As published, the attack makes M = `steps` steps of length
2 epsilon/M, with the same noise in every step (`redraw: false`). The paper trains with M = 2 and k = 8
(CIFAR-10) or M = 1 and k = 1 (ImageNet), at a lambda that it does not state; the defaults here are for
evaluation: 20 steps and 16 samples. Both terms are computed in log space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from torch.nn import functional as F

from rs.methods.attacks.balls import ascend_in_balls
from rs.settings.limits import NonNegative, Positive, Samples, Steps
from rs.settings.passes import Passes
from rs.smoothing.ascent import Loss
from rs.smoothing.smoothed import evaluation_mode, noisy_logits, soft_mean

if TYPE_CHECKING:
    from torch import Tensor

    from rs.methods.interfaces import Proposed
    from rs.smoothing.smoothed import Smoothed


@dataclass(frozen=True)
class AdrePgd:
    """l2 PGD on the label's loss minus `lambda` times that of the strongest other class."""

    source: ClassVar[str] = "ADRE, Feng et al., AAAI 2020, eq. (12)"
    norm: ClassVar[float] = 2.0
    access: ClassVar[str] = "white-box"
    passes: ClassVar[Passes] = {"ascent": (("radii", "steps"), "samples")}

    lambda_: Annotated[NonNegative, Field(alias="lambda")] = 0.1
    steps: Steps = 20
    samples: Samples = 16
    relative_step: Positive = 2.0
    redraw: bool = False

    def at_radii(self, smoothed: Smoothed, x: Tensor, y: Tensor, radii: Sequence[float]) -> Proposed:
        def prepare() -> Loss:
            kept = None if self.redraw else smoothed.noise_like(x, self.samples)

            def loss(at: Tensor) -> Tensor:
                z = smoothed.noise_like(x, self.samples) if kept is None else kept
                with evaluation_mode(smoothed.model):
                    log_g = soft_mean(noisy_logits(smoothed.model, at, z), z.shape[1])
                others = log_g.masked_fill(F.one_hot(y, log_g.shape[1]).bool(), -float("inf"))
                return F.nll_loss(log_g, y, reduction="none") + self.lambda_ * others.amax(1)

            return loss

        return ascend_in_balls(prepare, smoothed, x, radii, self.norm, self.steps, self.relative_step)
