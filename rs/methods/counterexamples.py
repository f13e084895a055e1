"""Counterexamples to a certificate: classifiers that change their class within the radius that it claims.

A rigorous certificate errs with probability at most alpha, whatever the classifier. Here it sees simulated
votes of classifiers whose class probabilities are known. Let r be the w-th largest radius that it claims for
one of them, w so large that w wrong claims rule out an error of alpha. It is refuted if a classifier with
these probabilities has another class at a shift delta of length r.

By Neyman and Pearson's lemma the worst such classifier is cut along T(z) = log q(z - delta) / q(z): A where T
is lowest, B, the other class of the largest probability, where T is highest. The cuts are order statistics of
draws of q. The mass of q up to the k-th of N draws has the law Beta(k, N + 1 - k) (Wilks 1941), so k is taken
such that A's part has at least its probability p_A, and B's at most its p_B. Fresh draws of q, shifted by
delta, are counted in both parts. A is refuted where the Clopper-Pearson bounds put A's part below B's: within
A's part lies one of mass p_A, around B's part one of mass p_B, and both only favour B.

Which side errs. The parts are functions of the noisy image, so any T and any delta of that length make a
valid counterexample: the two directions that are tried, and a wrong `log_ratio`, can overlook mistakes and
not invent them. A sound certificate is refuted with probability below 2e-6: ERROR for w and for each of the
four bounds per case and direction, and alpha where its images share a random table. Overlooked are radii too
large by less than the draws resolve: 3 % for a tight certificate, more for one that stays below.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from rs.statistics.bounds import Floats, clopper_pearson_lower, clopper_pearson_upper
from rs.statistics.draws import Votes
from rs.statistics.paired_draws import PairedDraws

if TYPE_CHECKING:
    from torch import Tensor

    from rs.methods.interfaces import Certificate
    from rs.smoothing.noise import Noise

DIMENSION = 5  # few coordinates: in many, most noises come close to Gaussian ones
ALPHA, ERROR = 1e-6, 1e-9
DRAWS = 2**18
_TOGETHER = 2**15  # rows whose temporaries fit into a processor's cache
IMAGES = {1_000: 40, 10**8: 6}  # votes -> images: where bounds matter, where they are near the truth
SELECTION = 100
CLASSES = 10
PROBABILITIES = (  # A's first, then B's
    (0.8, 0.2),
    (0.95, 0.05),
    (0.99, 0.01),
    (0.6, 0.3, 0.1),
    (0.4, 0.2, 0.2, 0.2),
    (0.9, *[0.02] * 5),
    (0.52, 0.48),  # few votes certify no class, and the selection often takes B
)


@dataclass(frozen=True)
class Counterexample:
    """A classifier of these class probabilities does not keep its class up to the radius `claimed` from votes
    of it, only up to about `tight`; an infinite `claimed`: claims of a class that is not the largest.
    """

    probabilities: tuple[float, ...]
    claimed: float
    tight: float


def counterexample(certificate: Certificate, noise: Noise, norm: float) -> Counterexample | None:
    """The first one that is found, to radii in the norm `norm`. Seeds are fixed: always the same answer."""
    worst = Worst(noise, norm)
    for p, r in claimed_radii(certificate, noise):
        if math.isinf(r) or (r > 0 and worst.changes(r, p, ERROR)):
            return Counterexample(p, r, worst.tight(r, p))
    return None


def claimed_radii(certificate: Certificate, noise: Noise) -> Iterator[tuple[tuple[float, ...], float]]:
    """Per class probabilities the largest radius that is claimed so often that, if it is wrong, the
    certificate errs more often than it says; infinite for claims of another class than the first.
    """
    claimed = np.full(len(PROBABILITIES), -1.0)
    for n, images in IMAGES.items():
        draws = simulated(n, images, getattr(certificate, "beta", 1.0), np.random.default_rng(n))
        found = certificate.certify(draws, noise, ALPHA)
        radius = np.where(found.prediction > 0, np.inf, np.where(found.prediction < 0, -1.0, found.radius))
        often = int(stats.binom.isf(ERROR, images, ALPHA)) + 1
        claimed = np.maximum(claimed, np.sort(radius.reshape(-1, images), axis=1)[:, -often])
    yield from zip(PROBABILITIES, claimed.tolist(), strict=True)


def simulated(n: int, images: int, beta: float, rng: np.random.Generator) -> PairedDraws:
    """Votes of `images` images for each of PROBABILITIES. Scores are those of a classifier that is always
    sure, so their means are p too; both networks of paired votes are that one classifier.
    """

    def votes(number: int) -> Votes:
        drawn = (rng.multinomial(number, p, images) for p in PROBABILITIES)
        counts = np.concatenate([np.pad(c, ((0, 0), (0, CLASSES - c.shape[1]))) for c in drawn])
        scores = {beta: counts.astype(np.float64)}
        return Votes(counts, scores, scores)

    selection, estimation, size = votes(SELECTION), votes(n), len(PROBABILITIES) * images
    return PairedDraws(
        np.arange(size),
        np.zeros(size, np.int64),
        selection,
        estimation,
        DIMENSION,
        rng.random(size),
        first=votes(n),
        beside=estimation.counts,
        both=estimation.counts,
    )


class Worst:
    """The classifiers that shifts along an axis and along the diagonal of the cube change first."""

    def __init__(self, noise: Noise, norm: float) -> None:
        import torch

        axis, diagonal = torch.eye(DIMENSION, dtype=torch.float64)[0], torch.ones(DIMENSION).double()
        self.noise, generator = noise, torch.Generator().manual_seed(0)
        # shorter by what rounding may add to their length
        self.directions = [v / torch.linalg.vector_norm(v, norm) * (1 - 1e-9) for v in (axis, diagonal)]
        shape = (DRAWS, 1, 1, DIMENSION)
        self.before, self.after = (noise.sample(shape, generator).flatten(1).double() for _ in range(2))

    def changes(self, r: float, p: tuple[float, ...], error: float) -> bool:
        """Whether one of them has another class at a shift of length r, each bound at `error`."""
        return any(self._changes(r * direction, p, error) for direction in self.directions)

    def tight(self, r: float, p: tuple[float, ...]) -> float:
        """An estimate of the least r at which one of them changes; an infinite r is no claim to compare."""
        low, high = 0.0, r
        while math.isfinite(r) and high - low > 1e-3 * r:
            middle = (low + high) / 2
            low, high = (low, middle) if self.changes(middle, p, 0.5) else (middle, high)
        return low

    def _changes(self, shift: Tensor, p: tuple[float, ...], error: float) -> bool:
        before, after = (self._order(z, shift) for z in (self.before, self.after + shift))
        cuts = []
        for mass in (p[0], 1 - p[1]):
            k = int(stats.binom.isf(error, DRAWS, mass)) + 1
            cut = order_statistic(*before, k) if k <= DRAWS else None
            if cut is None:
                return False
            cuts.append(cut)
        in_a, in_b = (up_to(*after, cut) for cut in cuts)
        a, b = int(in_a.sum()), DRAWS - int(in_b.sum())
        return bool(clopper_pearson_upper(a, DRAWS, error) < clopper_pearson_lower(b, DRAWS, error))

    def _order(self, z: Tensor, shift: Tensor) -> tuple[Floats, Floats]:
        """T, to the digits that rounding leaves where T is constant, and what breaks its ties; [N] each."""
        pieces = [self.noise.log_ratio(piece, shift).numpy() for piece in z.split(_TOGETHER)]
        ratio = np.nan_to_num(np.concatenate(pieces), nan=0.0, posinf=np.inf, neginf=-np.inf)
        return np.round(ratio, 6), (z @ shift).numpy()


def order_statistic(first: Floats, second: Floats, k: int) -> tuple[float, float] | None:
    """The k-th smallest pair (k from 1), the first numbers compared first; None where that pair has mass, so
    that noise and shift are discrete.
    """
    x = float(np.partition(first, k - 1)[k - 1])
    ties = second[first == x]
    y = float(np.partition(ties, k - 1 - (rest := int(np.sum(first < x))))[k - 1 - rest])
    return None if np.mean((first == x) & (second == y)) > 1e-3 else (x, y)


def up_to(first: Floats, second: Floats, cut: tuple[float, float]) -> Any:
    """Bool [N]: the pair is not above `cut`."""
    return (first < cut[0]) | ((first == cut[0]) & (second <= cut[1]))
