"""The dual certificate of Soap Bubbles (Theorem 1): r is certified where max over lambda of lambda p_A - D >
1/2.

D = int (lambda q - q_delta)_+ at the worst delta of the ball. `ratio_laws` proves that this delta lies on an
axis (l2: `spherical` and Gaussian noise) or at a vertex (linf: `mixed_norm` and `sup_norm`). The class comes
from the selection votes, its probability from a Clopper-Pearson bound on the estimation votes; p_B = 1 - p_A.

Departures. The result is a radius, not yes or no at a given radius. The paper estimates D by Monte Carlo per
image and lambda (`dual_published`). Here:
- `gaussian` uses the closed form.
- `spherical` and `sup_norm` use quadrature, moved to the safe side by 1e-9 to 2e-5 of the radius (an estimate
  of the interpolation error: checked, not proven).
- `mixed_norm` uses one Monte Carlo table per (d, k) for all images and, by scaling, all sigmas
  (`divergence_table` has the bound and its proof). `table_share` of alpha pays for the table's error, the
  rest for the votes. So each image's claim is right with probability 1 - alpha, but failures are shared: a
  table that fails for one image also fails for images with the same votes, or that need the same radius.

At sigma_0 = 1, d = 3072, k = 250, `match: paper` and alpha = 0.001, 100,000 unanimous votes certify 12.66/255
(10,000: 10.13/255), and 4/255 needs p_A = 0.935 where the exact theory needs 0.933.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from rs.methods.certificates.divergence_table import sampled_table
from rs.methods.certificates.probabilities import certified, gaussian_radius, noise_name, vote_probabilities
from rs.methods.certificates.radius_table import radius_table
from rs.methods.certificates.ratio_laws import FREEDOM, NORMS, MixedNormLaw, law_of
from rs.methods.interfaces import Certified
from rs.methods.noise.gaussian import Gaussian
from rs.settings.limits import Seed, TableDraws
from rs.settings.spending import Spends
from rs.statistics.bounds import Floats
from rs.statistics.draws import Draws

if TYPE_CHECKING:
    from rs.methods.certificates.ratio_laws import SHAPED


@dataclass(frozen=True)
class Dual:
    """l2 radius for gaussian and spherical noise, linf for mixed_norm and sup_norm.

    Abstains where p_A <= 1/2.
    """

    source: ClassVar[str] = "Soap Bubbles (ICLR 2020 submission), Theorem 1"
    norms: ClassVar[dict[str, float]] = NORMS
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    anytime: ClassVar[bool] = True
    freedom: ClassVar[float] = FREEDOM
    spends: ClassVar[Spends] = ({"noise": "mixed_norm", "aside": "table_share"},)

    table_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    table_draws: TableDraws = 100_000
    table_seed: Seed = 0

    def certify(self, draws: Draws, noise: Gaussian | SHAPED, alpha: float) -> Certified:
        noise_name(self, noise)
        if isinstance(noise, Gaussian):
            bounds = vote_probabilities(draws, alpha, 1.0)
            radius: Floats = gaussian_radius(noise.sigma, bounds.q_a, bounds.p_b)
            return certified(bounds.top, bounds.q_a < 0.5, radius)
        law = law_of(noise, draws.dimension)
        if isinstance(law, MixedNormLaw):
            bounds = vote_probabilities(draws, alpha * (1 - self.table_share), 1.0)
            table = sampled_table(law, self.table_draws, self.table_seed, alpha * self.table_share)
            radius = table.radius(bounds.q_a)
        else:
            bounds = vote_probabilities(draws, alpha, 1.0)
            radius = radius_table(law).radius(bounds.q_a)
        return certified(bounds.top, bounds.q_a < 0.5, noise.scale(draws.dimension) * radius * (1 - 1e-14))
