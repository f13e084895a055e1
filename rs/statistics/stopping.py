"""When to stop drawing votes for an image: as soon as they answer the study's question. No torch.

A radius r under Gaussian noise is certified where the bound of the failure probability 1 - p_A, from the
confidence sequence at level alpha, is at most x = Phi(-r / sigma). The sequence holds at all looks at once,
so looks are free. The rule's other choices can cost claims but never make one wrong.

One such choice is to give up. Let x' < x be the failure rate at which all n votes would just certify r.
Wald's sequential test (1945) of x against x' gives r up once the votes favour x by 1 / futility to 1. This
happens to an image of failure rate x' with probability at most `futility`, and much less often to more
reliable ones: with about futility^3 at twice the distance from x. A radius that even all remaining votes
could not certify is given up at once.

A width is reached when all n votes, at the best rate that the sequence leaves possible, would raise the
radius by no more than the width. Blocks grow to a sixteenth of the votes drawn: fewer looks, and hardly a
vote too many.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import special

from rs.settings.sampling import Stop
from rs.statistics.bounds import Floats
from rs.statistics.sequences import least_trials, lower, upper

_GROWTH = 16
_ROUNDING = 1e-9  # relative; certificates round radii down


@dataclass(frozen=True)
class StoppingRule:
    """For images of Gaussian noise `sigma`: at most `n` votes in blocks of `block` and multiples of it."""

    stop: Stop
    sigma: float
    n: int
    block: int

    def sizes(self) -> list[int]:
        """Votes of each block, in order; they add up to n."""
        sizes: list[int] = []
        while (drawn := sum(sizes)) < self.n:
            sizes.append(min(max(drawn // (_GROWTH * self.block), 1) * self.block, self.n - drawn))
        return sizes

    def going_on(self, failures: np.ndarray, votes: int) -> np.ndarray:
        """Bool [N]: whether images with `failures` [N] among their first `votes` votes need more."""
        if votes >= self.n:
            return np.zeros(len(failures), bool)
        bound = upper(failures, votes, self.stop.alpha)
        if self.stop.width is not None:
            expected = failures + lower(failures, votes, self.stop.alpha) * (self.n - votes)
            best = upper(np.minimum(expected, self.n), self.n, self.stop.alpha)
            return np.asarray(self._radius(best) - self._radius(bound) > self.stop.width)
        certified = bound[:, None] <= self._needed * (1 - _ROUNDING)
        return np.asarray(~(certified | self._given_up(failures[:, None], votes)).all(1))

    def first_decision(self) -> float:
        """The fewest votes that can certify any radius that the rule asks for."""
        least = min((r for r in self.stop.radii), default=0.0)
        return least_trials(float(special.ndtr(-least / self.sigma)) * (1 - _ROUNDING), self.stop.alpha)

    def _radius(self, bound: Floats) -> Floats:
        return np.maximum(-self.sigma * special.ndtri(bound), 0.0)  # type: ignore[no-any-return]

    @functools.cached_property
    def _needed(self) -> Floats:
        """Per radius, the bound of the failure probability that certifies it."""
        return special.ndtr(-np.asarray(self.stop.radii, np.float64) / self.sigma)  # type: ignore[no-any-return]

    @functools.cached_property
    def _attainable(self) -> Floats:
        """Per radius, the largest failure rate at which n votes certify it; -1 where no rate does."""
        below, above = np.zeros_like(self._needed), self._needed.copy()
        for _ in range(60):
            rate = (below + above) / 2
            good = upper(rate * self.n, self.n, self.stop.alpha) <= self._needed * (1 - _ROUNDING)
            below, above = np.where(good, rate, below), np.where(good, above, rate)
        return np.where(upper(0, self.n, self.stop.alpha) <= self._needed * (1 - _ROUNDING), below, -1.0)

    def _given_up(self, failures: np.ndarray, votes: int) -> np.ndarray:
        """Bool [N, radii]: whether each radius is given up."""
        x, attainable = self._needed, np.maximum(self._attainable, 1e-300)
        against = special.xlogy(failures, x / attainable)
        evidence = against + (votes - failures) * (np.log1p(-x) - np.log1p(-attainable))
        hopeless = failures > self._attainable * self.n
        return np.asarray(hopeless | (evidence >= -np.log(self.stop.futility)))
