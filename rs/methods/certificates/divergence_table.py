"""Theorem 1 of Soap Bubbles on a grid of radii r and multipliers lambda = exp(t), at sigma = 1.

Let q_A bound 1 - p_A from above. Theorem 1 bounds class A's probability after the shift from below by lambda
p_A - D. By the antisymmetry of `ratio_laws`, D(lambda q || q_delta) = lambda F(t) - 1 + F(-t), so this bound
minus 1/2 is m(t) - lambda q_A with the `margin`

  m(t) = lambda P(T > t) + 1/2 - P(T <= -t) = E min(lambda e^T, 1) - 1/2

(lambda - D = int min(lambda q, q_delta), an expectation under q_delta, where T has the law of -T under q).
The maximum over t is the `score` of q_A. A radius is certified where the score is positive (the dual), or
where the scores of q_A and p_B add up to more than 0. The latter is the bilateral condition of App. D: for
its worst class B, the same expression bounds 1/2 minus the probability after the shift. Any grid of t gives a
valid bound. Radii are rounded down to the grid.

Exact laws fill the table by quadrature, others by Monte Carlo. The right-hand form of m contains no rare
event, however large t: the draws around the median of T carry it (they are importance draws for P(T > t)).
And m + 1/2 is the mean of a function of T that rises from 0 to 1. The mean of such a function over draws
exceeds its expectation by E_n - E = int (F - F_n) over its levels, so by at most sup (F - F_n). By Dvoretzky,
Kiefer and Wolfowitz with Massart's constant, that is at most sqrt(log(1/error) / (2 draws)) with probability
1 - error, for all t at once.

One such bound pays for the whole table. An image's radius is the largest of the grid up to which every radius
passes. Let r_j be the smallest radius of the grid that should not pass for the image's q (or its q_A and
p_B). The claim is wrong only if r_j passes nevertheless, that is, if the one bound at r_j fails. So for each
image the table is wrong with probability at most `error`, without Bonferroni over radii. The table is made
once per (law, draws, seed), so its failures are shared between images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special

from rs.methods.certificates.quadrature import Floats
from rs.methods.certificates.radius_table import radius_table
from rs.methods.certificates.ratio_laws import ExactLaw, Ratios, SampledLaw
from rs.statistics.bounds import hoeffding_width

_PILOT = 10_000
_QUANTILES = np.linspace(-2.0, 8.4, 48)  # Phi^-1 of the values of p for which a multiplier is provided
_EXACT_RADII = 128
SAMPLED_RADII = 512
_SPAN = 400  # largest / smallest radius of a sampled table
_RAREST = 1e-16  # no number of votes gives a smaller q
_LARGEST = float(np.log(0.5 / _RAREST))  # at larger t, m <= 1/2 is below lambda q


@dataclass(frozen=True)
class DivergenceTable:
    """Arrays [J] and [J, L]: increasing radii r, t = log lambda, and lower bounds of the margin m(t)."""

    r: Floats
    t: Floats
    margin: Floats

    def score(self, j: int, q: Floats) -> Floats:
        """Lower bound, per q, of P(class A) - 1/2 at radius r[j]; q [N] bounds 1 - p_A from above."""
        return np.asarray((self.margin[j] - np.exp(self.t[j]) * q[:, None]).max(1))

    def allowed(self) -> Floats:
        """Per radius, the q below which the score is positive there and at all smaller radii."""
        return np.minimum.accumulate((np.exp(-self.t) * self.margin).max(1))

    def radius(self, q: Floats) -> Floats:
        """Largest radius of the grid up to which the score is positive; 0 where there is none."""
        reached = np.searchsorted(-self.allowed(), -q, side="left")
        return np.concatenate([[0.0], self.r])[reached]

    def bilateral(self, q_a: Floats, p_b: Floats) -> Floats:
        """Largest radius of the grid up to which the scores of `q_a` and `p_b` add up to more than 0."""
        best, passes = np.zeros(len(q_a)), np.ones(len(q_a), bool)
        for j, r in enumerate(self.r):
            passes &= self.score(j, q_a) + self.score(j, p_b) > 0
            best[passes] = r
        return best


@dataclass(frozen=True)
class ExactTable(DivergenceTable):
    """A table that also holds lower bounds of P(T > t) and of 1/2 - P(T <= -t), [J, L]."""

    above: Floats
    away: Floats


def multipliers(ratios: Ratios, r: Floats) -> Floats:
    """t [J, L] near the Neyman-Pearson thresholds of p = Phi(_QUANTILES), extrapolated linearly beyond the
    draws' reach. The last t of a row is -median(T), the best for the dual where the score is 0.
    """
    levels = _QUANTILES
    x = levels[abs(levels) < 3]
    rows = []
    for radius in r:
        q = np.quantile(ratios(float(radius)), special.ndtr(np.append(x, 0.0)))
        q, median = q[:-1], q[-1]
        beyond = q[-1] + (levels - x[-1]) * (q[-1] - q[-6]) / (x[-1] - x[-6])
        rows.append([*np.where(levels <= x[-1], np.interp(levels, x, q), beyond), -median])
    return np.minimum(np.array(rows), 600.0)


def mean_margin(T: Floats, t: Floats) -> Floats:
    """Mean over draws T of min(lambda e^T, 1) - 1/2, for every t = log lambda; rounded down."""
    T = np.sort(T)
    below = np.searchsorted(T, -t)
    total = np.concatenate([[0.0], np.cumsum(np.exp(np.minimum(T, 700.0)))])[below]
    return np.asarray((np.exp(t) * total - below) / len(T) + 0.5 - 1e-9)


def last_radius_of_means(ratios: Ratios) -> float:
    """A radius at which hardly any pilot draw supports a positive score: plain means end there."""

    def hopeless(r: float) -> bool:
        T = ratios(r)
        return bool(np.mean(-np.median(T) < T) < 2 / len(T))

    return _first(hopeless)


def last_radius_of_margins(ratios: Ratios) -> float:
    """A radius at which even q = 1e-16 hardly has a positive score: no number of votes needs a larger one. It
    is far beyond `last_radius_of_means`, as the margin contains no rare event.
    """

    def hopeless(r: float) -> bool:
        T = ratios(r)
        t = -np.median(T, keepdims=True)
        return bool(t[0] > _LARGEST or mean_margin(T, t)[0] < _RAREST * np.exp(t[0]))

    return _first(hopeless)


def _first(hopeless: Callable[[float], bool]) -> float:
    """Bisects to where `hopeless` becomes true; returns the upper end."""
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
def exact_table(law: ExactLaw) -> ExactTable:
    """Fills the table by quadrature, on a geometric grid."""
    largest = float(np.exp(radius_table(law).curve(radius_table(law).highest)))
    r = np.geomspace(1e-3 * largest, largest, _EXACT_RADII)
    t = multipliers(law.sample(_PILOT, torch.Generator().manual_seed(1)), r)[:, :-1]
    flat_r, flat_t = np.repeat(r, t.shape[1]), t.ravel()
    above = law.distribution(flat_r, flat_t)[1].reshape(t.shape) - 1e-15
    away = -law.distribution(flat_r, -flat_t)[0].reshape(t.shape) - 1e-12
    return ExactTable(r, t, np.exp(t) * above + away, above, away)


@functools.lru_cache(maxsize=16)
def _means(law: SampledLaw, draws: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """r [J], t [J, L] from a pilot sample, and the mean margin over `draws` fresh ones [J, L]."""
    pilot = law.sample(_PILOT, torch.Generator().manual_seed(2 * seed + 1))
    largest = last_radius_of_margins(pilot)
    r = np.geomspace(largest / _SPAN, largest, SAMPLED_RADII)
    t = multipliers(pilot, r)
    ratios = law.sample(draws, torch.Generator().manual_seed(2 * seed))
    return r, t, np.array([mean_margin(ratios(float(x)), row) for x, row in zip(r, t, strict=True)])


def sampled_table(law: SampledLaw, draws: int, seed: int, error: float) -> DivergenceTable:
    """Fills the table by Monte Carlo: wrong for an image with probability at most `error` (< 1/2) over its
    draws.
    """
    r, t, mean = _means(law, draws, seed)
    return DivergenceTable(r, t, mean - hoeffding_width(draws, error))
