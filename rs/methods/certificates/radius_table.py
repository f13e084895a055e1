"""Radius as a function of the lower bound of p_A for families whose likelihood ratio has an exact law, at
sigma = 1.

A radius r is certified where max over lambda of lambda p - D(lambda q || q_delta) > 1/2 (Soap Bubbles Thm.
1). By Neyman-Pearson and antisymmetry (`ratio_laws`) this is p > F(-m) with m the median of T, at lambda =
exp(-m). F(-m) is computed on a geometric grid of r, as x = Phi^-1(F(-m)) from whichever tail is smaller. log
r against log x is close to a straight line (exactly straight for k = 0) and is interpolated by a monotone
cubic. The same cubic on every other point makes an error at the points left out, several times that of the
full cubic. Every radius is moved down by the largest such error plus 1e-9 for quadrature. The tests compare
the result with mpmath.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import interpolate, special
from scipy.optimize import elementwise

from rs.methods.certificates.quadrature import Floats
from rs.methods.certificates.ratio_laws import ExactLaw

_DEEPEST = 8.25  # beyond 8.21, Phi^-1 of the largest probability below 1 in float64
_POINTS = 641


def normal_quantile(odd: Floats, upper: Floats) -> Floats:
    """Phi^-1(p) from p - 1/2 and 1 - p, each accurate where it is small."""
    near = np.sqrt(2) * special.erfinv(np.clip(2 * odd, -0.9, 0.9))
    tail = np.maximum(upper, 1e-300)
    lower = special.ndtri(np.maximum(odd + 0.5, 1e-300))
    return np.where(np.abs(odd) < 0.4, near, np.where(odd < 0, lower, -special.ndtri(tail)))  # type: ignore[no-any-return]


def required_quantile(law: ExactLaw, r: Floats) -> tuple[Floats, Floats]:
    """x with Phi(x) the least p that certifies radius r, and the log of the optimal lambda, per radius."""
    bracket = law.median_bracket(r)
    found = elementwise.find_root(
        lambda t, s: law.distribution(s, t)[0],
        bracket,
        args=(r,),
        tolerances={"xrtol": 1e-13, "xatol": 0.0, "fatol": 2e-16, "frtol": 0.0},
    )
    if np.any(found.status == -1):
        raise ArithmeticError(f"no median of the likelihood ratio for {law}")
    return normal_quantile(*law.distribution(r, -found.x)), -found.x


@dataclass(frozen=True)
class RadiusTable:
    curve: interpolate.PchipInterpolator  # log x -> log r
    lowest: float
    highest: float
    margin: float  # relative, by which every radius is moved down

    def radius(self, q: Floats) -> Floats:
        """Radius at sigma = 1 certified by an upper bound `q` of 1 - p_A; 0 where q >= 1/2."""
        log_x = np.log(np.maximum(-special.ndtri(np.clip(q, 1e-300, 0.5)), 1e-300))
        radius = np.exp(self.curve(np.clip(log_x, self.lowest, self.highest))) * (1 - self.margin)
        return np.where(log_x >= self.lowest, radius, 0.0)


@functools.lru_cache(maxsize=32)
def radius_table(law: ExactLaw) -> RadiusTable:
    def at(r: float) -> float:
        return float(required_quantile(law, np.array([r]))[0][0])

    high = 1.0
    while at(high) < _DEEPEST:
        high *= 2
    low = high / 2
    while at(low) > _DEEPEST:
        low, high = low / 2, low
    for _ in range(6):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if at(middle) > _DEEPEST else (middle, high)
    r = np.geomspace(high * law.smallest, high, _POINTS)
    log_x, log_r = np.log(required_quantile(law, r)[0]), np.log(r)
    if not np.all(np.diff(log_x) > 0):
        raise ArithmeticError(f"the required probability does not grow with the radius for {law}")
    coarse = interpolate.PchipInterpolator(log_x[::2], log_r[::2])
    error = float(np.abs(coarse(log_x) - log_r).max())
    fine = interpolate.PchipInterpolator(log_x, log_r)
    return RadiusTable(fine, float(log_x[0]), float(log_x[-1]), error + 1e-9)
