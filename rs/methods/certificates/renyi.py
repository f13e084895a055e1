"""The Renyi certificate of Li, Chen, Wang & Carin (NeurIPS 2019): Algorithm 1, Lemma 1, Theorem 2.

L^2 = sup over orders a > 1 of -(2 sigma^2 / a) log(1 - p1 - p2 + 2 M), M = ((p1^(1-a) + p2^(1-a)) /
2)^(1/(1-a)). Where p1 >= p2 it rises with p1 and falls with p2, so a lower p1 and an upper p2 are safe. Every
order gives a valid bound: a grid with local refinement falls short of the supremum, never beyond it.

`renyi` is the published procedure. Class, p1 and p2 come from one sample of n votes (the paper: n = 100): the
end points of simultaneous one-sided Clopper-Pearson intervals, with Bonferroni correction over the two, at
alpha = 0.05 for the paper's 95 %. Tables multiply its certified accuracies by 1 - alpha as the paper does
(`accuracy_factor`). It is not rigorous: the votes that name the two classes also bound them, and since the
formula is symmetric, overlapping intervals give a positive radius; nothing abstains unless
`abstain_on_overlap` asks for it. There the radius is not even monotone in the votes: at sigma = 1 and alpha =
0.001, 5164 to 4836 votes give 2.0e-4, but one vote more, 5165 to 4835, gives 2.6e-6.

As released: the authors' code takes Sison-Glaz intervals (`intervals: sison_glaz`), in two of its three
versions of level 5 % instead of 95 % (`alpha: 0.95`), and multiplies nothing; the paper's text says that its
numbers are multiplied by 0.95 (`accuracy_factor: 0.95`). The paper's 51 % at 1.4 with sigma = 0.7 needs the
level 5 %: 100 votes for one class certify 1.458 sigma by the written procedure, 1.797 sigma by Sison-Glaz at
95 %, and at 5 % 2.003 and 2.635 sigma. Departure: the code searches orders from 1.01 to 2 only.

`renyi_sound` takes the class from the selection votes and abstains unless lower p_A > upper p_B; p_A gets the
error share `alpha_share` and p_B the rest. It never exceeds the bilateral Gaussian radius of the same bounds,
sigma/2 (Phi^-1(p_A) - Phi^-1(p_B)), which is the best possible for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from rs.methods.certificates.probabilities import certified, check_draws, noise_name, vote_probabilities
from rs.methods.certificates.sison_glaz import sison_glaz
from rs.methods.interfaces import Certified
from rs.settings.spending import Spends
from rs.statistics.bounds import Floats, bonferroni, clopper_pearson_upper
from rs.statistics.draws import Draws

if TYPE_CHECKING:
    from rs.methods.noise.gaussian import Gaussian


def _at_order(log_order: Floats, q_1: Floats, p_2: Floats) -> Floats:
    """(L / sigma)^2 at order 1 + exp(log_order) for 1 - p1 = q_1 <= 1 - p2, rounded down; broadcasts."""
    t = np.exp(log_order)
    ratio = np.log(p_2) - np.log1p(-q_1)  # log(p2 / p1) <= 0
    # the terms in the exponent stay below 60, so 5e-14 is more than rounding takes from M
    twice_m = 2 * np.exp(np.log(p_2) - np.log1p(np.expm1(t * ratio) / 2) / t) * (1 + 5e-14)
    return 2 / (1 + t) * (-np.log(q_1 - p_2 + twice_m) - 1e-15)  # type: ignore[no-any-return]


def renyi_radius(sigma: float, q_1: Floats, p_2: Floats) -> Floats:
    """Theorem 2's radius for 1 - p1 = q_1 and p2 with p1 >= p2, float64 [N]; 0 where it has none."""
    usable = (p_2 > 0) & (q_1 + p_2 <= 1)
    q, p = np.where(usable, q_1, 0.1)[:, None], np.where(usable, p_2, 0.1)[:, None]
    centre, step = np.zeros((len(q), 1)), 0.5
    at = np.linspace(-10, 10, 41)[None, :]
    for _ in range(4):
        values = _at_order(centre + at, q, p)
        best = values.argmax(1)[:, None]
        centre = centre + at[0][best]
        at, step = np.linspace(-step, step, 17)[None, :], step / 8
    best_value = np.take_along_axis(values, best, 1)[:, 0]
    return np.where(usable, sigma * np.sqrt(np.maximum(best_value, 0.0)) * (1 - 1e-15), 0.0)


@dataclass(frozen=True)
class Renyi:
    """As published: the two most frequent classes of one sample, without a check that their intervals are
    disjoint.

    Tables multiply certified accuracies by `accuracy_factor`, 1 - alpha unless given.
    """

    source: ClassVar[str] = "Li, Chen, Wang & Carin, NeurIPS 2019"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = False
    parameters_only: ClassVar[bool] = True
    spends: ClassVar[Spends] = (
        {"share": 0.5},
        {"when": {"sample": "pooled"}, "pooled": True},
        {"when": {"abstain_on_overlap": False}, "any": True},
        {"when": {"intervals": "sison_glaz"}, "any": True},
    )

    sample: Literal["estimation", "pooled"] = "estimation"
    abstain_on_overlap: bool = False
    intervals: Literal["clopper_pearson", "sison_glaz"] = "clopper_pearson"
    accuracy_factor: Annotated[float, Field(ge=0, le=1)] | None = None

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        noise_name(self, noise)
        check_draws(draws, alpha)
        votes = draws.estimation.counts
        if self.sample == "pooled":
            votes = votes + draws.selection.counts
        order = np.sort(votes, axis=1)
        n = votes.sum(1)
        if self.intervals == "sison_glaz":
            below, above = sison_glaz(votes, alpha)
            # p_1 + p_2 may exceed 1; kept as is, as in the released code
            q_1 = np.minimum((n - order[:, -1]) / n + below, 1.0)
            p_2 = np.minimum(order[:, -2] / n + above, 1.0)
        else:
            level = bonferroni(alpha, 2)
            q_1 = clopper_pearson_upper(n - order[:, -1], n, level)
            p_2 = clopper_pearson_upper(order[:, -2], n, level)
        # the formula is symmetric in p_1 and p_2: overlapping intervals only swap their roles
        apart = q_1 + p_2 <= 1
        q_1, p_2 = np.where(apart, q_1, 1 - p_2), np.where(apart, p_2, 1 - q_1)
        radius = renyi_radius(noise.sigma, q_1, p_2)
        return certified(votes.argmax(1), apart | (not self.abstain_on_overlap), radius)


@dataclass(frozen=True)
class RenyiSound:
    """With the class from separate selection votes; abstains unless lower p_A > upper p_B."""

    source: ClassVar[str] = "Li, Chen, Wang & Carin, NeurIPS 2019, with a proof that covers it"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    parameters_only: ClassVar[bool] = True
    anytime: ClassVar[bool] = True

    alpha_share: Annotated[float, Field(gt=0, le=1)] = 0.5

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        noise_name(self, noise)
        bounds = vote_probabilities(draws, alpha, self.alpha_share)
        radius = renyi_radius(noise.sigma, bounds.q_a, bounds.p_b)
        return certified(bounds.top, bounds.q_a + bounds.p_b < 1, radius)
