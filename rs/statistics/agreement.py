"""Intervals of the difference between a measured number and a printed one, with both sides' noise in it.

A measured number x is the mean over K training seeds on n images. A printed number y is from one network on
n' images, rounded to its digits (at most u off). Sources of noise:

- The images. If both sides have the same images, their noise is shared and drops out. Otherwise the sides are
  independent, and their intervals (l, h) are joined by MOVER (Zou & Donner 2008; of two Wilson intervals it
  is Newcombe's hybrid score interval, 1998): x - y lies in [x - y - sqrt((x - l)^2 + (h' - y)^2), x - y +
  sqrt((h - x)^2 + (y - l')^2)].
- The training seeds. The interval is that of the difference between the two methods' means over training: x
  is off ours by spread / sqrt(K), y off theirs by its one network's luck. Only our spread s is known, and
  theirs is taken to be the same, so the half-width is t_{K-1} s sqrt(1 + 1/K), as in a prediction of one
  further network. Its square is added under the roots, as a third independent part. K equal numbers do not
  prove that there is no spread: s is at least what one image in one seed makes, step / sqrt(K), where one
  image moves the number by `step` (1/n of an accuracy, the largest radius over n of an average one). The
  spread of single images over the seeds would be a higher floor, valid as far as the images are independent.
  But it exceeds many observed spreads, and would widen intervals without need. With fewer than 3 seeds s says
  too little, and so do equal numbers of unknown step: the part is then left out, and whoever shows the
  interval says so.
- The rounding: u is added on both sides, as it is a bound and not noise.

Not included: the votes, whose noise both sides have once and which n = 100,000 makes small; the choice of the
best of several networks, which both sides make. A prediction from one number that was chosen to be printed
cannot know what was not printed. How often verdicts are wrong: docs/evidence/decided-wrongly.md.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from rs.statistics.intervals import wilson_interval

FEWEST_SEEDS = 3  # with fewer the spread between trainings is unknown
_EQUAL = 1e-12  # relative: a spread below this is rounding
_MOST_IMAGES, _MOST_SEEDS = 10**9, 1000  # larger needs are reported as None


@dataclass(frozen=True)
class Side:
    """A number with the interval of its image noise; `low` = `value` = `high` where the noise is shared."""

    value: float
    low: float
    high: float

    @property
    def fixed(self) -> Side:
        """The same number without image noise, for images that the other side has too."""
        return Side(self.value, self.value, self.value)


@dataclass(frozen=True)
class Seeds:
    """The number of training seeds and the spread of a value over them (nan where unknown)."""

    count: int
    spread: float

    def width(self, confidence: float, count: int | None = None) -> float:
        """Half-width of the difference between the mean over `count` seeds and one further network."""
        k = self.count if count is None else count
        if math.isnan(self.spread):
            return 0.0
        return float(special.stdtrit(k - 1, 0.5 + confidence / 2)) * self.spread * math.sqrt(1 + 1 / k)

    def one_network(self, confidence: float) -> float:
        """Half-width that remains for the paper's single network, however many seeds are ours."""
        return 0.0 if math.isnan(self.spread) else float(special.ndtri(0.5 + confidence / 2)) * self.spread


@dataclass(frozen=True)
class Difference:
    """x - y with its interval, and the parts that show what would make it narrower."""

    value: float
    low: float
    high: float
    ours: float  # half-widths of our image noise and of theirs
    theirs: float
    seeds: Seeds
    unit: float
    confidence: float

    def papers_own(self, images: bool = True) -> float:
        """Half-width that would remain with unlimited images, votes and seeds of ours, with or without the
        noise of their images.
        """
        theirs = self.theirs if images else 0.0
        return math.hypot(theirs, self.seeds.one_network(self.confidence)) + self.unit


def printed_accuracy(value: float, images: int, confidence: float) -> Side:
    """A printed accuracy with its Wilson interval."""
    low, high = wilson_interval(value * images, images, confidence)
    return Side(value, float(low), float(high))


def printed_like(value: float, ours: Side, images: int, papers: int) -> Side:
    """A printed mean whose images are assumed to spread as ours: half-widths scale with 1 / sqrt(images)."""
    scale = math.sqrt(images / papers)
    return Side(value, value - (ours.value - ours.low) * scale, value + (ours.high - ours.value) * scale)


def seeds_of(values: Sequence[float], resolution: float = 0.0) -> Seeds:
    """The spread of `values`, one per seed. `resolution` is how much one image moves a value (1 / images for
    an accuracy); 0 if unknown. The spread is unknown for too few seeds, and for equal values without a
    resolution.
    """
    k = len(values)
    if k < FEWEST_SEEDS:
        return Seeds(k, math.nan)
    spread = max(float(np.std(values, ddof=1)), resolution / math.sqrt(k))
    return Seeds(k, spread if spread > _EQUAL * float(np.abs(values).max()) else math.nan)


def difference(ours: Side, theirs: Side, seeds: Seeds, unit: float, confidence: float = 0.95) -> Difference:
    """The interval of ours - theirs; `unit` is half a unit of the last printed digit."""
    value, spread = ours.value - theirs.value, seeds.width(confidence)
    low = value - math.hypot(ours.value - ours.low, theirs.high - theirs.value, spread) - unit
    high = value + math.hypot(ours.high - ours.value, theirs.value - theirs.low, spread) + unit
    return Difference(value, low, high, _half(ours), _half(theirs), seeds, unit, confidence)


def _half(side: Side) -> float:
    return max(side.value - side.low, side.high - side.value)


def images_to_decide(found: Difference, margin: float, images: int) -> int | None:
    """The number of our images that would bring the interval inside the margin or off 0, if the true
    difference were the observed one; None if no number would.
    """
    budget = _target(found, margin) - found.unit
    left = budget**2 - found.theirs**2 - found.seeds.width(found.confidence) ** 2 if budget > 0 else 0.0
    if left <= 0 or found.ours == 0:
        return None
    needed = math.ceil(images * found.ours**2 / left)
    return needed if needed <= _MOST_IMAGES else None


def seeds_to_decide(found: Difference, margin: float) -> int | None:
    """The same for training seeds, with the observed spread; None if no number would."""
    budget, images = _target(found, margin) - found.unit, math.hypot(found.ours, found.theirs)
    if math.isnan(found.seeds.spread):
        return None

    def decides(k: int) -> bool:
        return math.hypot(images, found.seeds.width(found.confidence, k)) <= budget

    counts = range(found.seeds.count + 1, _MOST_SEEDS)
    least = bisect.bisect_left(counts, True, key=decides)  # the interval narrows with every seed
    return counts[least] if least < len(counts) else None


def both_decide(found: Difference, margin: float) -> bool:
    """Whether more images and more seeds would do it together."""
    return found.papers_own() < _target(found, margin)


def _target(found: Difference, margin: float) -> float:
    """The half-width at which the observed difference is decided one way or the other."""
    return max(margin - abs(found.value), abs(found.value))
