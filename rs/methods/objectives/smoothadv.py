"""SmoothAdv (Salman et al., NeurIPS 2019, eq. 6 and section 3): adversarial training of the smoothed
classifier, with its PGD or its DDN attack.

x' maximises -log mean_j softmax(x' + z_j)_y over ||x' - x||_2 <= epsilon and [0,1]^d by PGD with unit-norm
gradients; then the weights minimise the mean over j of the cross-entropy at x' + z_j. As published, the same
noise serves every step and the update (`redraw: true` draws afresh each time), the projection is box before
ball, and the step is 2 epsilon/K. NAL's Table 3 has the step epsilon/2, which is the same at its K = 4.

`attack: ddn` takes the closest adversarial image that DDN (Rony et al., CVPR 2019) finds on the same loss,
from the initial norm epsilon, projected onto the ball; x itself where there is none. An image is adversarial
when the most frequent class among its m noisy copies (in a tie, one of these classes) is not y.

Departures: the released code trains on all m noisy copies only with its flag `train-multi-noise`, which is
what this does; otherwise it uses one of them, on batches m times smaller. Its epsilon is divided by 256 where
the paper divides by 255 (here epsilon is in [0,1] units), and its DDN rounds images to 8 bits. A zero
gradient takes no step; there, a random one. The warm-up grows epsilon linearly from 0 with the share of the
training done; there, once per epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field
from torch.nn import functional as F

from rs.methods.objectives.epsilon import Epsilon, epsilon_now
from rs.settings.limits import Positive, Samples, Steps
from rs.settings.passes import Passes
from rs.smoothing.ascent import ddn, l2_norm, pgd
from rs.smoothing.smoothed import (
    add_noise,
    draw_noise,
    evaluation_mode,
    mean_cross_entropy,
    soft_loss,
    soft_mean,
)

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class SmoothAdv:
    """Attacks the soft smoothed loss in an l2 ball; a PGD step is `relative_step` * epsilon / `steps` long.

    `epsilon` is a number or the calibrated epsilon of another run. `warmup` is the share of the training over
    which it grows from 0. `ddn_gamma` is the share by which a DDN step changes the norm.
    """

    source: ClassVar[str] = "Salman et al., NeurIPS 2019"
    passes: ClassVar[Passes] = {"ascent": ("steps", "samples"), "update": (1, "samples")}

    epsilon: Epsilon
    steps: Steps = 10
    samples: Samples = 1
    relative_step: Positive = 2.0
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.0
    redraw: bool = False
    attack: Literal["pgd", "ddn"] = "pgd"
    ddn_gamma: Annotated[float, Field(gt=0, lt=1)] = 0.05

    def phase(self, progress: float) -> float:
        """The radius of the ball."""
        return epsilon_now(self.epsilon, progress, self.warmup)

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        epsilon = self.phase(progress)
        z = draw_noise(x, noise, self.samples, generator)

        def draw() -> Tensor:
            return draw_noise(x, noise, self.samples, generator) if self.redraw else z

        def judged(at: Tensor) -> tuple[Tensor, Tensor]:
            logits = model(add_noise(at, draw()))
            votes = F.one_hot(logits.argmax(1), logits.shape[1]).unflatten(0, (-1, self.samples)).sum(1)
            loss = F.nll_loss(soft_mean(logits, self.samples), y, reduction="none")
            return loss, votes.argmax(1) != y

        worst = x
        if epsilon > 0:
            with evaluation_mode(model):
                if self.attack == "pgd":
                    step = self.relative_step * epsilon / self.steps
                    worst = pgd(lambda at: soft_loss(model, at, draw(), y), x, epsilon, self.steps, step)
                else:
                    worst, _ = ddn(judged, x, self.steps, epsilon, epsilon, self.ddn_gamma)
        loss = mean_cross_entropy(model, worst, draw(), y).mean()
        return loss, {"cross_entropy": loss.detach(), "distance": l2_norm(worst - x).mean()}
