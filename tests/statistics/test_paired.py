"""Paired differences against other calculations, published examples and simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from rs.statistics import paired
from rs.statistics.paired import holm, of_means, of_medians, of_proportions, over_seeds, verdict

LEAST = 0.925  # of 600 intervals of 95 %: three standard errors below


def test_published_intervals_of_paired_proportions():
    """Bentur et al. (2009), as Fagerland, Lydersen and Laake (2014) work it out; and Tango's own example."""
    (airway,) = of_proportions(1, 7, 21)
    assert (round(airway.low, 3), round(airway.high, 3)) == (-0.517, -0.026)
    assert airway.p == pytest.approx(0.0703, abs=5e-5)  # exact McNemar
    (lenses,) = of_proportions(0, 1, 44)
    assert (round(lenses.low, 3), round(lenses.high, 3)) == (-0.118, 0.059)


def score(b, c, n, difference):
    """Tango's statistic with the nuisance parameter maximised numerically."""

    def loss(q):
        cells = [(b, q + difference), (c, q), (n - b - c, 1 - 2 * q - difference)]
        return -sum(count * math.log(share) for count, share in cells if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    found = optimize.minimize_scalar(
        loss, bounds=(low + 1e-12, high - 1e-12), method="bounded", options={"xatol": 1e-10}
    )
    q = found.x
    return (b - c - n * difference) / math.sqrt(n * (2 * q + difference * (1 - difference)))


@pytest.mark.parametrize(("b", "c", "n"), [(40, 20, 160), (3, 11, 500), (7, 1, 21), (250, 240, 10_000)])
def test_ends_of_the_score_interval_are_where_the_score_test_turns(b, c, n):
    (found,) = of_proportions(b, c, n, margin=0.3)
    z = special.ndtri(0.975)
    assert score(b, c, n, found.low) == pytest.approx(z, abs=1e-3)
    assert score(b, c, n, found.high) == pytest.approx(-z, abs=1e-3)
    assert found.p == pytest.approx(stats.binomtest(b, b + c).pvalue)
    tests = [stats.norm.sf(score(b, c, n, -0.3)), stats.norm.cdf(score(b, c, n, 0.3))]
    assert found.equivalence == pytest.approx(max(tests), abs=1e-4)


@given(st.integers(2, 400), st.data())
def test_turning_the_sides_turns_the_interval(n, data):
    b = data.draw(st.integers(0, n))
    c = data.draw(st.integers(0, n - b))
    (one,), (other,) = of_proportions(b, c, n, margin=0.1), of_proportions(c, b, n, margin=0.1)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
    assert (one.p, one.equivalence) == pytest.approx((other.p, other.equivalence))
    assert -1 <= one.low <= one.value <= one.high <= 1


def test_means_are_students_where_images_differ_widely():
    draw = np.random.default_rng(1)
    a = draw.gamma(2, 0.4, 5000)
    b = a + draw.normal(0.02, 0.3, 5000)
    found, expected = of_means(a, b), stats.ttest_rel(a, b)
    ends = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=2e-4)
    assert found.p == pytest.approx(expected.pvalue, rel=0.05)
    assert found.p < 0.05
    assert found.high < 0  # as the p-value says


def test_p_and_interval_of_a_mean_say_the_same():
    draw = np.random.default_rng(2)
    for _ in range(50):
        a, b = draw.exponential(0.3, 60) * (draw.random(60) < 0.3), draw.exponential(0.25, 60)
        found = of_means(a, b, 0.9)
        assert (found.p < 0.1) == (found.low > 0 or found.high < 0)


def test_networks_that_agree_everywhere_still_have_an_interval():
    """One image of n might have differed."""
    same = np.array([0.0, 1.5, 0.7] * 100)
    found = of_means(same, same, margin=0.1)
    assert found.value == 0
    assert found.p == 1
    assert 0 < found.high == -found.low < 3 * 1.5 / 100
    assert found.equivalence < 0.05
    assert math.isnan(of_means([1.0], [0.0]).low)


def test_nothing_certified_on_either_side_is_no_proof_of_equality():
    none = np.zeros(20)
    radii = of_means(none, none, margin=0.1)
    assert (radii.value, radii.p) == (0, 1)
    assert all(map(math.isnan, (radii.low, radii.high, radii.equivalence)))
    shares = of_means(none, none, margin=0.01, largest=1.0)
    assert 1 / 20 < shares.high == -shares.low < 5 / 20
    assert shares.equivalence > 0.3
    assert of_means(none, none + 0.1, largest=1.0) == of_means(none, none + 0.1)  # there is a difference


def coverage(truth, simulate, found, repeats=600):
    """Share of simulated pairs whose interval holds the truth."""
    kept = [found(*simulate()) for _ in range(repeats)]
    return np.mean([f.low <= truth <= f.high for f in kept])


@pytest.mark.parametrize(("differ", "up"), [(1.0, 0.6), (0.1, 0.5), (0.1, 1.0), (0.3, 0.9)])
def test_means_cover_what_they_estimate_on_200_images(differ, up):
    """Also where few images differ, and most of them to one side: Student's own covers 0.91 of 0.1, 1.0."""
    draw = np.random.default_rng(3)

    def simulate():
        a = draw.exponential(0.5, 200)
        size = draw.exponential(0.3, 200) * (draw.random(200) < differ)
        return a + 5 + size * np.where(draw.random(200) < up, 1, -1), a + 5

    assert coverage(0.3 * differ * (2 * up - 1), simulate, of_means) > LEAST


@pytest.mark.parametrize(("only_a", "only_b"), [(0.02, 0.02), (0.1, 0.03), (0.01, 0.0)])
def test_proportions_cover_what_they_estimate_and_seldom_decide_wrongly(only_a, only_b):
    draw = np.random.default_rng(4)
    b, c, _ = draw.multinomial(200, [only_a, only_b, 1 - only_a - only_b], 2000).T
    found = of_proportions(b, c, 200)
    truth = only_a - only_b
    assert np.mean([f.low <= truth <= f.high for f in found]) > 0.935
    if only_a == only_b:
        assert np.mean([f.p <= 0.05 for f in found]) <= 0.05


@pytest.mark.parametrize("right", [1.0, 0.7, 0.3])
def test_medians_cover_what_they_estimate(right):
    """With 30 and 70 % of the images at 0, as wrong predictions are; then the median is 0 itself."""
    draw = np.random.default_rng(5)

    def simulate(n=300):
        common = draw.normal(0, 1, n)
        sides = [np.exp(0.8 * common + 0.4 * draw.normal(0, 1, n) + up) for up in (0.2, 0.0)]
        kept = draw.random(n) < right
        return [side * kept for side in sides]

    truth = of_medians(*simulate(400_000)).value
    assert coverage(truth, simulate, of_medians) > LEAST


def test_a_median_among_equal_values_is_that_value():
    """Half of the images reach what n votes certify at most."""
    top = np.array([1.9] * 70 + [0.5] * 30)
    found = of_medians(top, top - 0.2)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))
    sign = stats.binomtest(30, 100, alternative="less").pvalue + 0.5**100  # of each: below it, or above
    assert found.p == pytest.approx(2 * sign)
    assert of_medians(top, top - 0.2, margin=0.3).equivalence == pytest.approx(2 * sign)
    assert of_medians(top, top - 0.2, margin=0.1).equivalence == 1


def test_equal_values_around_a_median_are_no_certainty():
    """No standard error, and yet some medians behind such samples are another value."""
    top = np.array([1.9] * 61 + [0.5] * 39)
    found = of_medians(top, np.zeros(100))
    assert found.p == pytest.approx(stats.binomtest(39, 100, alternative="less").pvalue)
    assert of_medians(top, np.zeros(100), level=0.9).low == pytest.approx(1.9)
    ordered = np.sort(top)
    out = int(stats.binom.ppf(0.01 / 4, 100, 0.5))
    assert of_medians(top, np.zeros(100), level=0.99).low == pytest.approx(ordered[out - 1])
    assert ordered[out - 1] == 0.5


def test_seeds_are_paired_where_they_are_shared():
    a, b = {0: 1.0, 1: 1.3, 2: 1.1, 3: 1.6}, {0: 0.9, 1: 1.1, 2: 1.05, 7: 0.2}
    found, seeds = over_seeds(a, b, margin=1.0)
    expected = stats.ttest_rel([1.0, 1.3, 1.1], [0.9, 1.1, 1.05])
    ends = expected.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((ends.low, ends.high, expected.pvalue))
    assert seeds == 3
    one_sided = stats.ttest_1samp([0.1, 0.2, 0.05], 1.0, alternative="less").pvalue
    assert found.equivalence == pytest.approx(one_sided)


def test_other_seeds_are_compared_as_samples_of_their_own():
    a, b = {0: 1.0, 1: 1.3, 2: 1.1}, {5: 0.9, 6: 0.7, 7: 1.05, 8: 0.8}
    found, seeds = over_seeds(a, b)
    expected = stats.ttest_ind(list(a.values()), list(b.values()), equal_var=False)
    ends = expected.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((ends.low, ends.high, expected.pvalue))
    assert seeds == 3


@pytest.mark.parametrize("own", [False, True])
def test_equal_accuracies_of_seeds_are_no_proof_of_no_spread(own):
    """Ten images tell accuracies to 0.1; as much is left as if one seed had one image more."""
    a, b = dict.fromkeys(range(3), 0.9), dict.fromkeys(range(5, 8) if own else range(3), 0.8)
    found, _ = over_seeds(a, b, margin=0.2, resolution=0.1)
    one = [0.1, 0.1, 0.2]
    test = stats.ttest_ind(one, [0.1, 0.2, 0.1], equal_var=False) if own else stats.ttest_1samp(one, 0)
    half = np.ptp(test.confidence_interval(0.95)) / 2
    assert (found.low, found.high) == pytest.approx((0.1 - half, 0.1 + half))
    assert found.p > 0.05
    assert found.equivalence > 0.02


@pytest.mark.parametrize("own", [False, True])
def test_equal_values_of_seeds_without_a_step_decide_nothing(own):
    a, b = dict.fromkeys(range(3), 0.9), dict.fromkeys(range(5, 8) if own else range(3), 0.8)
    b = {seed: value + 1e-16 * seed for seed, value in b.items()}  # rounding is no spread
    found, seeds = over_seeds(a, b, margin=0.2)
    assert (found.value, seeds) == (pytest.approx(0.1), 3)
    assert all(math.isnan(number) for number in (found.low, found.high, found.p, found.equivalence))


@pytest.mark.parametrize("b", [{0: 0.5}, {0: 0.5, 1: 0.4}, {None: 0.5}])
def test_two_seeds_decide_nothing(b):
    found, seeds = over_seeds({0: 1.0, 1: 1.01, 2: 1.02}, b)
    assert math.isnan(found.low)
    assert math.isnan(found.p)
    assert seeds < 3
    assert verdict(found, *holm([found.p, found.equivalence])) == "undecided"


def test_holm_against_a_worked_example_and_without_what_was_not_tested():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm([0.01, math.nan, 0.04])
    assert found[0] == pytest.approx(0.02)
    assert math.isnan(found[1])
    assert holm([]) == []


def test_verdicts_take_both_tests():
    better = paired.Difference(0.1, 0.05, 0.15, 0.001, 0.5)
    assert verdict(better, 0.01, 0.5) == "better"
    assert verdict(better, 0.06, 0.5) == "undecided"
    assert verdict(paired.Difference(-0.1), 0.01, math.nan) == "worse"
    assert verdict(better, 0.01, 0.04) == "equivalent"
    assert verdict(better, 0.04, 0.5, level=0.99) == "undecided"


RADII = np.random.default_rng(7).exponential(0.5, (2, 120)) + np.array([[0.1], [0.0]])


@pytest.mark.parametrize("shift", [1, -1])
@pytest.mark.parametrize(
    "found",
    [
        lambda a, b, **settings: of_means(a, b, **settings),
        lambda a, b, **settings: of_medians(a, b, **settings),
        lambda a, b, **settings: of_proportions((a > 0.8).sum(), (b > 0.9).sum(), 120, **settings)[0],
        lambda a, b, **settings: over_seeds(dict(enumerate(a[:5])), dict(enumerate(b[:5])), **settings)[0],
    ],
    ids=["means", "medians", "proportions", "seeds"],
)
def test_the_margin_that_just_holds_the_interval_is_just_equivalent(found, shift):
    """Two one-sided tests at 5 % reject together where the interval of 90 % lies within the margin."""
    sides = RADII[::shift]
    interval = found(*sides, level=0.9)
    margin = max(-interval.low, interval.high)
    assert found(*sides, margin=margin).equivalence == pytest.approx(0.05, rel=1e-6)
    assert found(*sides, margin=2 * margin).equivalence < 0.05


def test_equivalence_at_the_margin_is_claimed_as_seldom_as_it_says():
    """The true difference is the margin: the worst case."""
    draw = np.random.default_rng(6)
    claims = []
    for _ in range(400):
        b = draw.exponential(0.5, 150)
        claims.append(of_means(b + draw.normal(0.1, 0.3, 150), b, margin=0.1).equivalence <= 0.05)
    assert 0.01 < np.mean(claims) < 0.09
