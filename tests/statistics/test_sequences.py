"""Confidence sequences: right at every look, tight, and rounded outwards."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from benchmark_modules import load_benchmark
from hypothesis import given
from hypothesis import strategies as st

from rs.statistics import bounds, sequences
from rs.statistics.sequences import least_trials, lower, upper

counts = st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.floats(1e-6, 0.5)


@pytest.mark.parametrize("p", [0.003, 0.03, 0.1, 0.3, 0.5, 0.8, 0.97, 0.999])
def test_the_error_under_continuous_looking_is_at_most_alpha(p):
    """Not simulated: the probability of every path of counts, looked at after every trial."""
    failure = load_benchmark("sequential").failure
    assert failure(p, 0.05, 1000) <= 0.05
    assert failure(p, 0.3, 1000) <= 0.3
    assert failure(p, 0.3, 1000) > 0.03  # and hardly wastes it


def test_clopper_pearson_bounds_fail_under_continuous_looking():
    """What the sequence is for."""
    failure = load_benchmark("sequential").failure
    assert failure(0.3, 0.05, 1000, bounds.clopper_pearson_upper) > 0.2


def log_mean_likelihood_ratio(events: int, trials: int, x: float) -> mpmath.mpf:
    """log M(x) of the module's header, to 40 digits."""
    with mpmath.workdps(40):
        total = mpmath.mpf(0)
        for tilt, weight in zip(sequences.TILT, sequences.LOG_WEIGHT, strict=True):
            v = mpmath.exp(-mpmath.mpf(float(tilt))) if np.isfinite(tilt) else mpmath.mpf(0)
            factor = v**events if events else mpmath.mpf(1)
            total += mpmath.exp(mpmath.mpf(float(weight))) * factor / (1 - (1 - v) * mpmath.mpf(x)) ** trials
        return mpmath.log(total)


@given(counts, levels)
def test_the_bound_is_the_root_and_rounded_up(pair, alpha):
    events, trials = pair
    x = float(upper(events, trials, alpha))
    goal = -np.log(alpha)
    if x < 1:
        found = log_mean_likelihood_ratio(events, trials, x)
        assert goal <= found <= goal + 1e-6 + 1e-12 * trials
    else:
        assert log_mean_likelihood_ratio(events, trials, 1 - 1e-9) <= goal + 1e-6 + 1e-8 * trials


@given(counts, levels)
def test_never_below_clopper_pearson(pair, alpha):
    events, trials = pair
    assert upper(events, trials, alpha) >= bounds.clopper_pearson_upper(events, trials, alpha)
    assert lower(events, trials, alpha) <= bounds.clopper_pearson_lower(events, trials, alpha)


@given(counts, levels)
def test_monotone_in_events_and_alpha(pair, alpha):
    events, trials = pair
    more = min(events + 1, trials)
    assert upper(events, trials, alpha) <= upper(more, trials, alpha) * (1 + 1e-12)
    assert upper(events, trials, alpha) <= upper(events, trials, alpha / 2) * (1 + 1e-12)


def test_the_weights_are_a_distribution():
    assert np.exp(sequences.LOG_WEIGHT).sum() == pytest.approx(1, abs=1e-12)


def test_as_sharp_near_0_as_at_one_half():
    """Within a factor of 1.5 of one look at a fixed n, for rare and frequent events and long runs."""
    for p in (0.5, 0.1, 1e-2, 1e-3):
        for n in np.array([30, 300, 3000, 30_000]) / p:
            events = p * n
            wide = upper(events, n, 0.001) - p
            assert wide <= 1.5 * (bounds.clopper_pearson_upper(events, n, 0.001) - p)


def test_trials_without_events_cost_a_fifth_more_than_any_test_needs():
    for bound in (0.4, 0.1, 0.02275, 0.00135, 1e-5):
        needed = np.log(0.001) / np.log1p(-bound)
        found = least_trials(bound, 0.001)
        assert needed <= found <= 1.2 * needed + 1
        assert upper(0, found, 0.001) <= bound < upper(0, found - 1, 0.001)


def test_shapes_and_certain_ends():
    assert upper([[0], [1]], [10, 20, 30], 0.01).shape == (2, 3)
    assert upper(7, 7, 0.1) == 1
    assert lower(0, 7, 0.1) == 0


def test_an_array_holds_the_bounds_of_its_entries():
    events, trials = np.array([0, 1, 7, 40, 500_000]), np.array([1, 10**6, 7, 90, 10**6])
    one_by_one = [float(upper(f, n, 0.01)) for f, n in zip(events, trials, strict=True)]
    assert upper(events, trials, 0.01).tolist() == pytest.approx(one_by_one, rel=1e-11)
    below = lower(events, trials, 0.01)
    assert np.all((below == 0) | (below < 1 - upper(trials - events, trials, 0.01)))
    for case in (([1, 3], [2, 2], 0.1), ([1, -1], 2, 0.1), ([0, 0], [2, 0], 0.1)):
        with pytest.raises(ValueError, match="0 <= successes <= trials"):
            upper(*case)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        upper(1, 2, [0.1, 1.0])
