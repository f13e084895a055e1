"""Mean squared error of a denoiser D (Salman et al., "Denoised Smoothing", NeurIPS 2020): with z the noise

  L = mean_j ||D(x + z_j) - x||_2^2 / d

for images of d coordinates. No classifier takes part, so one denoiser serves any. Departures: the paper sums
over the coordinates; here the loss is their mean, so that a learning rate does not depend on the image size.
There are `samples` noisy copies of each image (1 in the paper).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch.nn import functional as F

from rs.settings.limits import Samples
from rs.settings.passes import Passes
from rs.smoothing.smoothed import noisy_copies

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class DenoiserMse:
    """Mean squared error between denoised and clean image, over `samples` draws of noise per image."""

    source: ClassVar[str] = "Salman, Sun, Yang, Kapoor & Kolter, NeurIPS 2020"
    output: ClassVar[str] = "image"
    passes: ClassVar[Passes] = {"update": (1, "samples")}

    samples: Samples = 1

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        denoised = model(noisy_copies(x, noise, self.samples, generator))
        loss = F.mse_loss(denoised, x.repeat_interleave(self.samples, 0))
        return loss, {"squared_error": loss.detach()}
