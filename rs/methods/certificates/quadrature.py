"""Expectations over a chi law of functions with known kinks, for the likelihood ratios of the Soap Bubbles
families.

Everything is at sigma = 1. Let a = |z|^2 and, after a shift of length r, a' = |z - delta|^2 (l2 norms for
`spherical`, sup-norms for `sup_norm`). Then log q(z - delta) / q(z) = -(k / 2) log(a' / a) - (a' - a) / 2.
Given R = |z|, the distribution function of this ratio at a threshold, as a function of R, has kinks (or
jumps) only where a' = (R - r)^2 or (R + r)^2 gives the threshold itself: at most five points, found by
bisection between the extrema of the ratio. Between them tanh-sinh quadrature in log R converges
geometrically; the tests bound its error against mpmath.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

_H = 0.055
_U = np.arange(-57, 58) * _H
_PLACE = 1 / (1 + np.exp(-np.pi * np.sinh(_U)))  # nodes on (0, 1)
_WEIGHT = _H * np.pi * np.cosh(_U) * _PLACE / (1 + np.exp(np.pi * np.sinh(_U)))


def decrease(a: Floats, t: Floats, k: float) -> Floats:
    """w with log ratio = t at a' = a (1 - w): the root of a w - k log(1 - w) = 2 t, relatively accurate."""
    if k == 0:
        return 2 * t / a
    x = (a - 2 * t) / k + np.log(a / k)
    w: Floats = np.minimum(1 - k * special.wrightomega(x) / a, 1 - 1e-16)
    # the closed form has absolute accuracy only; two Newton steps give the digits of a small root
    for _ in range(2):
        step = (a * w - k * np.log1p(-w) - 2 * t) / (a + k / (1 - w))
        w = np.minimum(w - step, 1 - 1e-16)
    return w


def along(R: Floats, r: Floats, k: float, sign: int) -> Floats:
    """The log ratio where |z - delta| = |R - sign r|."""
    with np.errstate(divide="ignore"):
        pole = -k * np.log(np.abs(1 - sign * r / R)) if k else 0.0
    return np.asarray(pole + sign * r * R - r * r / 2)


def chi_range(freedom: float) -> Floats:
    """log R at the quantiles that bound the integral's panels; 1e-30 of the mass lies beyond either end."""
    # a law with few degrees of freedom has a long left tail in log R, which gets a panel of its own
    inner = np.sqrt(
        2 * special.gammaincinv(freedom / 2, [1e-30, 1e-12, 1e-3] if freedom < 20 else [1e-30, 0.5])
    )
    outer = np.sqrt(2 * special.gammainccinv(freedom / 2, 1e-30))
    return np.log(np.maximum(np.append(inner, outer), 1e-140))  # type: ignore[no-any-return]


def _kinks(r: Floats, t: Floats, k: float, low: float, high: float) -> Floats:
    """log R of the kinks [5, rows]; `low` where there is none."""
    root = np.sqrt(r * r + 4 * k)
    least, most = np.log((r + root) / 2), np.log(np.maximum((root - r) / 2, 1e-300))
    shift, bottom, top = np.log(r), np.full_like(r, low), np.full_like(r, high)
    brackets = [(1, bottom, shift), (1, shift, least), (1, least, top), (-1, bottom, most), (-1, most, top)]
    found = []
    for sign, start, stop in brackets:
        a, b = (np.clip(end, low, high) for end in (start, stop))
        value_a = along(np.exp(a), r, k, sign) > t
        there = value_a != (along(np.exp(b), r, k, sign) > t)
        for _ in range(55):
            middle = (a + b) / 2
            same = (along(np.exp(middle), r, k, sign) > t) == value_a
            a, b = np.where(same, middle, a), np.where(same, b, middle)
        found.append(np.where(there, (a + b) / 2, low))
    return np.array(found)


def expect(
    conditional: Callable[[Floats, Floats, Floats], tuple[Floats, Floats]],
    r: Floats,
    t: Floats,
    freedom: float,
    k: float,
) -> tuple[Floats, Floats]:
    """E of both parts of `conditional(R, r, t)` over R ~ chi(freedom), for rows of r > 0 and thresholds t."""
    fixed = chi_range(freedom)
    low, high = fixed[0], fixed[-1]
    everywhere = np.tile(fixed[:, None], len(r))
    breaks = np.sort(np.concatenate([everywhere, _kinks(r, t, k, low, high)]), axis=0)
    width = np.diff(breaks, axis=0)
    panel, row = np.nonzero(width > 1e-14)
    norm = (freedom / 2 - 1) * np.log(2) + special.gammaln(freedom / 2)
    sums = np.zeros((2, len(r)))
    for part in np.array_split(np.arange(len(row)), max(1, len(row) // 4000)):
        i, j = row[part], panel[part]
        log_r = breaks[j, i][:, None] + width[j, i][:, None] * _PLACE
        R = np.exp(log_r)
        weight = np.exp(freedom * log_r - R * R / 2 - norm) * width[j, i][:, None] * _WEIGHT
        for which, value in enumerate(conditional(R, r[i][:, None], t[i][:, None])):
            sums[which] += np.bincount(i, (weight * value).sum(1), minlength=len(r))
    return sums[0], sums[1]
