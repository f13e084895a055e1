"""CERTIFY of Cohen, Rosenfeld & Kolter (ICML 2019, Theorem 1 and section 3.2.2): radius sigma * Phi^-1(p_A).

The class comes from the selection votes, its probability from a Clopper-Pearson bound on the estimation votes with
p_B = 1 - p_A. Departures: none from the algorithm; the authors' released logs were made with alpha = 0.01 although
the paper states 0.001 (their largest radius, 3.91 sigma, shows it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import special

from rs.bounds import clopper_pearson_lower
from rs.draws import Draws
from rs.interfaces import Certified

if TYPE_CHECKING:
    from rs.noise.gaussian import Gaussian


@dataclass(frozen=True)
class Cohen:
    """l2 radius sigma * Phi^-1(lower bound of p_A); abstains where the bound is at most 1/2."""

    source: ClassVar[str] = "Cohen, Rosenfeld & Kolter, ICML 2019"
    norm: ClassVar[float] = 2.0
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    noises: ClassVar[frozenset[str]] = frozenset({"gaussian"})
    rigorous: ClassVar[bool] = True

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        top = draws.selection.counts.argmax(1)
        votes = draws.estimation.counts[np.arange(len(draws)), top]
        p_a = clopper_pearson_lower(votes, draws.estimation.n, alpha)
        certain = p_a > 0.5
        # one relative 1e-12 down: more than ndtri can be off, less than any radius is read to
        radius = np.where(certain, noise.sigma * special.ndtri(np.where(certain, p_a, 0.5)) * (1 - 1e-12), 0.0)
        return Certified(np.where(certain, top, -1), radius)
