"""Certifies a second classifier from a first one's votes and their differences (Ugare et al., ICLR 2024).

The first classifier was certified with many votes. The second (the same weights in another precision, the
next epoch, pruned, another seed) sees few draws, and the first one sees each of these too. A is the class of
the second one's selection votes. L bounds the first one's P(not A) at error `share` alpha, by Clopper-Pearson
or, for stopped votes, by a confidence sequence. U bounds P(only the first says A) - P(only the second says A)
at error (1 - share) alpha. Then 1 - p_A <= L + U with probability 1 - alpha, and the radius is Cohen's
(rs.statistics.differences has the proof and the departures from the paper).

Why it is valid: A comes from selection draws, separate from all draws that bound; `share` is fixed
beforehand; the union bound needs no independence of L and U, so they may share draws; U holds at every number
of draws, so any rule may stop them. No image falls back on another procedure. A limit remains, as for every
certificate: radius r needs ln(1/alpha) / -ln(1 - Phi(-r/sigma)) draws of the second classifier: 301 at 2
sigma and alpha = 0.001, but 5,114 at 3 sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from rs.errors import UserError
from rs.methods.certificates.probabilities import certified, check_draws, gaussian_radius, noise_name
from rs.methods.interfaces import Certified
from rs.statistics import bounds, differences, sequences
from rs.statistics.bounds import Floats
from rs.statistics.draws import Draws, Votes
from rs.statistics.paired_draws import PairedDraws

if TYPE_CHECKING:
    from rs.methods.noise.gaussian import Gaussian

SHARE = 0.25  # of alpha, for L, which many votes make sharp anyway


@dataclass(frozen=True)
class Incremental:
    """l2 radius sigma * Phi^-1(p_A) of a second classifier, p_A bounded through a first one's votes."""

    source: ClassVar[str] = "Ugare et al., ICLR 2024"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}
    needs: ClassVar[frozenset[str]] = frozenset({"paired_counts"})
    rigorous: ClassVar[bool] = True
    parameters_only: ClassVar[bool] = True
    anytime: ClassVar[bool] = True

    share: Annotated[float, Field(gt=0, lt=1)] = SHARE

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        noise_name(self, noise)
        q_a = self.failure(draws, alpha)
        top = draws.selection.counts.argmax(1)
        return certified(top, q_a < 0.5, gaussian_radius(noise.sigma, q_a, q_a))

    def largest(self, noise: Gaussian, alpha: float, n: int) -> float:
        """The largest radius that `n` draws can certify, whatever is known of the first classifier."""
        floor = bounds.least_upper(n, alpha)  # of differences.failure
        return float(gaussian_radius(noise.sigma, floor, floor))

    def failure(self, draws: Draws, alpha: float) -> Floats:
        """Upper bounds of 1 - p_A at error `alpha`, [N]. Raises UserError for draws without a first
        classifier's votes.
        """
        check_draws(draws, alpha, anytime=True)
        if not isinstance(draws, PairedDraws):
            raise UserError("draws: certificate incremental needs votes of two networks on the same draws")
        top = draws.selection.counts.argmax(1)
        first = first_failure(draws.first, draws.first_stopping, top, self.share * alpha)
        return differences.failure(first, *draws.differences(top), draws.estimation.n, alpha, self.share)


def first_failure(votes: Votes, stopping: str, top: np.ndarray, alpha: float) -> Floats:
    """Upper bounds of the first classifier's P(not `top`) at error `alpha`, [N]."""
    upper = bounds.clopper_pearson_upper if stopping == "fixed" else sequences.upper
    return upper(votes.n - votes.counts[np.arange(len(top)), top], votes.n, alpha)


def answers(draws: Draws, noise: Any, found: Certified, alpha: float) -> bool:
    """Whether the draws decide the radii that they were drawn for (as in rs.stages.certified_rows). A fixed
    number of draws always does; stopped draws do if the claims are no smaller than those at the rule's own
    alpha and share.
    """
    if draws.stopping == "fixed":
        return True
    if alpha > draws.stop["alpha"]:
        return False
    own = Incremental(draws.stop["share"]).certify(draws, noise, draws.stop["alpha"])
    return bool(np.all(found.radius >= own.radius * (1 - 1e-9)))
