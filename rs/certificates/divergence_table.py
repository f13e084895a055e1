"""What Theorem 1 of Soap Bubbles gives at a grid of radii r and multipliers lambda = exp(t), at sigma = 1.

With the antisymmetry of `ratio_laws`, D(lambda q || q_delta) = lambda F(t) - 1 + F(-t), so the lower bound of
class A's probability after the shift, lambda p_A - D, less 1/2 is exp(t) (P(T > t) - q_A) + 1/2 - F(-t),
where q_A bounds 1 - p_A from above. Its maximum over t is the `score` of q_A: r is certified where the score
is positive (the dual), or where the scores of q_A and of p_B add up to more than 0 (the bilateral condition
of App. D, for whose worst class B the same expression bounds 1/2 less the probability after the shift). Any
grid of t gives a valid bound. So does any larger radius, by monotonicity, and radii are rounded down to the
grid.

Exact laws fill the table by quadrature. Others by Monte Carlo with Clopper-Pearson bounds of P(T <= t) and
P(T <= -t) that hold for the whole grid at once: each has the table's error divided by their number. Grids
come from a pilot sample of its own, so they are fixed before the sample that is counted. The table is made
once per (law, draws, seed): if it fails, which has probability at most `error` over its draws, it fails for
every image that it is used for.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special

from rs.bounds import clopper_pearson_upper
from rs.certificates.quadrature import Floats
from rs.certificates.radius_table import radius_table
from rs.certificates.ratio_laws import ExactLaw, Ratios, SampledLaw

_PILOT = 10_000
_QUANTILES = np.linspace(-2.0, 8.4, 48)  # Phi^-1 of the values of p for which a multiplier is provided
_EXACT_RADII = 128
SAMPLED_RADII = 256


@dataclass(frozen=True)
class DivergenceTable:
    """Arrays [J] and [J, L]: radii r, t = log lambda, lower bounds of P(T > t) and of 1/2 - P(T <= -t)."""

    r: Floats
    t: Floats
    above: Floats
    away: Floats

    def score(self, j: int, q: Floats) -> Floats:
        """Lower bound, per q, of P(class A) - 1/2 at radius r[j]; q [N] bounds 1 - p_A from above."""
        return np.asarray((np.exp(self.t[j]) * (self.above[j] - q[:, None]) + self.away[j]).max(1))

    def allowed(self) -> Floats:
        """Per radius, the q below which the score is positive; nonincreasing in r."""
        q = (self.above + np.exp(-self.t) * self.away).max(1)
        return np.maximum.accumulate(q[::-1])[::-1]

    def radius(self, q: Floats) -> Floats:
        """Largest radius of the grid with a positive score; 0 where there is none."""
        reached = np.searchsorted(-self.allowed(), -q, side="left")
        return np.concatenate([[0.0], self.r])[reached]

    def bilateral(self, q_a: Floats, p_b: Floats) -> Floats:
        """Largest radius of the grid at which the scores of `q_a` and `p_b` add up to more than 0."""
        best = np.zeros(len(q_a))
        for j, r in enumerate(self.r):
            # r[j] increases, so later ones overwrite
            best[self.score(j, q_a) + self.score(j, p_b) > 0] = r
        return best


def multipliers(ratios: Ratios, r: Floats) -> Floats:
    """t [J, L] near the Neyman-Pearson thresholds of p = Phi(_QUANTILES); linear beyond the pilot's reach."""
    levels = _QUANTILES
    x = levels[abs(levels) < 3]
    rows = []
    for radius in r:
        q = np.quantile(ratios(float(radius)), special.ndtr(x))
        beyond = q[-1] + (levels - x[-1]) * (q[-1] - q[-6]) / (x[-1] - x[-6])
        rows.append(np.where(levels <= x[-1], np.interp(levels, x, q), beyond))
    return np.minimum(np.array(rows), 600.0)


def furthest(ratios: Ratios) -> float:
    """A radius at which hardly any pilot draw supports a positive score."""

    def hopeless(r: float) -> bool:
        T = ratios(r)
        return bool(np.mean(-np.median(T) < T) < 2 / len(T))

    high = 1.0
    while not hopeless(high):
        high *= 2
    low = high / 2
    while hopeless(low):
        low, high = low / 2, low
    for _ in range(5):
        middle = (low + high) / 2
        low, high = (low, middle) if hopeless(middle) else (middle, high)
    return high


@functools.lru_cache(maxsize=16)
def exact_table(law: ExactLaw) -> DivergenceTable:
    """By quadrature, on a geometric grid."""
    largest = float(np.exp(radius_table(law).curve(radius_table(law).highest)))
    r = np.geomspace(1e-3 * largest, largest, _EXACT_RADII)
    t = multipliers(law.sample(_PILOT, torch.Generator().manual_seed(1)), r)
    flat_r, flat_t = np.repeat(r, t.shape[1]), t.ravel()
    above = law.distribution(flat_r, flat_t)[1].reshape(t.shape) - 1e-15
    away = -law.distribution(flat_r, -flat_t)[0].reshape(t.shape) - 1e-12
    return DivergenceTable(r, t, above, away)


@functools.lru_cache(maxsize=16)
def _counts(law: SampledLaw, draws: int, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """r [J], t [J, L] from the pilot; how many of `draws` fresh T are at most t, and at most -t, [J, L]."""
    pilot = law.sample(_PILOT, torch.Generator().manual_seed(2 * seed + 1))
    r = furthest(pilot) * np.arange(1, SAMPLED_RADII + 1) / SAMPLED_RADII
    t = multipliers(pilot, r)
    ratios = law.sample(draws, torch.Generator().manual_seed(2 * seed))
    below, beyond = np.zeros(t.shape), np.zeros(t.shape)
    for j, radius in enumerate(r):
        T = np.sort(ratios(float(radius)))
        below[j] = np.searchsorted(T, t[j], side="right")
        beyond[j] = np.searchsorted(T, -t[j], side="right")
    return r, t, below, beyond


def sampled_table(law: SampledLaw, draws: int, seed: int, error: float) -> DivergenceTable:
    """By Monte Carlo; every bound in it holds at once with probability 1 - `error` over its draws."""
    r, t, below, beyond = _counts(law, draws, seed)
    each = error / (2 * t.size)
    return DivergenceTable(
        r,
        t,
        1 - clopper_pearson_upper(below, draws, each),
        0.5 - clopper_pearson_upper(beyond, draws, each),
    )
