"""Shared by the certificates: bounds of p_A and p_B from draws, and the Gaussian radius of such bounds.

The class A comes from the selection draws, so it is independent of the estimation draws. Bounds of p_A and of
the largest other probability p_B, at errors s * alpha and (1 - s) * alpha, hold together with probability 1 -
alpha for a share s fixed beforehand. On that event A is the smoothed class wherever lower p_A > upper p_B.
With s = 1 there is one bound and p_B <= 1 - p_A. Bounds of p_A are kept as q_A = upper bound of 1 - p_A,
which keeps its digits at p_A near 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from rs.errors import UserError
from rs.methods.interfaces import Certified
from rs.methods.noise import METHODS
from rs.statistics import bounds, sequences
from rs.statistics.bounds import Floats
from rs.statistics.draws import Draws, Votes

if TYPE_CHECKING:
    from rs.smoothing.noise import Noise


LEAST_ALPHA = 1e-300  # shares of it are still normal float64 numbers


@dataclass(frozen=True)
class Probabilities:
    """For N images: the class int64 [N]; upper bounds of 1 - p_A and of every other class's probability,
    float64 [N].
    """

    top: np.ndarray
    q_a: Floats
    p_b: Floats


def noise_name(certificate: Any, noise: Noise) -> str:
    """The family of `noise`, which is one of rs.methods.noise or a description (attribute `family` and
    parameters).

    Raises UserError where the certificate has no theorem for it.
    """
    path = f"{type(noise).__module__}:{type(noise).__qualname__}"
    named = getattr(noise, "family", type(noise).__name__)
    name = next((n for n, target in METHODS.items() if target == path), named)
    if name not in certificate.norms:
        allowed = ", ".join(sorted(certificate.norms))
        raise UserError(
            f"certificate {type(certificate).__name__}: no theorem for noise {name}; allowed: {allowed}"
        )
    return name


def check_draws(draws: Draws, alpha: float, anytime: bool = False) -> None:
    """Raises UserError for an error rate or for votes from which no bound follows.

    A bound for a fixed number of votes does not hold if the number was chosen by looking at them: such votes
    are refused unless the caller's bound is `anytime` valid.
    """
    if not 0 < alpha < 1:
        raise UserError(f"alpha = {alpha:g}: must lie strictly between 0 and 1")
    if alpha < LEAST_ALPHA:
        raise UserError(f"alpha = {alpha:g}: must be at least {LEAST_ALPHA:g}")
    if draws.stopping != "fixed" and not (anytime and draws.stopping == "sequential"):
        raise UserError(
            f"draws: votes stopped by {draws.stopping!r}, but this certificate needs a fixed number of them"
        )
    for name, votes in (("selection", draws.selection), ("estimation", draws.estimation)):
        if np.any(votes.counts < 0):
            raise UserError(f"draws: negative {name} counts; each must be 0 or more")
        if votes.counts.shape[1] < 2:
            raise UserError(f"draws: {name} counts of one class only; at least 2 classes are needed")
        if np.any(votes.n < 1):
            raise UserError(
                f"draws: image {draws.images[votes.n < 1][0]} has no {name} votes; at least 1 is needed"
            )


def split_counts(counts: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Votes of the class `top` [N], and of the other classes [N, C] (the entry of `top` set to 0)."""
    rows = np.arange(len(counts))
    others = counts.copy()
    others[rows, top] = 0
    return counts[rows, top], others


def vote_probabilities(draws: Draws, alpha: float, share: float) -> Probabilities:
    """Clopper-Pearson bounds from votes; p_B through the largest other count (`bounds.largest_upper`).

    For votes that were stopped by looking at them, bounds of a confidence sequence (rs.statistics.sequences)
    take their place, for p_B as well: they hold at any stopping time and at any alpha.
    """
    check_draws(draws, alpha, anytime=True)
    upper = bounds.clopper_pearson_upper if draws.stopping == "fixed" else sequences.upper
    top = draws.selection.counts.argmax(1)
    n = draws.estimation.n
    hits, others = split_counts(draws.estimation.counts, top)
    q_a = upper(n - hits, n, share * alpha)
    p_b = np.minimum(q_a, upper(others.max(-1), n, (1 - share) * alpha)) if share < 1 else q_a
    return Probabilities(top, q_a, p_b)


Width = Callable[[Floats, Floats, np.ndarray, float], Floats]


def hoeffding(mean: Floats, mean_square: Floats, trials: np.ndarray, alpha: float) -> Floats:
    return np.broadcast_to(bounds.hoeffding_width(trials, alpha), mean.shape)


def bernstein(mean: Floats, mean_square: Floats, trials: np.ndarray, alpha: float) -> Floats:
    return bounds.bernstein_width(mean, mean_square, trials, alpha)


WIDTHS: dict[str, Width] = {"hoeffding": hoeffding, "bernstein": bernstein}


def score_probabilities(draws: Draws, beta: float, alpha: float, share: float, width: Width) -> Probabilities:
    """Bounds of expected softmax scores at inverse temperature `beta` (the soft smoothed classifier's p_A and
    p_B).

    p_B is bounded by the largest of all other classes' upper bounds, each at the same error: the class that
    attains p_B is fixed, and its own bound is one of them. Scores of one image sum to 1 up to float32
    rounding; where p_B <= 1 - p_A is used, the excess of their mean total over 1 is added.
    """
    check_draws(draws, alpha)

    def moments(votes: Votes) -> tuple[np.ndarray, np.ndarray]:
        if beta not in votes.sums:
            stored = ", ".join(f"{b:g}" for b in sorted(votes.sums)) or "none"
            raise UserError(f"beta = {beta:g}: the draws hold no softmax moments at it; stored: {stored}")
        return votes.sums[beta], votes.squares[beta]

    top = moments(draws.selection)[0].argmax(1)
    sums, squares = moments(draws.estimation)
    n = draws.estimation.n[:, None]
    mean, square, rows = sums / n, squares / n, np.arange(len(draws))
    total = mean.sum(1)
    if np.any(np.abs(total - 1) > 1e-4):
        raise UserError("draws: softmax scores of an image do not sum to 1")
    # outwards by 1e-12, more than float64 sums lose
    lower = (mean - width(mean, square, n, share * alpha))[rows, top] - 1e-12
    q_a = np.clip(1 - lower, 0.0, 1.0)
    p_b = np.minimum(q_a + np.maximum(total - 1, 0), 1.0)
    if share < 1:
        upper = mean + width(mean, square, n, (1 - share) * alpha) + 1e-12
        upper[rows, top] = 0.0
        p_b = np.minimum(p_b, upper.max(1))
    return Probabilities(top, q_a, p_b)


def gaussian_radius(sigma: float, q_a: Floats, p_b: Floats) -> Floats:
    """sigma / 2 * (Phi^-1(1 - q_A) - Phi^-1(p_B)), rounded down; not above 0 where q_A + p_B >= 1."""
    a, b = special.ndtri(np.minimum(q_a, 1.0)), special.ndtri(np.minimum(p_b, 1.0))
    with np.errstate(invalid="ignore"):
        # relative 1e-12: more than ndtri can be off; the second term covers what the difference of two
        # quantiles loses (no difference where p_B = 1 - p_A)
        radius = -(a + b) / 2 * (1 - 1e-12) - np.where(a == b, 0.0, 4e-16 * (np.abs(a) + np.abs(b)))
    return sigma * np.where(q_a + p_b < 1, radius, 0.0)


def certified(top: np.ndarray, certain: np.ndarray, radius: Floats) -> Certified:
    """Prediction `top` where certain, otherwise -1 with radius 0. Radii that rounding took below 0 are 0."""
    return Certified(np.where(certain, top, -1), np.where(certain, np.maximum(radius, 0.0), 0.0))
