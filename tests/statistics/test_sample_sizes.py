"""Sample sizes: do so many images and seeds find the difference as often as promised?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rs.statistics import power
from rs.statistics.paired import of_means, of_proportions, over_seeds

RUNS = 800
NEAR = 0.05  # more than three standard errors of 0.8 over 800 runs, and what normal approximations cost


def test_as_many_images_as_asked_for_find_the_difference():
    draw = np.random.default_rng(0)
    n = power.images(0.35, 0.1)
    assert n == 97  # (1.96 + 0.842)^2 (0.35 / 0.1)^2
    found = [of_means(draw.normal(0.1, 0.35, n), np.zeros(n)).p <= 0.05 for _ in range(RUNS)]
    assert np.mean(found) == pytest.approx(0.8, abs=NEAR)


def test_discordant_images_find_a_difference_of_accuracies():
    """The exact test is cautious: it finds a little less than the formula says."""
    draw = np.random.default_rng(1)
    n = power.discordant_images(0.12, 0.04)
    b, c, _ = draw.multinomial(n, [0.08, 0.04, 0.88], 4000).T
    found = np.mean([f.p <= 0.05 for f in of_proportions(b, c, n)])
    assert 0.75 < found < 0.82


def test_seeds_find_the_difference():
    draw = np.random.default_rng(2)
    n = power.seeds(0.02, 0.03)
    assert n is not None
    assert power.power_over_seeds(0.02, 0.03, n) >= 0.8 > power.power_over_seeds(0.02, 0.03, n - 1)
    found = [
        over_seeds(dict(enumerate(draw.normal(0.03, 0.02, n))), dict.fromkeys(range(n), 0.0))[0].p <= 0.05
        for _ in range(RUNS)
    ]
    assert np.mean(found) == pytest.approx(power.power_over_seeds(0.02, 0.03, n), abs=NEAR)


@pytest.mark.parametrize("effect", [5.0, 2.0, 1.0, 0.5, 0.2, 0.1])
def test_the_seeds_asked_for_are_the_fewest(effect):
    n = power.seeds(1.0, effect)
    assert n is not None
    assert power.power_over_seeds(1.0, effect, n) >= 0.8
    assert n == 3 or power.power_over_seeds(1.0, effect, n - 1) < 0.8


def test_differences_too_small_for_any_number_of_images_have_a_number_all_the_same():
    assert power.images(1.0, 1e-200) == power.images(1.0, 1e-9) == power.MOST_IMAGES


def test_power_over_seeds_is_that_of_the_t_test():
    shift = 0.5 * np.sqrt(9)
    limit = stats.t.ppf(0.975, 8)
    expected = stats.nct.sf(limit, 8, shift) + stats.nct.cdf(-limit, 8, shift)
    assert power.power_over_seeds(2.0, 1.0, 9) == pytest.approx(expected)
    assert power.seeds(1.0, 1e-4) is None
    assert power.seeds(0.0, 0.1) == 3


@pytest.mark.parametrize(("seeds", "shift"), [(100, 60.0), (10, 31.6), (3, 1e6), (3, 40.0)])
def test_large_differences_are_found(seeds, shift):
    """Where scipy's nct gives NaN; at three seeds and 99.9 % a shift of 40 is not yet sure to be found."""
    level = 0.999 if shift == 40 else 0.95
    draw = np.random.default_rng(3)
    t = (draw.normal(shift, 1, 40_000)) / np.sqrt(draw.chisquare(seeds - 1, 40_000) / (seeds - 1))
    found = np.mean(np.abs(t) > stats.t.ppf(0.5 + level / 2, seeds - 1))
    assert power.power_over_seeds(1.0, shift / np.sqrt(seeds), seeds, level) == pytest.approx(found, abs=0.01)


@pytest.mark.parametrize("number", [50, 500, 10_000])
def test_what_a_budget_shows_is_the_inverse(number):
    smallest = power.difference(0.3, number)
    assert power.images(0.3, smallest * 1.0001) <= number < power.images(0.3, smallest * 0.98)
    discordant = power.discordant_difference(0.1, number)
    assert abs(power.discordant_images(0.1, discordant) - number) <= 1


@pytest.mark.parametrize("seeds", [3, 5, 20, 100, 1000])
def test_what_so_many_seeds_show_is_the_inverse(seeds):
    smallest = power.seed_difference(0.05, seeds)
    assert power.power_over_seeds(0.05, smallest, seeds) == pytest.approx(0.8, abs=1e-6)


def test_less_power_than_chance_takes_no_difference():
    assert power.seed_difference(0.05, 5, power=0.04) == 0


def test_few_images_never_show_more_than_everything():
    assert power.discordant_difference(0.1, 3) == 1.0
