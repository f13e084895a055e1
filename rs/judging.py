"""What counts as the outcome of an attack: inside ball and box, and judged by the smoothed classifier.

A judged image counts as the majority class of `judge.n` fresh votes in the inference form of the run's draws,
or as what the base classifier says of it without noise (`judge: base`). The judge's noise is seeded per
image: it is the same for every attack and radius.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rs.ascent import l2_norm, project_l2, project_linf
from rs.devices import generator
from rs.inference import InferenceForm
from rs.interfaces import Noise
from rs.spec import AttackUse


def project(clean: Tensor, images: Tensor, radius: float, norm: float) -> Tensor:
    """Onto [0, 1], then onto the ball around the clean images, which cannot leave the box again."""
    shift = images.clamp(0, 1) - clean
    return clean + (project_l2 if norm == 2 else project_linf)(shift, radius)


def size(delta: Tensor, norm: float) -> Tensor:
    """l2 or l-infinity norm of each image of a batch, float64 [B]."""
    return l2_norm(delta.double()) if norm == 2 else delta.double().flatten(1).abs().amax(1)


@dataclass(frozen=True)
class Judge:
    """Decides on one image at a time, so that no image depends on its neighbours."""

    form: InferenceForm
    noise: Noise
    use: AttackUse

    def votes(self, image: Tensor, index: int) -> Tensor:
        """Votes int64 [classes] for an image [C, H, W]; one vote where the base classifier judges."""
        if self.use.judge == "base":
            scores = self.form(image[None])[0]
            return torch.zeros(len(scores), dtype=torch.int64).scatter_(0, scores.argmax(0, True).cpu(), 1)
        draws = generator(self.form.device, self.use.seed, "judge", index)

        def draw(rows: int) -> Tensor:
            return self.noise.sample((rows, *image.shape), draws)

        counts, _, _ = self.form.vote(image, self.use.judge.n, draw)
        return counts.cpu()

    def batch(self, images: Tensor, positions: list[int]) -> Tensor:
        """Votes int64 [B, classes] for images [B, C, H, W] at their positions in the split."""
        return torch.stack([self.votes(*pair) for pair in zip(images, positions, strict=True)])
