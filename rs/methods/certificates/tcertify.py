"""T-CERTIFY of Feng et al. (AAAI 2020, Algorithm 2 and eq. 14): p_A and p_B bounded apart, error alpha split.

For a share g of the error, p_A gets g * alpha and p_B the rest; the radius is sigma/2 (Phi^-1(p_A) -
Phi^-1(p_B)).

`tcertify` is the published search: the largest radius over g in {0.1, ..., 1.0}, with p_B = min(eq. 14, 1 -
p_A), so that g = 1 is CERTIFY. (The paper writes alpha = 0.1, ..., 1.0, the last of which gives CERTIFY:
shares of alpha.) It abstains where no lower p_A is above 1/2. It is not rigorous: the proof covers one g
fixed beforehand. Bounds at different g are nested, so its error is at most (1 + g_max - g_min)
alpha = 1.9 alpha: the bound of p_A fails for some g with probability at most g_max alpha, and that of p_B
(where it is not 1 - p_A) with probability at most (1 - g_min) alpha.

The runner-up. Let c be the class of the largest p_c, c != A; it is fixed, though unknown.
- eq. 14 (`runner_up: eq14`) fails only if P(Bin(n, p_c) <= N_c) <= (1 - g) alpha, an event of at most that
  probability. The published proof takes a union over classes; none is needed, so eq. 14 is valid and loose.
- The Clopper-Pearson bound of the largest other estimation count (`largest`) is valid by the same argument,
  and never above eq. 14.
- The class that came second among the selection votes is not offered. It need not be c, and then p_c is left
  unbounded.

`select_on: estimation` takes the class from the estimation votes, as the paper did for its Figure 2. The
class and its bounds then share votes, and nothing is proven (docs/evidence/coverage.md measures it).

`tcertify_sound` is a proof. `mode: fixed` uses one share g = `alpha_share`. `mode: grid` is the published
search with alpha / 1.9, by the nesting above. A fixed share of 10/19 uses the two extreme bounds of the grid
at once, so it is never below the grid's radius. Both modes allow lower p_A <= 1/2 if it is above upper p_B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from rs.methods.certificates.probabilities import (
    certified,
    check_draws,
    gaussian_radius,
    noise_name,
    split_counts,
)
from rs.methods.interfaces import Certified
from rs.settings.spending import Spends
from rs.statistics import bounds
from rs.statistics.bounds import Floats
from rs.statistics.draws import Draws

if TYPE_CHECKING:
    from rs.methods.noise.gaussian import Gaussian

GRID = tuple(g / 10 for g in range(1, 11))
RunnerUp = Literal["eq14", "largest"]


@dataclass(frozen=True)
class _Counts:
    """For M images: votes of the class, all votes, the other classes' votes in falling order [M, C - 1]."""

    hits: np.ndarray
    n: np.ndarray
    others: np.ndarray

    @staticmethod
    def of(draws: Draws, top: np.ndarray) -> _Counts:
        hits, others = split_counts(draws.estimation.counts, top)
        return _Counts(hits, draws.estimation.n, -np.sort(-others, axis=1)[:, :-1])

    def rows(self, at: np.ndarray, classes: int | None = None) -> _Counts:
        return _Counts(self.hits[at], self.n[at], self.others[at, :classes])


def _radius(
    sigma: float, counts: _Counts, alpha: float, share: Floats, how: RunnerUp
) -> tuple[Floats, Floats, Floats]:
    """Upper bounds of 1 - p_A and of p_B, and the radius, float64 [M], at error shares [M] for p_A."""
    q_a = bounds.clopper_pearson_upper(counts.n - counts.hits, counts.n, share * alpha)
    p_b, two = q_a.copy(), np.flatnonzero(share < 1)
    bound = bounds.largest_upper if how == "largest" else bounds.summed_upper
    other = bound(counts.others[two], counts.n[two], (1 - share[two]) * alpha)
    p_b[two] = np.minimum(q_a[two], other)
    return q_a, p_b, gaussian_radius(sigma, q_a, p_b)


def _search(
    draws: Draws, noise: Gaussian, alpha: float, top: np.ndarray, how: RunnerUp, half: bool
) -> Certified:
    """The largest radius over the grid of shares; with `half`, lower p_A must be above 1/2."""
    counts, shares = _Counts.of(draws, top), np.array(GRID)

    def proven(q_a: Floats, p_b: Floats) -> np.ndarray:
        return q_a < 0.5 if half else q_a + p_b < 1

    image, share = np.repeat(np.arange(len(draws)), len(GRID)), np.tile(shares, len(draws))
    q_a, p_b, radius = _radius(noise.sigma, counts.rows(image, 1), alpha, share, "largest")
    good = proven(q_a, p_b).reshape(-1, len(GRID))
    radius = np.where(good, radius.reshape(good.shape), -1.0)
    if how == "largest":
        return certified(top, np.any(good, axis=1), radius.max(1))
    # Eq. 14 lies above the bound of the largest count, so `radius` bounds what each share can reach. Solve
    # each image's most promising share until no remaining one can beat the best solved.
    best, certain = np.full(len(draws), -1.0), good[:, -1].copy()
    while len(todo := np.flatnonzero(radius.max(1) > best)):
        pick = radius[todo].argmax(1)
        q_a, p_b, solved = _radius(noise.sigma, counts.rows(todo), alpha, shares[pick], "eq14")
        valid = proven(q_a, p_b)
        best[todo] = np.where(valid, np.maximum(best[todo], solved), best[todo])
        certain[todo] |= valid
        radius[todo, pick] = -1.0
    return certified(top, certain, best)


@dataclass(frozen=True)
class TCertify:
    """As published: the largest radius over the grid, chosen after seeing the votes."""

    source: ClassVar[str] = "Feng, Wu, Chen, Zhang & Ning, AAAI 2020"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = False
    parameters_only: ClassVar[bool] = True
    capped: ClassVar[frozenset[str]] = frozenset({"gaussian"})

    select_on: Literal["selection", "estimation"] = "selection"
    runner_up: RunnerUp = "eq14"

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        noise_name(self, noise)
        check_draws(draws, alpha)
        votes = draws.selection if self.select_on == "selection" else draws.estimation
        return _search(draws, noise, alpha, votes.counts.argmax(1), self.runner_up, half=True)


@dataclass(frozen=True)
class TCertifySound:
    """One share fixed beforehand, or the published search at an error that pays for searching."""

    source: ClassVar[str] = "Feng, Wu, Chen, Zhang & Ning, AAAI 2020, with a proof that covers it"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    parameters_only: ClassVar[bool] = True
    capped: ClassVar[frozenset[str]] = frozenset({"gaussian"})
    # at g = 1 both bounds are smallest
    spends: ClassVar[Spends] = ({"when": {"mode": "grid"}, "divided": 1.9, "share": 1.0},)

    mode: Literal["fixed", "grid"] = "fixed"
    alpha_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    runner_up: RunnerUp = "largest"

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        noise_name(self, noise)
        check_draws(draws, alpha)
        top = draws.selection.counts.argmax(1)
        if self.mode == "grid":
            return _search(draws, noise, alpha / (1 + max(GRID) - min(GRID)), top, self.runner_up, half=False)
        share = np.full(len(draws), self.alpha_share)
        q_a, p_b, radius = _radius(noise.sigma, _Counts.of(draws, top), alpha, share, self.runner_up)
        return certified(top, q_a + p_b < 1, radius)
