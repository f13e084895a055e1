"""CERTIFY of Cohen, Rosenfeld & Kolter (ICML 2019, Theorem 1 and section 3.2.2): radius sigma * Phi^-1(p_A).

The class comes from the selection votes. A Clopper-Pearson bound on the estimation votes bounds its
probability, and p_B = 1 - p_A. `cohen_linf` is the l_infinity radius that follows from |delta|_2 <= sqrt(d)
|delta|_inf (the baseline of Salman et al., NeurIPS 2019).

Departures: none from the algorithm. Most of the authors' released logs were made with alpha = 0.01 although
the paper states 0.001 (their largest radius, 3.91 sigma, shows it; docs/evidence/published-logs.md).
`randomised: true` replaces the conservative bound by the randomised one of exact coverage (Stevens 1950),
which uses the uniform number stored beside each image. That is still a proof, but the radius then depends on
that number too, so tables mark it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from rs.methods.certificates.probabilities import (
    certified,
    check_draws,
    gaussian_radius,
    noise_name,
    split_counts,
    vote_probabilities,
)
from rs.methods.interfaces import Certified
from rs.statistics.bounds import randomised_upper
from rs.statistics.draws import Draws

if TYPE_CHECKING:
    from rs.methods.noise.gaussian import Gaussian


@dataclass(frozen=True)
class Cohen:
    """l2 radius sigma * Phi^-1(lower bound of p_A); abstains where the bound is at most 1/2."""

    source: ClassVar[str] = "Cohen, Rosenfeld & Kolter, ICML 2019"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    parameters_only: ClassVar[bool] = True
    anytime: ClassVar[bool] = True
    capped: ClassVar[frozenset[str]] = frozenset({"gaussian"})

    randomised: bool = False

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        noise_name(self, noise)
        bounds = vote_probabilities(draws, alpha, share=1.0)
        q_a = bounds.q_a
        if self.randomised:
            check_draws(draws, alpha)  # coverage is exact only for a fixed number of votes
            n = draws.estimation.n
            hits, _ = split_counts(draws.estimation.counts, bounds.top)
            q_a = randomised_upper(n - hits, n, alpha, draws.uniform)
        return certified(bounds.top, q_a < 0.5, gaussian_radius(noise.sigma, q_a, q_a))


@dataclass(frozen=True)
class CohenLinf:
    """l_infinity radius: that of `Cohen` divided by the square root of the input dimension."""

    source: ClassVar[str] = "Salman et al., NeurIPS 2019 (l_infinity baseline)"
    norms: ClassVar[dict[str, float]] = {"gaussian": np.inf}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    parameters_only: ClassVar[bool] = True
    anytime: ClassVar[bool] = True

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        noise_name(self, noise)
        l2 = Cohen().certify(draws, noise, alpha)
        return Certified(l2.prediction, l2.radius / np.sqrt(draws.dimension) * (1 - 1e-15))
