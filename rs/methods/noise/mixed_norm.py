"""Mixed-norm noise q(z) ~ |z|_inf^-k exp(-|z|_2^2 / (2 sigma^2)) (Soap Bubbles eq. 9), for linf balls; k = 0
is Gaussian.

Sampler: |z|_inf comes from its one-dimensional law; the coordinate that attains it, and its sign, are
uniform. Every other coordinate has the normal law truncated to [-|z|_inf, |z|_inf]: a normal draw, replaced
by an inverse-transform draw where it falls outside. No vector is ever rejected (the paper rejects). In polar
coordinates |z|_2 is independent of the direction: it is sigma times a chi variable with d - k degrees of
freedom, as under `spherical`. `match` has the same meaning as there (the paper's formula matches the mode of
|z|_2, not its mean as the paper says).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from rs.methods.noise.radial import draw, matched_scale, sup_table
from rs.settings.limits import Freedom, Level


def truncated_normal(bound: Tensor, d: int, generator: Generator) -> Tensor:
    """float32 [B, d]: standard normals truncated to [-bound, bound], `bound` float64 [B]."""
    if float(bound.max()) < 2:
        # Many normal draws would fall outside; without far tails, float32 has enough digits.
        width = torch.erf(bound / math.sqrt(2)).float().unsqueeze(1)
        u = torch.rand((len(bound), d), generator=generator, device=generator.device).mul_(2).sub_(1)
        return u.mul_(width).erfinv_().mul_(math.sqrt(2))
    z = torch.randn((len(bound), d), generator=generator, device=generator.device)
    row, column = (z.abs() > bound.float().unsqueeze(1)).nonzero(as_tuple=True)
    u = (
        torch.rand(len(row), generator=generator, device=generator.device, dtype=torch.float64)
        .mul_(2)
        .sub_(1)
    )
    mass = torch.erf(bound / math.sqrt(2))
    z[row, column] = torch.erfinv(u.mul_(mass[row])).mul_(math.sqrt(2)).float()
    return z


@dataclass(frozen=True)
class MixedNorm:
    """`sigma` in image units; `k` < d."""

    source: ClassVar[str] = "Soap Bubbles (ICLR 2020 submission), eq. (9)"
    below_dimension: ClassVar[tuple[str, ...]] = ("k",)
    # the paper's formula divides by d - 1 - k
    dimension_less: ClassVar[dict[str, dict[str, int]]] = {"match": {"paper": 1}}

    sigma: Level
    k: Freedom = 0.0
    match: Literal["none", "paper", "mean"] = "none"

    def scale(self, d: int) -> float:
        """The sigma of the density in d dimensions."""
        return matched_scale("mixed_norm", self.sigma, self.k, d, self.match)

    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor:
        n, d = shape[0], math.prod(shape[1:])
        scale = self.scale(d)
        norm = draw(sup_table(d, self.k), n, generator)
        z = truncated_normal(norm, d, generator)
        where = torch.randint(d, (n, 1), generator=generator, device=generator.device)
        sign = torch.randint(2, (n,), generator=generator, device=generator.device).mul_(2).sub_(1)
        z.scatter_(1, where, (norm * sign).float().unsqueeze(1))
        return z.mul_(scale).view(tuple(shape))

    def log_ratio(self, noise: Tensor, shift: Tensor) -> Tensor:
        """log q(z - shift) / q(z) per row of `noise` [B, ...]; float64 [B]."""
        z, s = noise.double().flatten(1), shift.double().reshape(1, -1)
        ratio = ((z * s).sum(1) - s.square().sum() / 2) / self.scale(z.shape[1]) ** 2
        if not self.k:
            return ratio
        return ratio - self.k * torch.log((z - s).abs().amax(1) / z.abs().amax(1))
