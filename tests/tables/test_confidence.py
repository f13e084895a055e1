"""`agreement.confidence` holds for both sides of a comparison: for what is measured here too."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rs.statistics.intervals import equal_values_interval, standard_error, t_interval, wilson_interval
from rs.tables.measured import mean_of
from rs.tables.published import beside


def row(**columns):
    return {"label": "a", "run": "a", **columns}


@pytest.mark.parametrize("factor", [None, 0.95])
@pytest.mark.parametrize("column", ["certified_accuracy", "accuracy"])
def test_accuracies_have_wilsons_interval(column, factor):
    share = (factor or 1.0) * 0.82
    found = mean_of([row(**{column: share, "images": 500, "factor": factor})], column, confidence=0.99)
    low, high = ((factor or 1.0) * float(end) for end in wilson_interval(410, 500, 0.99))
    assert (found.side.low, found.side.high) == pytest.approx((low, high))


def test_averages_have_students():
    values = np.random.default_rng(0).exponential(0.5, 30)
    acr, low, high = t_interval(values)
    found = mean_of([row(acr=acr, low=low, high=high, images=30)], "acr", confidence=0.8)
    assert (found.side.low, found.side.high) == pytest.approx(t_interval(values, 0.8)[1:])


def test_a_mean_is_within_what_it_can_be():
    """Student's interval of few radii reaches below 0 and above the largest; what is cut off is no mean."""
    for values in ([0.0, 0.0, 1.0], [1.0, 1.0, 0.0]):
        whole, cut = t_interval(values), t_interval(values, least=0.0, most=1.0)
        assert (whole[1] < 0, whole[2] > 1) == (True, True)
        assert cut == (whole[0], 0.0, 1.0)
    assert t_interval([0.4, 0.5, 0.6], least=0.0, most=1.0) == t_interval([0.4, 0.5, 0.6])
    assert np.isnan(t_interval([0.4], least=0.0, most=1.0)[1:]).all()


def test_the_mean_of_equal_values_is_not_sure():
    """By hand: of 12 values at 0, 1 - 0.025^(1/12) = 0.26465 of the law may lie at the cap 0.375."""
    assert t_interval([0.0] * 12, least=0.0, most=0.375) == (0, 0, pytest.approx(0.375 * 0.26465, rel=1e-4))
    mean, low, high = t_interval([0.375] * 4, least=0.0, most=0.375)
    assert (mean, low, high) == (0.375, pytest.approx(0.375 * 0.025**0.25), 0.375)
    mean, low, high = t_interval([0.1] * 3, 0.9, least=0.0, most=1.0)  # numpy's mean is above 0.1
    assert (mean, low) == (0.1, pytest.approx(0.1 * 0.05 ** (1 / 3)))
    assert high == pytest.approx(0.1 + 0.9 * (1 - 0.05 ** (1 / 3)))
    low, high = t_interval([0.0] * 12, least=0.0)[1:]
    assert (low, np.isnan(high)) == (0, True)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("n", [2, 3, 12])
def test_equal_values_are_seldom_far_from_the_mean(confidence, n):
    """Exactly, over laws of 2 to 4 values: P(all values are equal, and their interval misses the mean)."""
    draws, worst = np.random.default_rng(0), 0.0
    for _ in range(3000):
        atoms = np.append(draws.random(draws.integers(1, 4)), draws.integers(0, 2))
        p = draws.dirichlet(np.full(len(atoms), draws.choice([0.1, 1.0])))
        missed = 0.0
        for atom, share in zip(atoms, p, strict=True):
            low, high = equal_values_interval(atom, n, confidence, 0.0, 1.0)
            missed += share**n * (not low - 1e-12 <= atoms @ p <= high + 1e-12)
        worst = max(worst, missed)
    assert (1 - confidence) / 4 < worst <= 1 - confidence


def test_comparisons_take_the_interval_of_equal_values():
    """All wrong: no spread and so no standard error, but the next image may be right."""
    zero = row(acr=0.0, acr_se=0.0, low=0.0, high=0.05, images=20, largest_radius=0.5)
    side = mean_of([zero], "acr", confidence=0.9).side
    assert (side.low, side.high) == (0.0, pytest.approx(0.5 * (1 - 0.05 ** (1 / 20))))
    unknown = mean_of([zero | {"largest_radius": None}], "acr").side
    assert (unknown.low, unknown.high) == (0.0, 0.0)
    assert standard_error([0.1] * 3) == 0


def test_standard_errors_and_ends_of_another_column():
    found = mean_of([row(epsilon=0.5, epsilon_se=0.1)], "epsilon", confidence=0.9)
    assert found.side.high == pytest.approx(0.5 + 0.1 * stats.norm.ppf(0.95))
    worst = row(rho=1.0, rho_low=0.9, rho_high=1.2, loss=3.0, low=2.0, high=4.0)
    side = mean_of([worst], "rho", confidence=0.95).side
    assert (side.low, side.high) == pytest.approx((0.9, 1.2))  # not those of the loss
    side = mean_of([row(refused=0.1, loss=3.0, low=2.0, high=4.0)], "refused").side
    assert (side.low, side.high) == (0.1, 0.1)


def test_a_printed_number_is_judged_at_the_studys_confidence(tiny, plan_of):
    entry = {"paper": "P", "table": "1", "run": "gaussian", "radii": [0.25], "certified_accuracy": ["0.80"]}
    tiny |= {"published": [entry], "papers": {"P": {"images": 1_000_000}}}
    measured = row(certificate="cohen", smoothing="gaussian", radius=0.25, images=1000, factor=1.0)
    measured |= {"label": "gaussian", "certified_accuracy": 0.77}
    seeds = [measured, measured, measured]
    outcomes = {}
    for confidence in (0.8, 0.999):
        study = plan_of({**tiny, "agreement": {"accuracy": 0.01, "confidence": confidence}}).study
        (outcomes[confidence],) = beside(study, {"certified_accuracy": seeds})
        low, high = (float(end) for end in wilson_interval(770, 1000, confidence))
        assert (outcomes[confidence]["low"], outcomes[confidence]["high"]) == pytest.approx((low, high))
    assert outcomes[0.8]["status"] == "differs"
    assert outcomes[0.999]["status"] == "undecided"


def test_what_one_image_makes_of_a_number():
    """A share, or the largest radius; where that is not known, as of a log, nothing."""
    known = row(acr=0.5, certified_accuracy=0.5, rho=0.5, images=500, largest_radius=2.0)
    steps = {c: mean_of([known], c).resolution for c in ("acr", "certified_accuracy", "rho")}
    assert steps == {"acr": pytest.approx(2 / 500), "certified_accuracy": pytest.approx(1 / 500), "rho": 0}
    for largest in (None, math.nan):
        assert mean_of([known | {"largest_radius": largest}], "acr").resolution == 0


def test_one_lower_bound_of_several_seeds_makes_their_mean_one():
    rows = [row(acr=0.5, lower_bound=bound) for bound in (False, True)]
    assert mean_of(rows, "acr").lower_bound
    assert not mean_of(rows[:1], "acr").lower_bound


def test_half_an_interval_is_none():
    side = mean_of([row(acr=0.5, low=0.4, high=None, images=500)], "acr").side
    assert (side.low, side.high) == (0.5, 0.5)
