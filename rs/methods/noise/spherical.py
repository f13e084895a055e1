"""Spherical noise q(z) ~ |z|_2^-k exp(-|z|_2^2 / (2 sigma^2)) (Soap Bubbles eq. 8), for l2 balls; k = 0 is
Gaussian.

|z|_2 is sigma times a chi variable with d - k degrees of freedom, so E|z|_2^2 = (d - k) sigma^2. It is
independent of the direction, which is uniform. `match` says what the parameter `sigma` is:
- "none": the sigma of the density.
- "paper": the sigma_0 of a Gaussian, with sigma = sqrt((d - 1) / (d - 1 - k)) sigma_0 as the paper sets it.
- "mean": the sigma_0 of the Gaussian that has the same E|z|_2.

Departure: the paper says that its formula matches the mean norm; it matches the mode. With d - k below about
0.2, part of the noise lies below float32's resolution of x + z, so the smoothing as implemented has an atom
at x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from rs.methods.noise.radial import chi_table, draw, matched_scale
from rs.settings.limits import Freedom, Level


@dataclass(frozen=True)
class Spherical:
    """`sigma` in image units; `k` < d moves mass towards the centre, away from the shell that a Gaussian
    fills.
    """

    source: ClassVar[str] = "Soap Bubbles (ICLR 2020 submission), eq. (8)"
    below_dimension: ClassVar[tuple[str, ...]] = ("k",)
    # the paper's formula divides by d - 1 - k
    dimension_less: ClassVar[dict[str, dict[str, int]]] = {"match": {"paper": 1}}

    sigma: Level
    k: Freedom = 0.0
    match: Literal["none", "paper", "mean"] = "none"

    def scale(self, d: int) -> float:
        """The sigma of the density in d dimensions."""
        return matched_scale("spherical", self.sigma, self.k, d, self.match)

    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor:
        d = math.prod(shape[1:])
        scale = self.scale(d)
        z = torch.randn((shape[0], d), generator=generator, device=generator.device)
        radius = scale * draw(chi_table(d - self.k), shape[0], generator)
        z.mul_((radius / torch.linalg.vector_norm(z, dim=1)).float().unsqueeze(1))
        return z.view(tuple(shape))

    def log_ratio(self, noise: Tensor, shift: Tensor) -> Tensor:
        """log q(z - shift) / q(z) per row of `noise` [B, ...]; float64 [B]."""
        z, s = noise.double().flatten(1), shift.double().reshape(1, -1)
        before = z.square().sum(1)
        change = s.square().sum() - 2 * (z * s).sum(1)  # |z - s|^2 - |z|^2 without cancellation
        ratio = -change / (2 * self.scale(z.shape[1]) ** 2)
        return ratio - self.k / 2 * torch.log1p(change / before) if self.k else ratio
