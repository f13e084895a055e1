"""Laplace noise: independent coordinates with density exp(-|z| / scale) / (2 scale) (STN Theorem 3, for l1
balls).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from rs.settings.limits import Level


@dataclass(frozen=True)
class Laplace:
    """`scale` in image units; every coordinate has standard deviation sqrt(2) scale."""

    source: ClassVar[str] = "Li, Chen, Wang & Carin (STN), NeurIPS 2019, Theorem 3"
    free_norm: ClassVar[float] = 1

    scale: Level

    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor:
        # the difference of two exponential variables -log(1 - u): values near 0 are not coarse
        z = torch.rand(tuple(shape), generator=generator, device=generator.device).neg_().add_(1)
        z.div_(torch.rand(tuple(shape), generator=generator, device=generator.device).neg_().add_(1))
        return z.log_().mul_(self.scale)

    def log_ratio(self, noise: Tensor, shift: Tensor) -> Tensor:
        """log q(z - shift) / q(z) = sum(|z| - |z - shift|) / scale per row of `noise`; float64 [B]."""
        z, s = noise.double().flatten(1), shift.double().reshape(1, -1)
        return (z.abs() - (z - s).abs()).sum(1) / self.scale
