"""`agreement.confidence` holds for both sides of a comparison: for what is measured here too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rs.statistics.intervals import t_interval, wilson_interval
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
    told = {}
    for confidence in (0.8, 0.999):
        study = plan_of({**tiny, "agreement": {"accuracy": 0.01, "confidence": confidence}}).study
        (told[confidence],) = beside(study, {"certified_accuracy": [measured]})
        low, high = (float(end) for end in wilson_interval(770, 1000, confidence))
        assert (told[confidence]["low"], told[confidence]["high"]) == pytest.approx((low, high))
    assert told[0.8]["status"] == "differs"
    assert told[0.999]["status"] == "undecided"
