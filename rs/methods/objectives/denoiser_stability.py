"""Stability objective of a denoiser D (Salman et al., "Denoised Smoothing", NeurIPS 2020): the frozen
classifier F should predict for the denoised image what it predicts for the clean one. With z the noise

  L = mean_j CE(F(D(x + z_j)), argmax F(x)),

so labels play no part, and D also learns to preserve the classifier's errors. Interpretation: the target is
the class, not the softmax. F stays in evaluation mode and in float32 whatever the training's precision.
Departures: D is trained from fresh weights (the paper also starts from those of the squared error); there are
`samples` noisy copies of each image (1 in the paper).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F

from rs.settings.limits import Samples
from rs.settings.passes import Passes
from rs.settings.references import NetworkOf
from rs.smoothing.smoothed import noisy_copies

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.noise import Noise


@dataclass(frozen=True)
class DenoiserStability:
    """Cross-entropy of the run `classifier` on the denoised image, with its class of the clean image as
    target.
    """

    source: ClassVar[str] = "Salman, Sun, Yang, Kapoor & Kolter, NeurIPS 2020"
    output: ClassVar[str] = "image"
    networks: ClassVar[dict[str, str]] = {"classifier": "logits"}
    passes: ClassVar[Passes] = {"update": (1, "samples")}  # of the denoiser; the classifier's are not counted

    classifier: NetworkOf
    samples: Samples = 1

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if isinstance(self.classifier, str):
            raise TypeError(f"classifier still refers to run {self.classifier!r}, which has no network yet")
        with torch.no_grad():
            seen = self.classifier(x).argmax(1)
        logits = self.classifier(model(noisy_copies(x, noise, self.samples, generator)))
        loss = F.cross_entropy(logits, seen.repeat_interleave(self.samples))
        agreement = (logits.detach().argmax(1) == seen.repeat_interleave(self.samples)).float().mean()
        return loss, {"cross_entropy": loss.detach(), "agreement": agreement}
