"""The Gaussian radius of Cohen, Rosenfeld & Kolter (ICML 2019, Theorem 1) from Hoeffding's bound on votes.

Departures: Hoeffding's inequality in place of Clopper-Pearson, so radii are smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rs.methods.certificates.probabilities import (
    certified,
    check_draws,
    gaussian_radius,
    noise_name,
    split_counts,
)
from rs.statistics.bounds import hoeffding_width

if TYPE_CHECKING:
    from rs.methods.interfaces import Certified
    from rs.smoothing.noise import Noise
    from rs.statistics.draws import Draws


@dataclass(frozen=True)
class HoeffdingVotes:
    """l2 radius sigma * Phi^-1(p) of p = p_A - sqrt(log(1 / alpha) / 2n); abstains where p <= 1/2."""

    source: ClassVar[str] = "Cohen, Rosenfeld & Kolter, ICML 2019; Hoeffding, JASA 1963"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    bound: ClassVar[str] = "hoeffding"
    parameters_only: ClassVar[bool] = True

    def certify(self, draws: Draws, noise: Noise, alpha: float) -> Certified:
        noise_name(self, noise)
        check_draws(draws, alpha)
        top, n = draws.selection.counts.argmax(1), draws.estimation.n
        hits, _ = split_counts(draws.estimation.counts, top)
        q_a = (1 - hits / n + hoeffding_width(n, alpha)) * (1 + 1e-12)
        return certified(top, q_a < 0.5, gaussian_radius(noise.sigma, q_a, q_a))
