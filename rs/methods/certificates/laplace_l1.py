"""The l1 certificate of Li, Chen, Wang & Carin (NeurIPS 2019), Theorem 3: radius -scale * log(1 - p_A + p_B).

A shift of l1 length r changes the density of Laplace noise by at most a factor exp(r / scale) either way. So
1 - p_A grows to at most exp(r / scale) (1 - p_A) and p_B to exp(r / scale) p_B; the class stays while exp(r /
scale) (1 - p_A + p_B) < 1. With p_B = 1 - p_A the radius is -scale * log(2 (1 - p_A)), which a half-space
attains (Teng et al. 2019), so it is tight for two classes. With p_B bounded apart it is not tight.

Departures: the paper names no confidence procedure. Here the class comes from the selection votes, p_A gets
the error share `alpha_share` and p_B the rest. At `alpha_share: 1` there is one bound, the tight binary case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from rs.methods.certificates.probabilities import certified, noise_name, vote_probabilities
from rs.methods.interfaces import Certified
from rs.statistics.draws import Draws

if TYPE_CHECKING:
    from rs.methods.noise.laplace import Laplace


@dataclass(frozen=True)
class LaplaceL1:
    """l1 radius under Laplace noise; abstains unless lower p_A > upper p_B."""

    source: ClassVar[str] = "Li, Chen, Wang & Carin, NeurIPS 2019"
    norms: ClassVar[dict[str, float]] = {"laplace": 1.0}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    parameters_only: ClassVar[bool] = True
    anytime: ClassVar[bool] = True

    alpha_share: Annotated[float, Field(gt=0, le=1)] = 0.5

    def certify(self, draws: Draws, noise: Laplace, alpha: float) -> Certified:
        noise_name(self, noise)
        bounds = vote_probabilities(draws, alpha, self.alpha_share)
        total = bounds.q_a + bounds.p_b
        # outwards by a few units in the last place, both the sum and its logarithm
        radius = -noise.scale * np.log(total * (1 + 1e-15)) * (1 - 1e-15)
        return certified(bounds.top, total < 1, radius)
