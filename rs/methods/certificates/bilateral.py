"""The bilateral certificate of Soap Bubbles (App. D): p_A and the other classes' probabilities bounded apart.

A radius r is certified where, at the worst delta, the least probability that class A can have after the shift
exceeds the largest that any class B can have. Both are Neyman-Pearson problems with the same worst delta
(`ratio_laws`). The largest is monotone in p_B, so the runner-up decides. For Gaussian noise the radius is
sigma / 2 (Phi^-1(p_A) - Phi^-1(p_B)).

`alpha_share` of alpha bounds p_A and the rest bounds the largest other probability (union bound). No union
over the classes B is needed, see `bounds.largest_upper`. The bound of p_B is never above that of 1 - p_A. So
the radius can fall below that of `dual` only through the split of alpha and the numerical loss given below.
For `mixed_norm`, `table_share` of alpha goes to the shared Monte Carlo table, as in `dual`; its one bound
holds for both lambdas at once.

Departures: the paper states the condition but does not use it; bounds, table and numerical method are ours.
For exact laws a radius is guessed by interpolation in a table, moved down, and verified by quadrature with
the guessed lambdas; it is therefore valid however bad the guess. Where verification fails, the radius is that
of the table's grid. The loss is about 1e-5 of a radius for `spherical` and up to 3e-2 for `sup_norm`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field
from scipy import interpolate, special

from rs.methods.certificates.divergence_table import exact_table, sampled_table
from rs.methods.certificates.probabilities import certified, gaussian_radius, noise_name, vote_probabilities
from rs.methods.certificates.radius_table import normal_quantile
from rs.methods.certificates.ratio_laws import FREEDOM, NORMS, ExactLaw, MixedNormLaw, law_of
from rs.methods.interfaces import Certified
from rs.methods.noise.gaussian import Gaussian
from rs.settings.limits import Seed, TableDraws
from rs.settings.spending import Spends
from rs.statistics.bounds import Floats
from rs.statistics.draws import Draws

if TYPE_CHECKING:
    from rs.methods.certificates.ratio_laws import SHAPED


@functools.lru_cache(maxsize=16)
def _curves(law: ExactLaw) -> list[interpolate.PchipInterpolator]:
    """Per radius of the table: x = Phi^-1(p) -> (x after the shift, log lambda). The curves are nearly
    straight.
    """
    table, curves = exact_table(law), []
    for t, above, away in zip(table.t, table.above, table.away, strict=True):
        above, away = np.maximum(above, 1e-17), np.clip(away, 1e-17 - 0.5, 0.5)
        before, after = normal_quantile(0.5 - above, above), normal_quantile(away, 0.5 - away)
        keep = np.concatenate([[True], np.diff(np.maximum.accumulate(before)) > 1e-6])
        pairs = np.stack([np.minimum(after, 9.0), t], 1)
        curves.append(interpolate.PchipInterpolator(before[keep], pairs[keep]))
    return curves


def exact_radius(law: ExactLaw, q_a: Floats, p_b: Floats) -> Floats:
    """Radii at sigma = 1 for pairs of upper bounds, of 1 - p_A and of p_B, with a sum below 1."""
    table = exact_table(law)
    x = -special.ndtri(np.clip(np.stack([q_a, p_b]), 1e-16, 1 - 1e-16))
    curves = [curve(np.clip(x, curve.x[0], curve.x[-1])) for curve in _curves(law)]
    moved, log_lambda = np.moveaxis(np.array(curves), (0, 3), (3, 0))
    height = moved.sum(0)
    rows = np.arange(len(q_a))
    last = np.clip((height > 0).sum(1) - 1, 0, len(table.r) - 2)
    h0, h1 = height[rows, last], height[rows, last + 1]
    share = np.clip(np.where(h0 > h1, h0 / np.where(h0 > h1, h0 - h1, 1.0), 0.0), 0, 1)
    guess = table.r[last] + share * (table.r[last + 1] - table.r[last])
    t_a, t_b = log_lambda[:, rows, last] * (1 - share) + log_lambda[:, rows, last + 1] * share

    def slack(i: np.ndarray, r: Floats) -> Floats:
        """Lower bound, for any lambdas, of A's probability minus B's after a shift r."""
        total = np.full(len(i), -1e-12)
        for t, q in ((t_a[i], q_a[i]), (t_b[i], p_b[i])):
            total += np.exp(t) * (law.distribution(r, t)[1] - q) - law.distribution(r, -t)[0]
        return total

    radius, high, high_slack = np.zeros(len(q_a)), guess.copy(), np.zeros(len(q_a))
    for shrink, refinements in ((1e-7, 0), (1e-5, 0), (1e-3, 2), (3e-2, 3)):
        todo = np.flatnonzero((radius == 0) & (guess > 0))
        low = guess[todo] * (1 - shrink)
        low_slack = slack(todo, low)
        radius[todo] = np.where(low_slack > 0, low, 0.0)
        high[todo] = np.where(low_slack > 0, high[todo], low)
        high_slack[todo] = np.where(low_slack > 0, high_slack[todo], low_slack)
        good = low_slack > 0
        todo, low, low_slack = todo[good], low[good], low_slack[good]
        for _ in range(refinements):  # regula falsi, aiming a little short
            step = low_slack / (low_slack - high_slack[todo])
            tried = low + 0.98 * step * (high[todo] - low)
            tried_slack = slack(todo, tried)
            better = tried_slack > 0
            low, low_slack = np.where(better, tried, low), np.where(better, tried_slack, low_slack)
            high[todo] = np.where(better, high[todo], tried)
            high_slack[todo] = np.where(better, high_slack[todo], tried_slack)
            radius[todo] = low
    rest = radius == 0
    radius[rest] = table.bilateral(q_a[rest], p_b[rest])
    return radius


@dataclass(frozen=True)
class Bilateral:
    """l2 radius for gaussian and spherical noise, linf for mixed_norm and sup_norm.

    Abstains unless lower p_A > upper p_B.
    """

    source: ClassVar[str] = "Soap Bubbles (ICLR 2020 submission), Appendix D"
    norms: ClassVar[dict[str, float]] = NORMS
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    anytime: ClassVar[bool] = True
    freedom: ClassVar[float] = FREEDOM
    spends: ClassVar[Spends] = ({"noise": "mixed_norm", "aside": "table_share"},)

    alpha_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    table_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    table_draws: TableDraws = 100_000
    table_seed: Seed = 0

    def certify(self, draws: Draws, noise: Gaussian | SHAPED, alpha: float) -> Certified:
        noise_name(self, noise)
        law = None if isinstance(noise, Gaussian) else law_of(noise, draws.dimension)
        votes_alpha = alpha * (1 - self.table_share) if isinstance(law, MixedNormLaw) else alpha
        bounds = vote_probabilities(draws, votes_alpha, self.alpha_share)
        certain = bounds.q_a + bounds.p_b < 1
        if law is None or isinstance(noise, Gaussian):
            return certified(bounds.top, certain, gaussian_radius(noise.sigma, bounds.q_a, bounds.p_b))
        pairs, back = np.unique(np.stack([bounds.q_a, bounds.p_b])[:, certain], axis=1, return_inverse=True)
        if isinstance(law, MixedNormLaw):
            table = sampled_table(law, self.table_draws, self.table_seed, alpha * self.table_share)
            radii = table.bilateral(*pairs)
        else:
            radii = exact_radius(law, *pairs)
        radius = np.zeros(len(draws))
        radius[certain] = noise.scale(draws.dimension) * radii[back.ravel()] * (1 - 1e-14)
        return certified(bounds.top, certain, radius)
