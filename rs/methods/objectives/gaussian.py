"""Training under noise (Cohen, Rosenfeld & Kolter, ICML 2019, section 3.3): cross-entropy at x + z.

Departures: none with one noise sample per image; `samples` averages the loss over more, in one forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rs.settings.limits import Samples
from rs.settings.passes import Passes
from rs.smoothing.smoothed import draw_noise, mean_cross_entropy

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class GaussianTraining:
    """Cross-entropy under noise of any family, averaged over `samples` draws per image."""

    source: ClassVar[str] = "Cohen, Rosenfeld & Kolter, ICML 2019"
    passes: ClassVar[Passes] = {"update": (1, "samples")}

    samples: Samples = 1

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss = mean_cross_entropy(model, x, draw_noise(x, noise, self.samples, generator), y).mean()
        return loss, {"cross_entropy": loss.detach()}
