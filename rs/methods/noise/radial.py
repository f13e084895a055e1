"""Laws of a norm of the noise, drawn by inverse transform, and the scale that matches a Gaussian's norm.

For the families of Soap Bubbles, the norm m has a density that is log-concave in t = log m. The distribution
function is tabulated on knots at equal steps of the square root of the drop of the log-density, so that one
table fits a chi law with 10^-2 or 10^5 degrees of freedom. Between knots the inverse is linear. Its error is
below 1e-6 standard deviations, less than the resolution of the float32 noise that it scales. Mass beyond the
knots is below 1e-21.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from scipy import special
from torch import Generator, Tensor

from rs.errors import UserError

_DROP = 7.0  # square root of the largest drop of the log-density
_KNOTS = 32_001


def log_concave_table(log_density: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(distribution function, t) on knots, for an unnormalised log-density of t that is concave."""
    low, high = -1e4, 12.0
    for _ in range(200):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        if log_density(np.array(a)) < log_density(np.array(b)):
            low = a
        else:
            high = b
    mode = (low + high) / 2
    top = float(log_density(np.array(mode)))
    root_drop = np.linspace(-_DROP, _DROP, _KNOTS)
    side = np.sign(root_drop)
    reach = np.full(_KNOTS, 1e-6)
    while np.any(short := log_density(mode + side * reach) > top - root_drop**2):
        if not np.any(short & (side != 0)):
            break
        reach = np.where(short, 2 * reach, reach)
    near, far = np.zeros(_KNOTS), reach
    for _ in range(60):
        middle = (near + far) / 2
        inside = log_density(mode + side * middle) > top - root_drop**2
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    t = mode + side * far
    density = np.exp(np.minimum(log_density(t) - top, 0.0))
    # trapezium on steps over which the density changes by at most 1 %
    cdf = np.concatenate([[0.0], np.cumsum(np.diff(t) * (density[1:] + density[:-1]) / 2)])
    return cdf / cdf[-1], t


def draw(table: tuple[np.ndarray, np.ndarray], n: int, generator: Generator) -> Tensor:
    """n values of m = exp(t); float64 [n] on the generator's device."""
    cdf, t = (torch.from_numpy(a).to(generator.device) for a in table)
    u = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
    right = torch.searchsorted(cdf, u, right=True).clamp_(1, len(cdf) - 1)
    left = right - 1
    step = (cdf[right] - cdf[left]).clamp_min_(torch.finfo(torch.float64).tiny)
    return (t[left] + (t[right] - t[left]) * ((u - cdf[left]) / step).clamp_(0, 1)).exp_()


@functools.lru_cache(maxsize=16)
def chi_table(freedom: float) -> tuple[np.ndarray, np.ndarray]:
    """Chi law with `freedom` > 0 degrees of freedom, not necessarily whole."""
    return log_concave_table(lambda t: freedom * t - np.exp(2 * t) / 2)


@functools.lru_cache(maxsize=16)
def sup_table(d: int, k: float) -> tuple[np.ndarray, np.ndarray]:
    """|z|_inf under q(z) ~ |z|_inf^-k exp(-|z|_2^2 / 2): density ~ m^-k phi(m) (2 Phi(m) - 1)^(d-1)."""

    def log_density(t: np.ndarray) -> np.ndarray:
        x = np.exp(np.clip(t, -30, None)) / np.sqrt(2)
        # log erf(x): the leading term where x is tiny, no cancellation where erf is close to 1
        middle = np.where(x < 1, np.log(special.erf(x)), np.log1p(-special.erfc(np.maximum(x, 1))))
        log_erf = np.where(t < -30, t + 0.5 * np.log(2 / np.pi), middle)
        return (1 - k) * t - np.exp(2 * t) / 2 + (d - 1) * log_erf  # type: ignore[no-any-return]

    return log_concave_table(log_density)


def chi_mean(freedom: float) -> float:
    """Mean of the chi law: sqrt(2) Gamma((f + 1) / 2) / Gamma(f / 2)."""
    return float(np.sqrt(2) * special.poch(freedom / 2, 0.5))


def check_k(name: str, k: float, d: int) -> None:
    if not k < d:
        raise UserError(f"{name}: k = {k:g} must be less than the number of input coordinates, {d}")


def matched_scale(name: str, sigma: float, k: float, d: int, match: str) -> float:
    """The sigma of the density of `spherical` or `mixed_norm` in d dimensions.

    With `match` "none", `sigma` itself. With "paper", sqrt((d - 1) / (d - 1 - k)) sigma: the mode of |z|_2 is
    that of N(0, sigma^2 I). With "mean", the mean of |z|_2 is.
    """
    check_k(name, k, d)
    if match == "none":
        return sigma
    if match == "mean":
        return sigma * (chi_mean(d) / chi_mean(d - k))
    if not k < d - 1:
        raise UserError(f"{name}: match paper needs k < d - 1 = {d - 1}, not {k:g}")
    return sigma * float(np.sqrt((d - 1) / (d - 1 - k)))
