"""PixelDP of Lecuyer et al. (IEEE S&P 2019), the certificate that Li et al. (NeurIPS 2019) compare theirs
with.

If the noise makes the output (eps, delta)-differentially private for inputs at most L apart, then expected
scores in [0, 1] obey E(x) <= exp(eps) E(x') + delta. So the class stays where p_A > exp(2 eps) p_B + (1 +
exp(eps)) delta (their Proposition 1).
- Gaussian noise, l2: private for L = sigma eps / sqrt(2 log(1.25 / delta)), eps <= 1 (the mechanism's
  theorem; its proof also needs sqrt(2 log(1.25 / delta)) >= 3/2, so delta stays below 0.4 here).
- Laplace noise, l1: private for L = scale * eps with delta = 0, any eps.

For given bounds of p_A and p_B, every (eps, delta) that meets the condition is valid, so the largest L may be
searched. At each eps the best delta is the largest allowed; eps runs over a grid that is refined around its
best point. For Laplace the best eps is log(p_A / p_B) / 2.

Departures: the class comes from draws of its own, p_A gets the error share `alpha_share` and p_B the rest
(the paper bounds all classes on the draws that choose). `pixeldp` uses votes. `pixeldp_soft` uses expected
softmax scores at `beta` with Hoeffding or empirical Bernstein bounds, as the paper does for scores in [0, 1];
its claims are about the soft smoothed classifier. The paper adds noise inside the network too; here all noise
is on the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from rs.methods.certificates.probabilities import (
    WIDTHS,
    Probabilities,
    certified,
    noise_name,
    score_probabilities,
    vote_probabilities,
)
from rs.methods.interfaces import Certified
from rs.settings.limits import Positive
from rs.statistics.bounds import Floats
from rs.statistics.draws import Draws

if TYPE_CHECKING:
    from rs.methods.noise.gaussian import Gaussian
    from rs.methods.noise.laplace import Laplace

_LARGEST_DELTA = 0.4


def _gaussian_at(log_eps: Floats, q_a: Floats, p_b: Floats) -> Floats:
    """L / sigma at eps = exp(log_eps) <= 1 with the largest delta that is strictly allowed; 0 where there is
    none.
    """
    eps = np.exp(np.minimum(log_eps, 0.0))
    room = 1 - q_a - np.exp(2 * eps) * p_b
    delta = np.minimum(room / (1 + np.exp(eps)) * (1 - 1e-12) - 1e-15, _LARGEST_DELTA)
    good = delta > 0
    return np.where(good, eps / np.sqrt(2 * np.log(1.25 / np.where(good, delta, 0.1))), 0.0)


def gaussian_dp_radius(sigma: float, q_a: Floats, p_b: Floats) -> Floats:
    """The largest L over (eps, delta) for 1 - p_A = q_a and p_B, float64 [N]; 0 where no pair is allowed."""
    q, p = q_a[:, None], p_b[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        # no delta is allowed beyond this eps
        end = np.minimum(np.log(np.maximum((1 - q) / p, 1.0)) / 2, 1.0)
        centre = np.log(np.maximum(end, 1e-300))
    at, width = np.linspace(-6, 0, 49)[None, :], 0.125
    for _ in range(4):
        values = _gaussian_at(centre + at, q, p)
        best = values.argmax(1)[:, None]
        centre = centre + at[0][best]
        at, width = np.linspace(-width, width, 17)[None, :], width / 8
    return sigma * np.take_along_axis(values, best, 1)[:, 0] * (1 - 1e-15)


def laplace_dp_radius(scale: float, q_a: Floats, p_b: Floats) -> Floats:
    """scale / 2 * log(p_A / p_B), rounded down, for 1 - p_A = q_a."""
    with np.errstate(divide="ignore", invalid="ignore"):
        radius = scale / 2 * (np.log1p(-q_a) - np.log(p_b))
    return radius * (1 - 1e-15) - scale * 1e-15


def _certify(certificate: Any, found: Probabilities, noise: Any) -> Certified:
    certain = found.q_a + found.p_b < 1
    q, p = np.where(certain, found.q_a, 0.5), np.where(certain, found.p_b, 0.5)
    if noise_name(certificate, noise) == "gaussian":
        return certified(found.top, certain, gaussian_dp_radius(noise.sigma, q, p))
    return certified(found.top, certain, laplace_dp_radius(noise.scale, q, p))


@dataclass(frozen=True)
class PixelDP:
    """The radius from votes, with Clopper-Pearson bounds."""

    source: ClassVar[str] = "Lecuyer et al., IEEE S&P 2019"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0, "laplace": 1.0}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    parameters_only: ClassVar[bool] = True
    anytime: ClassVar[bool] = True

    alpha_share: Annotated[float, Field(gt=0, le=1)] = 0.5

    def certify(self, draws: Draws, noise: Gaussian | Laplace, alpha: float) -> Certified:
        return _certify(self, vote_probabilities(draws, alpha, self.alpha_share), noise)


@dataclass(frozen=True)
class PixelDPSoft:
    """The radius from expected softmax scores."""

    source: ClassVar[str] = "Lecuyer et al., IEEE S&P 2019 (expected scores)"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0, "laplace": 1.0}
    needs: ClassVar[frozenset[str]] = frozenset({"soft_moments"})
    rigorous: ClassVar[bool] = True
    parameters_only: ClassVar[bool] = True

    beta: Positive = 1.0
    bound: Literal["hoeffding", "bernstein"] = "bernstein"
    alpha_share: Annotated[float, Field(gt=0, le=1)] = 0.5

    def certify(self, draws: Draws, noise: Gaussian | Laplace, alpha: float) -> Certified:
        found = score_probabilities(draws, self.beta, alpha, self.alpha_share, WIDTHS[self.bound])
        return _certify(self, found, noise)
