"""Sup-norm noise q(z) ~ |z|_inf^-k exp(-|z|_inf^2 / (2 sigma^2)) (Soap Bubbles eq. 10), for linf balls.

|z|_inf is sigma times a chi variable with d - k degrees of freedom. It is independent of z / |z|_inf, which
is uniform on the surface of the cube: one coordinate, uniformly chosen, is +1 or -1, and the others are
uniform on [-1, 1]. `match: mean` makes E|z|_2 equal to that of N(0, sigma^2 I). The paper's own match, of the
mode of |z|_2 in the other two families, would enlarge this noise by sqrt(d), so it is not offered.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from scipy import special
from torch import Generator, Tensor

from rs.methods.noise.radial import check_k, chi_mean, chi_table, draw
from rs.settings.limits import Freedom, Level


@functools.lru_cache(maxsize=16)
def cube_surface_mean(d: int) -> float:
    """E|v|_2, v uniform on the cube's surface: sqrt(s) = int (1 - e^(-ts)) t^(-3/2) dt / (2 sqrt(pi))."""
    log_t = np.arange(
        -80.0, 80.0, 0.05
    )  # the trapezium rule on a smooth integrand that dies off at both ends
    t = np.exp(log_t)
    small = np.minimum(t, 1e-3)
    series = small * (-1 / 3 + small * (2 / 45 - 0.00282186949 * small))  # log of the mean of exp(-t u^2)
    closed = np.log(np.sqrt(np.pi) / 2 * special.erf(np.sqrt(t)) / np.sqrt(t))
    log_mean = -t + (d - 1) * np.where(t < 1e-3, series, closed)
    return float(np.sum(-np.expm1(log_mean) / np.sqrt(t)) * 0.05 / (2 * np.sqrt(np.pi)))


@dataclass(frozen=True)
class SupNorm:
    """`sigma` in image units, the scale of |z|_inf / sqrt(d - k); `k` < d."""

    source: ClassVar[str] = "Soap Bubbles (ICLR 2020 submission), eq. (10)"
    below_dimension: ClassVar[tuple[str, ...]] = ("k",)

    sigma: Level
    k: Freedom = 0.0
    match: Literal["none", "mean"] = "none"

    def scale(self, d: int) -> float:
        """The sigma of the density in d dimensions."""
        check_k("sup_norm", self.k, d)
        if self.match == "none":
            return self.sigma
        return self.sigma * chi_mean(d) / (chi_mean(d - self.k) * cube_surface_mean(d))

    def sample(self, shape: Sequence[int], generator: Generator) -> Tensor:
        n, d = shape[0], math.prod(shape[1:])
        norm = (self.scale(d) * draw(chi_table(d - self.k), n, generator)).float().unsqueeze(1)
        z = torch.rand((n, d), generator=generator, device=generator.device).mul_(2).sub_(1)
        where = torch.randint(d, (n, 1), generator=generator, device=generator.device)
        sign = torch.randint(2, (n, 1), generator=generator, device=generator.device).mul_(2).sub_(1)
        return z.scatter_(1, where, sign.float()).mul_(norm).view(tuple(shape))

    def log_ratio(self, noise: Tensor, shift: Tensor) -> Tensor:
        """log q(z - shift) / q(z) per row of `noise` [B, ...]; float64 [B]."""
        z, s = noise.double().flatten(1), shift.double().reshape(1, -1)
        before, after = z.abs().amax(1), (z - s).abs().amax(1)
        ratio = (before - after) * (before + after) / (2 * self.scale(z.shape[1]) ** 2)
        return ratio - self.k * torch.log(after / before) if self.k else ratio
