"""Neyman-Pearson oracle: the tight radius for any noise with a likelihood ratio, by plain Monte Carlo.

With T0 = log q(z - delta) / q(z) at z ~ q and T1 the same at z ~ q_delta, the most unstable region of
probability p is {T <= t}, randomised at T = t. So radius r needs p_A = P(T0 < t) + g P(T0 = t), where t and g
solve P(T1 < t) + g P(T1 = t) = 1/2. Both are estimated from `draws` draws of `noise.sample` and
`noise.log_ratio`; deliberately, no family's formula is used. delta lies on the first axis for l1 and l2
balls, at (r, ..., r) for linf.

Error: the needed p_A is off by about sqrt(p (1 - p) / draws) + (lambda / 2) / sqrt(draws), lambda = dP0 / dP1
at the threshold. No bound covers this error, and the worst delta is assumed, so nothing here is rigorous.
Radii are rounded down to a grid of `radii` values up to the one at which no draw supports a claim.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from rs.methods.certificates.probabilities import certified, noise_name, vote_probabilities
from rs.methods.interfaces import Certified
from rs.settings.limits import Seed
from rs.statistics.bounds import Floats
from rs.statistics.draws import Draws

if TYPE_CHECKING:
    from rs.smoothing.noise import Noise

_CHUNK = 2**21  # numbers drawn at a time


def likelihood_ratios(
    noise: Noise, norm: float, d: int, radii: Sequence[float], draws: int, generator: torch.Generator
) -> tuple[Floats, Floats]:
    """T0 and T1 [len(radii), draws] at shifts of length `radii` in the norm `norm`."""
    direction = torch.zeros(d, dtype=torch.float64)
    direction[: d if math.isinf(norm) else 1] = 1.0
    before, after = np.empty((2, len(radii), draws))
    chunk = max(1, _CHUNK // d)
    for start in range(0, draws, chunk):
        z = noise.sample((min(chunk, draws - start), 1, 1, d), generator).flatten(1)
        for j, r in enumerate(radii):
            before[j, start : start + len(z)] = noise.log_ratio(z, r * direction).numpy()
            after[j, start : start + len(z)] = -noise.log_ratio(z, -r * direction).numpy()
    return before, after


def required_probability(before: Floats, after: Floats) -> Floats:
    """The least p_A that certifies, per row of T0 and T1 [J, n]."""
    needed = []
    for t0, t1 in zip(before, after, strict=True):
        t = np.sort(t1)[(len(t1) - 1) // 2]
        g = (0.5 - np.mean(t1 < t)) / np.mean(t1 == t)
        needed.append(np.mean(t0 < t) + g * np.mean(t0 == t))
    return np.array(needed)


@dataclass(frozen=True)
class NeymanPearson:
    """An estimate of the tight radius; l2, l1 or linf by the noise."""

    source: ClassVar[str] = "Neyman & Pearson 1933; Cohen, Rosenfeld & Kolter, ICML 2019, Lemma 3"
    norms: ClassVar[dict[str, float]] = {
        "gaussian": 2.0,
        "laplace": 1.0,
        "mixed_norm": np.inf,
        "spherical": 2.0,
        "sup_norm": np.inf,
        "uniform": 1.0,
    }
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = False
    anytime: ClassVar[bool] = True

    draws: Annotated[int, Field(ge=100, le=10**8)] = 10_000
    radii: Annotated[int, Field(ge=1, le=10_000)] = 50
    seed: Seed = 0

    def certify(self, draws: Draws, noise: Noise, alpha: float) -> Certified:
        norm = self.norms[noise_name(self, noise)]
        generator = torch.Generator().manual_seed(self.seed)

        def needed(radii: Sequence[float], n: int) -> Floats:
            ratios = likelihood_ratios(noise, norm, draws.dimension, radii, n, generator)
            return required_probability(*ratios)

        high = 1.0
        while needed([high], 500)[0] < 0.999:
            high *= 2
        while needed([high / 2], 500)[0] >= 0.999:
            high /= 2
        r = high * np.arange(1, self.radii + 1) / self.radii
        p = np.minimum.accumulate(needed(r.tolist(), self.draws)[::-1])[::-1]
        bounds = vote_probabilities(draws, alpha, 1.0)
        radius = np.concatenate([[0.0], r])[np.searchsorted(p, 1 - bounds.q_a, side="left")]
        return certified(bounds.top, bounds.q_a < 0.5, radius)
