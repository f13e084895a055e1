"""Intervals of a difference between a measured and a printed number: Newcombe's, prediction over seeds,
rounding.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rs.statistics.agreement import (
    Seeds,
    Side,
    difference,
    images_to_decide,
    printed_accuracy,
    printed_like,
    seeds_of,
    seeds_to_decide,
)
from rs.statistics.attainable import largest
from rs.statistics.bounds import clopper_pearson_lower
from rs.statistics.intervals import wilson_interval

ONE = Seeds(1, math.nan)


def accuracy(hits: int, images: int) -> Side:
    low, high = wilson_interval(hits, images)
    return Side(hits / images, float(low), float(high))


def test_two_accuracies_have_newcombes_interval() -> None:
    """56/70 against 48/80, example (a) of Newcombe (1998): his method 10 gives 0.0524 to 0.3339."""
    found = difference(accuracy(56, 70), printed_accuracy(48 / 80, 80, 0.95), ONE, 0.0)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_coverage_of_image_noise_and_of_one_more_network() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):  # networks' true accuracies vary by 0.02; ours on 500 images, theirs on another 500
        ours = rng.binomial(500, np.clip(rng.normal(0.7, 0.02, 3), 0, 1)) / 500
        theirs = round(rng.binomial(500, rng.normal(0.7, 0.02)) / 500, 2)
        side = [float(v) for v in wilson_interval(500 * ours.mean(), 500)]
        width = seeds_of(list(ours), 1 / 500)
        found = difference(Side(ours.mean(), *side), printed_accuracy(theirs, 500, 0.95), width, 0.005)
        inside += found.low <= 0 <= found.high
    assert inside >= 940  # the networks' spread is counted twice, so that it is more rather than less


def test_seeds_are_a_prediction_and_never_without_spread() -> None:
    values = [0.90, 0.92, 0.97]
    spread = float(np.std(values, ddof=1)) * math.sqrt(4 / 3)
    assert seeds_of(values).width(0.95) == pytest.approx(stats.t.ppf(0.975, 2) * spread)
    assert seeds_of(values[:2]).width(0.95) == 0
    assert seeds_of([0.9, 0.9, 0.9], 1 / 500).width(0.95) == pytest.approx(
        stats.t.ppf(0.975, 2) / 500 / math.sqrt(3) * math.sqrt(4 / 3)
    )


def test_rounding_is_added_as_a_bound() -> None:
    fixed = Seeds(4, 0.01 / stats.t.ppf(0.975, 3) / math.sqrt(5 / 4))
    exact, rounded = (
        difference(accuracy(450, 500).fixed, Side(0.9, 0.9, 0.9), fixed, u) for u in (0.0, 0.005)
    )
    assert (rounded.low, rounded.high) == (exact.low - 0.005, exact.high + 0.005)
    assert (exact.low, exact.high) == pytest.approx((-0.01, 0.01))


def test_a_printed_mean_spreads_as_ours_does() -> None:
    ours = Side(1.5, 1.46, 1.54)
    assert printed_like(1.4, ours, 500, 2000) == Side(1.4, pytest.approx(1.38), pytest.approx(1.42))


def test_what_would_decide_does() -> None:
    ours, theirs = accuracy(9050, 10000), printed_accuracy(0.9, 10**6, 0.95)
    few = difference(accuracy(181, 200), theirs, ONE, 0.0005)
    needed = images_to_decide(few, 0.02, 200)
    assert needed is not None
    assert 200 < needed < 10000
    for images, decided in ((needed, True), (needed // 2, False)):
        side = Side(0.905, *(float(v) for v in wilson_interval(0.905 * images, images)))
        found = difference(side, theirs, ONE, 0.0005)
        assert (max(-found.low, found.high) <= 0.021) is decided
    far = printed_accuracy(0.9, 100, 0.95)  # their own images leave more than that open
    assert images_to_decide(difference(ours, far, ONE, 0.0005), 0.02, 10000) is None
    seeds = difference(ours.fixed, Side(0.9, 0.9, 0.9), seeds_of([0.90, 0.905, 0.91]), 0.0005)
    number = seeds_to_decide(seeds, 0.02)
    assert number is not None
    t = stats.t.ppf(0.975, number - 1) * 0.005 * math.sqrt(1 + 1 / number) + 0.0005
    assert t <= 0.015 < stats.t.ppf(0.975, number - 2) * 0.005 * math.sqrt(1 + 1 / (number - 1)) + 0.0005


def test_images_are_not_asked_for_what_the_seeds_leave_open() -> None:
    """With the spread of our seeds in the interval: one image fewer would not decide."""
    seeds, theirs, unit = seeds_of([0.900, 0.901, 0.903]), Side(0.9, 0.895, 0.905), 0.0005

    def wide(images: int) -> float:
        half = 0.04 * math.sqrt(500 / images)
        found = difference(Side(0.904, 0.904 - half, 0.904 + half), theirs, seeds, unit)
        return max(found.high - found.value, found.value - found.low)

    found = difference(Side(0.904, 0.864, 0.944), theirs, seeds, unit)
    needed = images_to_decide(found, 0.02, 500)
    assert needed is not None
    assert wide(needed) <= 0.02 - 0.004 < wide(needed - 1)
    spread = seeds_of([0.90, 0.91, 0.93])  # alone wider than the margin
    wider = difference(Side(0.904, 0.864, 0.944), theirs, spread, unit)
    assert images_to_decide(wider, 0.02, 500) is None


def test_unanimous_votes_certify_this_much() -> None:
    bound = float(clopper_pearson_lower(100_000, 100_000, 0.001))
    assert largest(100_000, 0.001) == pytest.approx(stats.norm.ppf(bound), abs=2e-6)
    assert largest(100_000, 0.001) == pytest.approx(3.811, abs=5e-4)
