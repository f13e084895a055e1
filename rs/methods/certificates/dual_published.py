"""Algorithm 2 of Soap Bubbles (App. B), as published, at a grid of radii.

Per radius, the selection votes give a first bound of p_A, and a small sample of T gives first estimates of D;
the lambda with the largest lambda p_A - D is kept. A fresh sample of `draws` values and the bound from the
estimation votes then decide: the radius is certified where lambda p_A - D - epsilon >= 1/2, with epsilon =
lambda sqrt(log(1 / alpha) / (2 draws)) (Thm. 7). The reported radius is the largest certified one.

Why it is not rigorous at 1 - alpha: the bound of p_A and that of D each spend all of alpha, D's bound is
stated as two-sided while it is one-sided, and nothing pays for the search over radii. `dual` is the sound
form. The paper leaves open the range of lambda and its step (fields here), the sizes of the first samples,
and the radii. Departure: the samples of T are shared by all images and radii, and come from the exact law of
T instead of rejection.

The cost (Gaussian noise, n = 100,000, alpha = 0.001, unanimous votes, where Cohen et al.'s bound gives 3.81
sigma): 100 selection votes bound p_A by at most 0.933. The lambda chosen with that bound is too small for p_A
near 1, so nothing above 1.96 sigma is certified. `lambda_votes: estimation` chooses lambda by the bound that
decides and reaches 2.47 sigma (a departure: Algorithm 2 has a first sample for it; 1,000 selection votes do
as well). The rest of the loss is Theorem 7's epsilon, which grows with lambda.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from rs.errors import UserError
from rs.methods.certificates.divergence_table import last_radius_of_means
from rs.methods.certificates.probabilities import certified, noise_name, vote_probabilities
from rs.methods.certificates.ratio_laws import FREEDOM, NORMS, SampledLaw, law_of, noise_scale
from rs.methods.interfaces import Certified
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.spherical import Spherical
from rs.settings.limits import Divisor, Positive, Seed
from rs.statistics.bounds import Floats, clopper_pearson_lower
from rs.statistics.draws import Draws
from rs.study.feasibility import grid_fault

if TYPE_CHECKING:
    from rs.methods.certificates.ratio_laws import SHAPED


def estimate(T: Floats, multipliers: Floats) -> Floats:
    """Mean of (lambda - exp(T))_+ for every lambda."""
    ratio = np.sort(np.exp(np.minimum(T, 600.0)))
    total = np.concatenate([[0.0], np.cumsum(ratio)])
    below = np.searchsorted(ratio, multipliers, side="right")
    return np.asarray((multipliers * below - total[below]) / len(ratio))


@functools.lru_cache(maxsize=16)
def _estimates(
    law: SampledLaw, lambdas: tuple[float, ...], radii: int, first: int, draws: int, seed: int
) -> tuple[Floats, Floats, Floats]:
    """r [J] and both estimates of D [J, L]."""
    generator = torch.Generator().manual_seed(seed)
    pilot, sample = law.sample(first, generator), law.sample(draws, generator)
    r = last_radius_of_means(pilot) * np.arange(1, radii + 1) / radii
    grid = np.array(lambdas)
    first_d, second_d = (np.array([estimate(s(float(x)), grid) for x in r]) for s in (pilot, sample))
    return r, first_d, second_d


@dataclass(frozen=True)
class DualPublished:
    """l2 radius for gaussian and spherical noise, linf for mixed_norm and sup_norm."""

    source: ClassVar[str] = "Soap Bubbles (ICLR 2020 submission), Algorithm 2"
    norms: ClassVar[dict[str, float]] = NORMS
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = False
    anytime: ClassVar[bool] = True
    freedom: ClassVar[float] = FREEDOM

    lambda_start: Positive = 0.1
    lambda_end: Positive = 20.0
    lambda_step: Divisor = 0.1
    first_draws: Annotated[int, Field(ge=100, le=10**8)] = 1000
    draws: Annotated[int, Field(ge=100, le=10**8)] = 100_000
    radii: Annotated[int, Field(ge=1, le=10_000)] = 100
    seed: Seed = 0
    lambda_votes: Literal["selection", "estimation"] = "selection"

    def __post_init__(self) -> None:
        if fault := grid_fault(self.lambda_start, self.lambda_end, self.lambda_step):
            raise UserError(f"dual_published.{': '.join(fault)}")

    def certify(self, draws: Draws, noise: Gaussian | SHAPED, alpha: float) -> Certified:
        noise_name(self, noise)
        d = draws.dimension
        law = law_of(Spherical(noise.sigma) if isinstance(noise, Gaussian) else noise, d)
        lambdas = np.arange(self.lambda_start, self.lambda_end + self.lambda_step / 2, self.lambda_step)
        r, first, second = _estimates(
            law, tuple(lambdas.tolist()), self.radii, self.first_draws, self.draws, self.seed
        )
        bounds = vote_probabilities(draws, alpha, 1.0)
        first_p = 1 - bounds.q_a
        if self.lambda_votes == "selection":
            selected = draws.selection.counts[np.arange(len(draws)), bounds.top]
            first_p = clopper_pearson_lower(selected, draws.selection.n, alpha)
        epsilon = np.sqrt(np.log(1 / alpha) / (2 * self.draws))
        radius = np.zeros(len(draws))
        for j, length in enumerate(r):
            best = (first_p[:, None] * lambdas - first[j]).argmax(1)
            bound = lambdas[best] * (1 - bounds.q_a - epsilon) - second[j][best]
            # r grows, so larger certified radii overwrite smaller ones
            radius[bound >= 0.5] = length * noise_scale(noise, d) * (1 - 1e-14)
        return certified(bounds.top, (radius > 0) | (bounds.q_a < 0.5), radius)
