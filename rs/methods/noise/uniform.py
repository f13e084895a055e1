"""Uniform noise on the cube [-width, width]^d (Lee, Yuan, Chang & Jaakkola, NeurIPS 2019, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from rs.settings.limits import Level


@dataclass(frozen=True)
class Uniform:
    """`width`, half the side of the cube, in image units; a coordinate's deviation is width / sqrt(3)."""

    source: ClassVar[str] = "Lee, Yuan, Chang & Jaakkola, NeurIPS 2019"

    width: Level

    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor:
        z = torch.rand(tuple(shape), generator=generator, device=generator.device)
        return z.sub_(0.5).mul_(2 * self.width)

    def log_ratio(self, noise: Tensor, shift: Tensor) -> Tensor:
        """log q(z - shift) / q(z) per row of `noise`: 0, or -inf outside the moved cube; float64 [B]."""
        z, s = noise.double().flatten(1), shift.double().reshape(1, -1)
        inside = ((z - s).abs() <= self.width).all(1)
        return torch.where(inside, 0.0, -torch.inf).double()
