"""When common draws of two classifiers suffice for the second (rs.statistics.differences). No torch.

As rs.statistics.stopping, with the sum of the two bounds in place of the sequence's. Looks and giving up can
cost claims but never make one wrong, since the first classifier's bound is fixed before and the other bound
holds at all looks at once. A radius is given up if even all n draws could not certify it. This assumes that
future differences are as frequent as those so far and as much in the second classifier's favour as the
sequence leaves possible at error `futility`. So a radius is given up at once if the first classifier's own
bound is far from certifying it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from rs.settings.sampling import Stop
from rs.statistics import differences
from rs.statistics.bounds import Floats, least_upper
from rs.statistics.sequences import least_trials
from rs.statistics.stopping import StoppingRule

_ROUNDING = 1e-9  # relative; certificates round radii down


@dataclass(frozen=True)
class PairedRule:
    """For images of Gaussian noise `sigma`: at most `n` draws in blocks of `block` and multiples of it. The
    first classifier's bound gets `share` of the rule's alpha.
    """

    stop: Stop
    sigma: float
    n: int
    block: int
    share: float

    def sizes(self) -> list[int]:
        """Draws of each block, in order; they add up to n."""
        return StoppingRule(self.stop, self.sigma, self.n, self.block).sizes()

    def going_on(self, first: Floats, losses: np.ndarray, gains: np.ndarray, draws: int) -> np.ndarray:
        """Bool [N]: whether images need more than their `draws` so far. `first` [N] are upper bounds of the
        first classifier's failure probability at the error `share` alpha.
        """
        if draws >= self.n:
            return np.zeros(len(losses), bool)
        alpha, share = self.stop.alpha, self.share
        bound = differences.failure(first, losses, gains, draws, alpha, share)
        best = differences.failure(first, *self._hoped(losses, gains, draws), self.n, alpha, share)
        if self.stop.width is not None:
            return np.asarray(self._radius(best) - self._radius(bound) > self.stop.width)
        needed = special.ndtr(-np.asarray(self.stop.radii, np.float64) / self.sigma) * (1 - _ROUNDING)
        return np.asarray(((bound[:, None] > needed) & (best[:, None] <= needed)).any(1))

    def first_decision(self) -> float:
        """The fewest draws that can certify any radius that the rule asks for."""
        least = min((r for r in self.stop.radii), default=0.0)
        bound = float(special.ndtr(-least / self.sigma)) * (1 - _ROUNDING)
        return least_trials(bound, (1 - self.share) * self.stop.alpha)

    def can_decide(self, first: int) -> bool:
        """Whether n draws, with `first` votes of the first classifier, can certify any radius that the rule
        asks for if neither classifier ever fails.
        """
        alpha, share = self.stop.alpha, self.share
        known = least_upper(first, share * alpha)
        bound = float(differences.failure(known, 0, 0, self.n, alpha, share))
        return bound <= float(special.ndtr(-min(self.stop.radii, default=0.0) / self.sigma)) * (1 - _ROUNDING)

    def _hoped(self, losses: np.ndarray, gains: np.ndarray, draws: int) -> tuple[Floats, Floats]:
        """Losses and gains of n draws at the best rate that is still possible."""
        rate = differences.lower(losses, gains, draws, self.stop.futility)
        net = (losses - gains) + rate * (self.n - draws)
        differing = np.clip((losses + gains) * (self.n / draws), np.abs(net), self.n)
        return (differing + net) / 2, (differing - net) / 2

    def _radius(self, bound: Floats) -> Floats:
        return np.maximum(-self.sigma * special.ndtri(bound), 0.0)  # type: ignore[no-any-return]
