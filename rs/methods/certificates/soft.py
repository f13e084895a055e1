"""Soft randomized smoothing of MACER (Zhai et al., ICLR 2020, Appendix A.2, Algorithm 2).

The soft smoothed classifier predicts the class of the largest expected softmax score at inverse temperature
beta. Its l2 radius is sigma/2 (Phi^-1(z_A) - Phi^-1(z_B)). The class comes from the selection scores. The
estimation scores bound z_A from below, by Hoeffding's inequality (`soft_hoeffding`, eq. 23) or the empirical
Bernstein bound of Maurer & Pontil (`soft_bernstein`, eq. 26); z_B = 1 - z_A. This is another classifier than
that of the votes; the two agree as beta grows. One sampling pass serves every beta of the draws (the paper's
Figure 4).

Departures: none at the default `alpha_share: 1`. Below 1, z_A gets that share of the error and the rest
bounds z_B apart, by the largest upper bound of the other classes (proof:
`probabilities.score_probabilities`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from rs.methods.certificates.probabilities import (
    WIDTHS,
    certified,
    gaussian_radius,
    noise_name,
    score_probabilities,
)
from rs.methods.interfaces import Certified
from rs.settings.limits import Positive
from rs.statistics.draws import Draws

if TYPE_CHECKING:
    from rs.methods.noise.gaussian import Gaussian


@dataclass(frozen=True)
class _Soft:
    """Shared by both certificates: everything but the bound."""

    source: ClassVar[str] = "Zhai et al., ICLR 2020"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}
    needs: ClassVar[frozenset[str]] = frozenset({"soft_moments"})
    rigorous: ClassVar[bool] = True
    parameters_only: ClassVar[bool] = True
    bound: ClassVar[str]

    beta: Positive = 1.0
    alpha_share: Annotated[float, Field(gt=0, le=1)] = 1.0

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        noise_name(self, noise)
        bounds = score_probabilities(draws, self.beta, alpha, self.alpha_share, WIDTHS[self.bound])
        radius = gaussian_radius(noise.sigma, bounds.q_a, bounds.p_b)
        return certified(bounds.top, bounds.q_a + bounds.p_b < 1, radius)


@dataclass(frozen=True)
class SoftHoeffding(_Soft):
    """l2 radius of the soft smoothed classifier from mean scores; abstains unless lower z_A > upper z_B."""

    bound: ClassVar[str] = "hoeffding"


@dataclass(frozen=True)
class SoftBernstein(_Soft):
    """l2 radius of the soft smoothed classifier from the mean and variance of its scores."""

    bound: ClassVar[str] = "bernstein"
