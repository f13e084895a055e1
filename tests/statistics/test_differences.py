"""Differences of two classifiers on shared draws: right at every look, tight, and rounded outwards."""

from __future__ import annotations

import exact_radii as exact
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rs.statistics import bounds, sequences
from rs.statistics.differences import failure, lower, upper

ALPHA = 0.001


def ever_below(losses: float, gains: float, alpha: float, horizon: int) -> float:
    """Exact probability that the bound is below losses - gains after any of the first `horizon` trials."""
    alive, failed = np.ones((1, 1)), 0.0  # alive[l, g]: probability of so many losses and gains, no failure
    for n in range(1, horizon + 1):
        larger = np.zeros((n + 1, n + 1))
        larger[:-1, :-1] += alive * (1 - losses - gains)
        larger[1:, :-1] += alive * losses
        larger[:-1, 1:] += alive * gains
        lost, gained = np.nonzero(larger)
        wrong = upper(lost, gained, n, alpha) < losses - gains
        failed += larger[lost[wrong], gained[wrong]].sum()
        larger[lost[wrong], gained[wrong]] = 0.0
        alive = larger
    return failed


@pytest.mark.parametrize(
    ("losses", "gains"), [(0.1, 0.0), (0.3, 0.0), (0.1, 0.1), (0.05, 0.3), (0.5, 0.5), (0.9, 0.05)]
)
def test_the_error_under_continuous_looking_is_at_most_alpha(losses, gains):
    """Not simulated: the probability of every path of counts, looked at after every trial."""
    found = ever_below(losses, gains, 0.3, 50)
    assert 0.005 < found <= 0.3


triples = st.integers(1, 10**6).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda lost: st.tuples(st.just(lost), st.integers(0, n - lost), st.just(n))
    )
)


@settings(max_examples=40)
@given(triples, st.floats(1e-6, 0.5))
def test_the_bound_is_the_root_and_rounded_up(counts, alpha):
    lost, gained, n = counts
    x = float(upper(lost, gained, n, alpha))
    assert (lost - gained) / n <= x <= 1
    if x == 1:
        return
    with mpmath.workdps(40):
        found = mpmath.log(exact.likelihood_ratio(lost, gained, n, mpmath.mpf(x)))
    assert -np.log(alpha) <= found <= -np.log(alpha) + 1e-6 + 1e-11 * n


@given(triples, st.floats(1e-6, 0.5))
def test_without_gains_it_is_the_sequence_of_one_probability_and_gains_lower_it(counts, alpha):
    lost, gained, n = counts
    plain = float(sequences.upper(lost, n, alpha))
    assert float(upper(lost, 0, n, alpha)) == pytest.approx(plain, rel=1e-11)
    assert float(upper(lost, gained, n, alpha)) <= plain * (1 + 1e-11)
    assert float(lower(lost, gained, n, alpha)) == -float(upper(gained, lost, n, alpha))


def test_rare_differences_cost_few_draws():
    """At 10,000 draws with 3 losses and 3 gains: a tenth of the width of the votes' own bound at 0.1."""
    width = float(upper(3, 3, 10_000, ALPHA))
    assert width < 0.0022
    assert width < (float(sequences.upper(1000, 10_000, ALPHA)) - 0.1) / 5


def test_the_sum_is_a_bound_whatever_the_two_have_in_common():
    """The first one's votes hold the shared draws; looked at every 40 draws until the claim is wrong."""
    rng, alpha, share, images, n = np.random.default_rng(0), 0.2, 0.25, 2000, 400
    for law in ((0.85, 0.05, 0.02, 0.08), (0.69, 0.01, 0.0, 0.3), (0.5, 0.2, 0.2, 0.1), (0.0, 0.6, 0.4, 0.0)):
        cells = rng.choice(4, p=law, size=(images, n))  # both right, only the first, only the second, none
        right = (law[0] + law[2], law[0] + law[1])
        first = bounds.clopper_pearson_upper((cells > 1).sum(1), n, share * alpha)
        ever = np.zeros(images, bool)
        for looked in range(40, n + 1, 40):
            seen = cells[:, :looked]
            found = failure(first, (seen == 1).sum(1), (seen == 2).sum(1), looked, alpha, share)
            ever |= found < 1 - right[0]
        assert ever.mean() <= alpha


def test_identical_networks_lose_the_rule_of_three_and_disjoint_ones_everything():
    first = bounds.clopper_pearson_upper(10_000, 100_000, 0.25 * ALPHA)
    same = failure(first, 0, 0, 5000, ALPHA, 0.25)
    assert first < same < first + 9.0 / 5000
    assert failure(first, 9000, 1000, 10_000, ALPHA, 0.25) > 0.85
    assert failure(first, 10_000, 0, 10_000, ALPHA, 0.25) == 1


def test_no_claim_is_better_than_so_many_draws_could_tell():
    """Though the second one never failed where the first one did in half of all votes."""
    found = failure(0.3, 0, 500, 1000, ALPHA, 0.25)
    assert found == pytest.approx(1 - ALPHA ** (1 / 1000), rel=1e-9)


def test_one_bad_entry_of_an_array_is_refused():
    for counts in (([1, -1], 0, 9), (0, [1, -1], 9), ([1, 5], 5, 9), (0, 0, [9, 0])):
        with pytest.raises(ValueError, match="together at most the trials"):
            upper(*counts, 0.1)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        upper(1, 0, 9, [0.1, 1.0])
