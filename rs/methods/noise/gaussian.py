"""Isotropic Gaussian noise N(0, sigma^2 I) (Cohen, Rosenfeld & Kolter, ICML 2019). sigma = 0 is no noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from rs.settings.limits import Level


@dataclass(frozen=True)
class Gaussian:
    """Independent normal noise on every coordinate; `sigma` in image units ([0, 1])."""

    source: ClassVar[str] = "Cohen, Rosenfeld & Kolter, ICML 2019"
    free_norm: ClassVar[float] = 2

    sigma: Literal[0] | Level

    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor:
        return torch.randn(tuple(shape), generator=generator, device=generator.device).mul_(self.sigma)

    def log_ratio(self, noise: Tensor, shift: Tensor) -> Tensor:
        """log q(z - shift) / q(z) = (<z, shift> - |shift|^2 / 2) / sigma^2, one per row of `noise`."""
        z, s = noise.double().flatten(1), shift.double().reshape(1, -1)
        return ((z * s).sum(1) - s.square().sum() / 2) / self.sigma**2
