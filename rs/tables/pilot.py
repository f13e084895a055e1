"""The spread of differences in a pilot study, for `rs power`. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from rs.errors import UserError
from rs.statistics.agreement import FEWEST_SEEDS, seeds_of
from rs.statistics.bounds import Floats, clopper_pearson_upper
from rs.tables.contestants import Contestant, common_images, refuse_other_norms

_ROUNDING = 1e-9  # relative: a smaller spread is none


@dataclass(frozen=True)
class Pilot:
    """Standard deviations of one image: of A minus B (`paired`), and of both sides together (`unpaired`: the
    root of the sum of their variances). Radii without any spread are no proof of none: then one image is
    taken to differ by the largest radius, as in rs.statistics.paired. Values that need two contestants, or
    three seeds of both, are None without them.
    """

    names: tuple[str, ...]
    metric: str
    radius: float | None
    images: int
    seeds: int
    unpaired: float
    difference: float | None = None
    correlation: float | None = None
    paired: float | None = None
    # share of images on which only one side is right, for an accuracy without a factor
    discordant: float | None = None
    seed_deviation: float | None = None  # of the difference of one seed


def pilot_of(contestants: Sequence[Contestant], radius: float | None) -> Pilot:
    """The pilot of the average certified radius, or of certified accuracy at `radius`; variances are means
    over seeds.

    Raises UserError for values that stopped votes leave open, since no number of images decides them.
    """
    if any(c.certified is None for c in contestants):
        raise UserError("power: a pilot needs certified radii")
    refuse_other_norms(contestants)
    for c in contestants:
        if c.is_lower_bound(radius):
            radii = ", ".join(f"{r:g}" for r in c.decided or ())
            hint = (
                f"give --at one of the radii that they decide: {radii}" if radii else "they decide no radius"
            )
            raise UserError(f"power: {c.name}: its votes were stopped at a lower bound; {hint}")
    outcomes = [c.certified for c in contestants if c.certified]
    names = tuple(c.name for c in contestants)
    sides = [of.values for of in outcomes]
    if len(outcomes) == 2:
        _, *sides, _ = common_images(outcomes[0], outcomes[1], (names[0], names[1]))
    images = sides[0].shape[1]
    if images < 2:
        raise UserError(f"{' and '.join(names)}: one image; a pilot needs at least 2")
    values = [_valued(side, radius, c.factor) for side, c in zip(sides, contestants, strict=True)]
    variances = [float(v.var(axis=1, ddof=1).mean()) for v in values]
    metric = "acr" if radius is None else "certified_accuracy"
    if len(values) == 1:
        unpaired = _deviation(2 * variances[0], values, radius)
        return Pilot(names, metric, radius, images, len(values[0]), unpaired)
    a, b = values
    both = min(len(a), len(b))
    counts = radius is not None and all(c.factor == 1 for c in contestants)
    differences = a[:both] - b[:both]
    covariance = float(np.mean([np.cov(x, y)[0, 1] for x, y in zip(a[:both], b[:both], strict=True)]))
    spread = float(np.sqrt(np.prod(variances)))
    return Pilot(
        names,
        metric,
        radius,
        images,
        both,
        unpaired=_deviation(sum(variances), values, radius),
        difference=float(a.mean() - b.mean()),
        correlation=covariance / spread if spread else None,
        paired=_deviation(float(differences.var(axis=1, ddof=1).mean()), values, radius),
        discordant=float((differences != 0).mean()) if counts else None,
        seed_deviation=_over_seeds(contestants, values, max(float(v.max()) for v in values) / images),
    )


def _valued(certified: Floats, radius: float | None, factor: float) -> Floats:
    return np.maximum(certified, 0.0) if radius is None else np.where(certified >= radius, factor, 0.0)


def _deviation(variance: float, values: Sequence[Floats], radius: float | None) -> float:
    """The root of the variance of single images; of radii without spread, if one of them differs by the
    largest radius. Without spread an accuracy has 0: the difference to detect tells how many images differ at
    least. Raises UserError where nothing is certified at any radius.
    """
    largest = max(float(v.max()) for v in values)
    if variance > (_ROUNDING * largest) ** 2:
        return math.sqrt(variance)
    if radius is not None:
        return 0.0
    if largest == 0:
        raise UserError("power: the pilot certifies no image at any radius, which tells no spread")
    return largest / math.sqrt(values[0].shape[1])


def _over_seeds(
    contestants: Sequence[Contestant], values: Sequence[Floats], resolution: float
) -> float | None:
    """Standard deviation of the difference from one seed on each side; paired where seeds are shared."""
    a, b = (dict(zip(c.seeds, v.mean(axis=1), strict=True)) for c, v in zip(contestants, values, strict=True))
    shared = [seed for seed in a if seed in b and seed is not None]
    if len(shared) >= FEWEST_SEEDS:
        spread = seeds_of([float(a[seed] - b[seed]) for seed in shared], resolution).spread
    else:
        spread = math.hypot(*(seeds_of([*map(float, side.values())], resolution).spread for side in (a, b)))
    return None if math.isnan(spread) else spread


def at_votes(
    contestants: Sequence[Contestant], drawn: Sequence[int], n: int, alphas: Sequence[float]
) -> tuple[float, float]:
    """For Cohen et al.'s certificate with n votes an image instead of `drawn`, at each side's alpha: the
    standard deviation of A minus B, and the mean radius of both.

    p_A is recovered from each radius (its lower bound belongs to k of N drawn votes), and gives k/N n of n
    votes. The noise that fewer votes add is that of the delta method, sigma^2 p (1 - p) / (n phi(Phi^-1
    p)^2), as if both sides had drawn independently; with the same noise it is less.
    """
    outcomes = [c.certified for c in contestants if c.certified]
    names = (contestants[0].name, contestants[1].name)
    _, a, b, _ = common_images(outcomes[0], outcomes[1], names)
    expected, noise = [], 0.0
    for certified, contestant, number, alpha in zip((a[0], b[0]), contestants, drawn, alphas, strict=True):
        assert contestant.sigma is not None
        radius, error = _redrawn(certified, contestant.sigma, number, n, alpha)
        expected.append(radius)
        noise += max(error - _redrawn(certified, contestant.sigma, number, number, alpha)[1], 0.0)
    spread = float((expected[0] - expected[1]).var(ddof=1)) + noise
    largest = float(np.max(expected))
    if spread <= (_ROUNDING * largest) ** 2:  # as in _deviation
        spread = largest**2 / expected[0].size
    return float(np.sqrt(spread)), float(np.mean(expected))


def _redrawn(certified: Floats, sigma: float, drawn: int, n: int, alpha: float) -> tuple[Floats, float]:
    """Radii [N] with n votes, and the mean over the images of the variance that the votes add."""
    failures = np.arange(0, drawn // 2 + 1)
    if len(failures) > 4000:  # the bound falls smoothly: fine near 0, coarse above
        failures = np.unique(
            np.concatenate([failures[:1000], np.geomspace(1000, drawn // 2, 3000).astype(int)])
        )
    bounds = clopper_pearson_upper(failures, np.full(len(failures), drawn), alpha)
    complement = special.ndtr(-certified / sigma)  # upper bound of 1 - p_A
    share = np.interp(complement, bounds, failures / drawn)
    again = np.minimum(np.rint(share * n), n).astype(int)
    upper = clopper_pearson_upper(again, np.full(len(again), n), alpha)
    right = (certified >= 0) & (upper < 0.5)
    radius = np.where(right, -sigma * special.ndtri(np.minimum(upper, 0.5)), 0.0)
    p = 1 - np.maximum(share, 1 / n)
    density = np.exp(-(special.ndtri(p) ** 2) / 2) / np.sqrt(2 * np.pi)
    noise = np.where(right & (again > 0), sigma**2 * p * (1 - p) / (n * density**2), 0.0)
    return radius, float(noise.mean())
