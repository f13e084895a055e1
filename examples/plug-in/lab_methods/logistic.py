"""Logistic noise: independent coordinates with density sech^2(z / 2 scale) / (4 scale)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional

from rs.settings.limits import Level


@dataclass(frozen=True)
class Logistic:
    """`scale` in image units; every coordinate has standard deviation pi scale / sqrt(3)."""

    source: ClassVar[str] = "the logistic distribution"
    family: ClassVar[str] = "logistic"  # its name in a study, by which certificates know it

    scale: Level

    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor:
        u = torch.rand(tuple(shape), generator=generator, device=generator.device).clamp_(1e-7, 1 - 1e-7)
        return u.logit_().mul_(self.scale)

    def log_ratio(self, noise: Tensor, shift: Tensor) -> Tensor:
        """log q(z - shift) / q(z) per row of `noise`; float64 [B]. log q(z) = -|z| - 2 softplus(-|z|)."""
        z = noise.double().flatten(1) / self.scale
        moved = z - shift.double().reshape(1, -1) / self.scale
        log_density = [-v.abs() - 2 * functional.softplus(-v.abs()) for v in (moved, z)]
        return (log_density[0] - log_density[1]).sum(1)
