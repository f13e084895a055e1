"""Exact group sequential tests: their error over all paths, what they give up, and their limits."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy import special, stats

from rs.errors import UserError
from rs.settings.sampling import Stop
from rs.statistics.bounds import clopper_pearson_upper
from rs.statistics.group_sequential import SPARE, Design, GroupSequentialRule
from rs.statistics.stopping import StoppingRule

GRID = tuple(np.arange(9) * 0.25)  # nine radii up to 2 sigma
SMALL = GroupSequentialRule(Stop(0.05, (0, 0.5, 1.0, 1.5)), 1.0, 960, 32, 0.05)


@functools.cache
def nine() -> GroupSequentialRule:
    return GroupSequentialRule(Stop(0.001, GRID), 1.0, 100_000, 160, 0.01)


def claimed(design: Design, p: float) -> np.ndarray:
    """Exact chances that radii are claimed of an image of failure rate p, [K]: every path, forwards."""
    alive, found = {0: 1.0}, np.zeros(len(design.needed))
    for look, size in enumerate(design.sizes.tolist()):
        steps, after = stats.binom.pmf(np.arange(size + 1), size, p), {}
        for failures, chance in alive.items():
            for more, step in enumerate(steps):
                after[failures + more] = after.get(failures + more, 0.0) + chance * step
        states = np.array(sorted(after))
        on = design.undecided(look, states)
        for failures, more in zip(states.tolist(), on, strict=True):
            if not more:
                found += after[failures] * (failures <= design.certify[look])
        alive = {f: after[f] for f, more in zip(states.tolist(), on, strict=True) if more}
    return found


def simulate(rule: GroupSequentialRule, rates, rng) -> tuple[np.ndarray, np.ndarray]:
    failures, votes = np.zeros((2, len(rates)), np.int64)
    undecided = np.arange(len(rates))
    for size in rule.sizes():
        failures[undecided] += rng.binomial(size, rates[undecided])
        votes[undecided] += size
        undecided = undecided[rule.going_on(failures[undecided], int(votes[undecided[0]]))]
        if not len(undecided):
            break
    return failures, votes


@pytest.mark.parametrize("share", [1.0, 1.02, 1.1, 1.3, 1.6])
def test_no_error_exceeds_alpha_at_any_rate_at_which_a_claim_is_wrong(share):
    """The design's own bound comes from a recursion backwards; this one goes through all paths forwards."""
    design = SMALL.design
    assert np.all(design.errors <= 0.05 * (1 - SPARE))
    for k, x in enumerate(design.needed):
        error = claimed(design, min(share * float(x), 1.0))[k]
        assert error <= design.errors[k] * (1 + 1e-9)
        if share == 1:  # and the bound is close: alpha is spent, not lost to the proof
            assert error >= 0.8 * design.errors[k]


def test_the_bound_counts_paths_that_come_back_after_a_radius_was_given_up():
    """By hand: the second radius is given up at 1 failure, yet drawn on for the first one's sake."""
    looks, certify = np.array([1, 2, 3]), np.array([[-1, -1], [-1, -1], [1, 1]])
    design = Design(looks, certify, np.array([[9, 1], [9, 1], [9, 9]]), np.array([0.5, 0.25]))
    expected = stats.binom.cdf(1, 3, design.needed)
    assert design.errors == pytest.approx(expected, rel=1e-9)
    assert claimed(design, 0.25)[1] == pytest.approx(expected[1])


def test_nine_radii_spend_alpha_and_no_more():
    errors = nine().design.errors
    assert np.all((errors > 0.00098) & (errors <= 0.001 * (1 - SPARE)))
    rule = GroupSequentialRule(Stop(0.02, GRID), 1.0, 10_000, 160, 0.02)
    for k in (0, 4, 8):  # simulated, at the rate where a claim just becomes wrong, with 20 times the error
        rates = np.full(20_000, rule.design.needed[k])
        wrong = rule.design.claims(*simulate(rule, rates, np.random.default_rng(k))) > k
        assert 0.016 < wrong.mean() < 0.024


def test_fewer_votes_than_a_confidence_sequence_for_the_same_radii():
    """At rates spread as radii are, with 160 images between two of the grid: a half of its votes."""
    rates = special.ndtr(-np.random.default_rng(0).uniform(-0.5, 3, 1500))
    failures, votes = simulate(nine(), rates, np.random.default_rng(1))
    plain = StoppingRule(nine().stop, 1.0, 100_000, 160)
    _, others = simulate(plain, rates, np.random.default_rng(1))
    assert votes.mean() < 0.62 * others.mean()
    fixed = clopper_pearson_upper(np.round(rates * 100_000), 100_000, 0.001)[:, None] <= nine().design.needed
    found = nine().design.claims(failures, votes)[:, None] > np.arange(9)
    assert np.all(fixed.mean(0) - found.mean(0) < 0.02)
    assert not np.any(found & (rates[:, None] >= nine().design.needed * 1.001) & (rates[:, None] < 0.4))


def test_a_finer_resolution_costs_votes_and_gives_up_less():
    rate = np.full(400, float(nine().design.needed[4]) * 0.97)
    shares, votes = [], []
    for resolution in (0.04, 0.01):
        rule = GroupSequentialRule(Stop(0.001, (1.0,)), 1.0, 100_000, 160, resolution)
        failures, n = simulate(rule, rate, np.random.default_rng(5))
        shares.append(rule.design.claims(failures, n).mean())
        votes.append(n.mean())
    assert shares[0] < 0.5 * shares[1]
    assert votes[0] < votes[1]


def test_radii_out_of_reach_are_given_up_at_once_and_cost_the_others_nothing():
    near = GroupSequentialRule(Stop(0.001, (0.5, 1.0)), 1.0, 3200, 32, 0.05)
    far = GroupSequentialRule(Stop(0.001, (0.5, 1.0, 4.5, 40.0)), 1.0, 3200, 32, 0.05)
    assert np.array_equal(near.design.certify, far.design.certify[:, :2])
    assert far.design.errors[2:].tolist() == [0, 0]
    assert far.design.claims(np.array([0]), np.array([3200])).tolist() == [2]


def test_what_the_rule_did_not_stop_is_refused():
    design = SMALL.design
    look = int(design.looks[3])
    on = int(np.flatnonzero(design.undecided(3, np.arange(look)))[0])
    for failures, votes in ((on, look), (0, look + 1), (0, 992)):
        with pytest.raises(UserError, match="its rule would not have stopped there"):
            design.claims(np.array([0, failures]), np.array([960, votes]))


def test_the_first_decision_is_that_of_faultless_votes():
    for radius, least in ((0.0, 10), (2.0, 301), (3.0, 5114)):
        rule = GroupSequentialRule(Stop(0.001, (radius, 3.5)), 1.0, 10_000, 16, 0.01)
        assert rule.first_decision() == least
