"""The certificate `incremental`: Cohen's radius from two bounds, and the rule that stops its draws."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import special

from rs.errors import UserError
from rs.methods.certificates.cohen import Cohen
from rs.methods.certificates.incremental import Incremental, answers
from rs.methods.claims import most_votes
from rs.methods.noise.gaussian import Gaussian
from rs.settings.sampling import Stop
from rs.statistics import differences
from rs.statistics.bounds import clopper_pearson_upper
from rs.statistics.draws import Draws, Votes
from rs.statistics.paired_draws import PairedDraws
from rs.statistics.paired_stopping import PairedRule
from rs.statistics.sequences import upper

NOISE, ALPHA, N = Gaussian(0.5), 0.001, 100_000
RULE = PairedRule(Stop(ALPHA, (0.0, 0.25, 0.5, 0.75, 1.0)), 0.5, 20_000, 128, 0.25)


def paired(
    cells: list[int], first: list[int], selection: tuple[int, int] = (90, 10), **stop: float
) -> PairedDraws:
    """One image of two classes; `cells` are draws on which both, only the first, only the second and neither
    answered class 0, `first` the votes that the first one was certified with.
    """
    both, lost, gained, neither = cells
    own = np.array([[both + gained, lost + neither]])
    plain = Draws.from_counts([selection], own, dimension=784)
    beside = np.array([[both + lost, gained + neither]])
    stopping = {"stopping": "sequential", "stop": asdict(RULE.stop) | {"share": 0.25, **stop}}
    given = {**vars(plain), **stopping, "first": Votes(np.array([first]))}
    return PairedDraws(**given, beside=beside, both=np.array([[both, neither]]))


def test_the_radius_is_cohens_at_the_sum_of_two_bounds_at_their_parts_of_alpha():
    draws = paired([880, 3, 2, 115], [90_000, 10_000])
    first = clopper_pearson_upper(10_000, N, 0.25 * ALPHA)
    bound = first + differences.upper(3, 2, 1000, 0.75 * ALPHA)
    found = Incremental().certify(draws, NOISE, ALPHA)
    assert found.radius[0] == pytest.approx(-0.5 * special.ndtri(bound), rel=1e-9)
    assert found.radius[0] <= -0.5 * special.ndtri(bound)
    assert found.prediction[0] == 0
    assert found.radius[0] > Cohen().certify(draws, NOISE, ALPHA).radius[0]  # of the second one's votes alone
    assert Incremental(0.5).certify(draws, NOISE, ALPHA).radius[0] != found.radius[0]


def test_all_draws_count_where_the_law_of_the_noise_is_off_by_a_little_with_each():
    draws = paired([880, 3, 2, 115], [90_000, 10_000], n=20_000)
    assert most_votes(draws) == 100 + 20_000 + 100_000


def test_a_first_one_that_was_stopped_is_bounded_by_its_sequence():
    draws = replace(paired([880, 3, 2, 115], [90_000, 10_000]), first_stopping="sequential")
    bound = upper(10_000, N, 0.25 * ALPHA) + differences.upper(3, 2, 1000, 0.75 * ALPHA)
    assert Incremental().failure(draws, ALPHA)[0] == pytest.approx(bound, rel=1e-12)


def test_the_class_is_the_second_ones_and_may_be_one_that_the_first_one_seldom_says():
    draws = paired([100, 700, 0, 200], [80_000, 20_000], selection=(10, 90))
    found = Incremental().certify(draws, NOISE, ALPHA)
    bound = clopper_pearson_upper(80_000, N, 0.25 * ALPHA) + differences.upper(0, 700, 1000, 0.75 * ALPHA)
    assert found.prediction[0] == 1
    assert found.radius[0] == pytest.approx(-0.5 * special.ndtri(bound), rel=1e-9)


def test_disjoint_networks_abstain_and_plain_draws_are_refused():
    assert Incremental().certify(paired([0, 900, 0, 100], [90_000, 10_000]), NOISE, ALPHA).prediction[0] == -1
    with pytest.raises(UserError, match="needs votes of two networks on the same draws"):
        Incremental().certify(Draws.from_counts([90, 10], [900, 100], 784), NOISE, ALPHA)


def test_which_claims_answer_what_the_draws_were_stopped_for():
    draws = paired([880, 3, 2, 115], [90_000, 10_000])
    for alpha, expected in ((0.01, False), (ALPHA, True), (1e-5, False)):
        found = Incremental().certify(draws, NOISE, alpha)
        assert answers(draws, NOISE, found, alpha) is expected
    other = Incremental(0.9).certify(draws, NOISE, ALPHA)
    assert other.radius[0] < Incremental().certify(draws, NOISE, ALPHA).radius[0]
    assert not answers(draws, NOISE, other, ALPHA)


def simulated(cells: np.ndarray, images: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bounds and draws [N] at which images stop whose draws fall into `cells` with these probabilities."""
    failures = rng.binomial(N, cells[1:].sum() - cells[1], images)
    first = clopper_pearson_upper(failures, N, RULE.share * ALPHA)
    bound, drawn = np.ones(images), np.zeros(images, int)
    seen, undecided = np.zeros((images, 4), int), np.arange(images)
    for size in RULE.sizes():
        seen[undecided] += rng.multinomial(size, cells, len(undecided))
        drawn[undecided] += size
        at, (losses, gains) = int(drawn[undecided[0]]), seen[undecided, 1:3].T
        bound[undecided] = differences.failure(first[undecided], losses, gains, at, ALPHA, RULE.share)
        undecided = undecided[RULE.going_on(first[undecided], losses, gains, at)]
        if len(undecided) == 0:
            break
    return bound, drawn


def test_a_precision_of_the_same_weights_costs_a_twentieth_of_the_votes_and_what_stops_is_decided():
    """1 of 1,000 answers differs, and 0.1 of the first one's fail: between the radii 0.5 and 0.75."""
    needed = special.ndtr(-np.array(RULE.stop.radii) / 0.5)
    bound, drawn = simulated(np.array([0.8995, 0.0005, 0.0005, 0.0995]), 40, np.random.default_rng(0))
    assert 2 * drawn.mean() < N / 20
    assert np.all((bound[:, None] <= needed).sum(1) == 3)


def test_blocks_end_at_n_and_the_first_decision_is_that_of_the_differences_share():
    assert sum(RULE.sizes()) == RULE.n
    assert not RULE.going_on(np.ones(1), np.zeros(1), np.zeros(1), RULE.n)[0]
    one = replace(RULE, stop=Stop(ALPHA, (1.0,)))
    least = int(one.first_decision())
    needed = special.ndtr(-2.0) * (1 - 1e-9)
    level = 0.75 * ALPHA
    assert differences.upper(0, 0, least, level) <= needed < differences.upper(0, 0, least - 1, level)


def test_what_can_be_decided_is_what_votes_without_failures_certify():
    one = replace(RULE, stop=Stop(ALPHA, (0.5, 1.5)), n=200)
    numbers = [30, 40, 50, 60, 70, 80, 90, 100, 1000, 10**6]
    draws = (paired([one.n, 0, 0, 0], [votes, 0]) for votes in numbers)
    certify = [bool(Incremental(RULE.share).certify(each, NOISE, ALPHA).radius[0] >= 0.5) for each in draws]
    assert [one.can_decide(votes) for votes in numbers] == certify
    assert 1 < sum(certify) < len(numbers) - 1


def test_a_radius_that_the_first_ones_bound_cannot_reach_is_soon_given_up():
    one = replace(RULE, stop=Stop(ALPHA, (1.0,)))
    assert not one.going_on(np.array([0.3]), np.zeros(1), np.zeros(1), 1280)[0]
    assert one.going_on(np.array([0.3]), np.zeros(1), np.full(1, 400), 1280)[
        0
    ]  # the second one is far better


def test_a_width_is_what_all_draws_could_add():
    wide, narrow = (replace(RULE, stop=Stop(ALPHA, width=w)) for w in (0.5, 0.01))
    first, none = np.array([0.05]), np.zeros(1)
    assert narrow.going_on(first, none, none, 256)[0]
    assert not wide.going_on(first, none, none, 256)[0]
    assert not narrow.going_on(first, none, none, 10_240)[0]
