"""An average's interval is shown within what it can be; what is compared is the whole of it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from tiny_study import TINY

from rs.statistics.agreement import Side, printed_like
from rs.statistics.intervals import t_interval
from rs.tables.certified import claims_of
from rs.tables.claims import judged
from rs.tables.measured import mean_of
from rs.tables.published import beside

RUNS = {f"n{i}": {"objective": {"name": "nal", "gamma": float(i)}} for i in (1, 2, 3)}
ONE_OF_50 = [0.5] + [0.0] * 49


def average(label, radii, largest=math.nan):
    """The row of a run with these radii, as the table has it."""
    columns = {"certificate": "cohen", "norm": 2.0, "alpha": 0.001, "n": 64, "factor": 1.0, "rigorous": True}
    columns |= {"label": 1, "prediction": 1, "image": range(len(radii)), "radius": radii}
    named = {"label": label, "run": label, "smoothing": "gaussian"}
    (claim,) = claims_of(pd.DataFrame({**columns, "largest_radius": largest}), named)
    return claim.columns | claim.average()


def test_certificates_keep_the_order_of_the_study():
    columns = {
        "norm": 2.0,
        "alpha": 0.001,
        "n": 64,
        "factor": 1.0,
        "rigorous": True,
        "label": 1,
        "prediction": 1,
    }
    frame = pd.DataFrame(
        {"certificate": ["renyi", "cohen"] * 2, "image": [0, 0, 1, 1], "radius": 0.5, **columns}
    )
    assert [claim.columns["certificate"] for claim in claims_of(frame, {})] == ["renyi", "cohen"]


def verdict(plan_of, tiny, rows, table="average_certified_radius", **changes):
    condition = {"metric": "acr", "radii": [], "about": "networks", **changes}
    claim = {
        "id": "a",
        "paper": "P",
        "place": "1",
        "claim": "is so",
        "conditions": [condition],
        "join": "all",
    }
    study = plan_of({**tiny, "claims": [claim], "runs": {**TINY["runs"], **RUNS}}).study
    (row,) = judged(study, {table: rows})
    return row


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("radii", [(0, 0.5, 1), (0, 0, 1, 1, 1), [0.0] * 9 + [1.0]])
def test_a_cut_interval_has_its_whole_width_at_every_confidence(radii, confidence):
    row = average("n1", radii, largest=1.0)
    assert (row["low"], row["acr"]) == (0.0, pytest.approx(np.mean(radii)))
    found = mean_of([row], "acr", confidence=confidence)
    assert (found.side.low, found.side.high) == pytest.approx(t_interval(radii, confidence)[1:])
    shown = found.shown(found.side.low), found.shown(found.side.high)
    assert shown == pytest.approx(t_interval(radii, confidence, least=0.0, most=1.0)[1:])


def test_averages_of_losses_have_students_interval_of_their_standard_error():
    """A loss is at most its bound, unless it is an estimate above it."""
    row = {"label": "a", "images": 5, "loss": 0.2, "loss_se": 0.1, "low": 0.0, "high": 0.3, "loss_bound": 0.3}
    found = mean_of([row], "loss")
    assert (found.side.low, found.side.high) == pytest.approx((0.2 - 0.2776445, 0.2 + 0.2776445))
    assert (found.shown(-1), found.shown(9)) == (0.0, 0.3)
    assert mean_of([row | {"loss_bound": 0.1}], "loss").shown(9) == 9
    assert mean_of([row | {"loss_se": None}], "loss").side.low == pytest.approx(0.0)


@pytest.mark.parametrize(("goes", "sign"), [("falling", 1), ("rising", -1)])
def test_a_trend_of_averages_near_0_is_decided_by_uncut_intervals(plan_of, tiny, goes, sign):
    """7 of 50 images at 0.4, at last 1 of 50 at 0.6; of cut intervals the trend would be decided."""
    rows = [average("n1", [0.4] * 7 + [0.0] * 43), average("n2", [0.034] * 50)]
    rows.append(average("n3", [0.6] + [0.0] * 49))
    assert rows[2]["low"] == 0.0
    named = ["n1", "n2", "n3"][::sign]
    found = verdict(plan_of, tiny, rows, trend=named, goes=goes)
    assert found["condition_verdict"] == "undecided"
    ends = (-0.0906, 0.0026) if sign > 0 else (-0.0026, 0.0906)
    assert (found["low"], found["high"]) == pytest.approx(ends, abs=1e-4)


@pytest.mark.parametrize("goes", ["falling", "rising"])
def test_the_ends_of_a_trend_are_of_the_sides_that_count(plan_of, tiny, goes):
    """Wilson's intervals are uneven: by hand, sqrt of the squares of the sides towards each other's end."""
    rows = [
        {"label": n, "run": n, "certificate": "cohen", "smoothing": "gaussian", "radius": 0.25}
        | {"images": 20, "certified_accuracy": share}
        for n, share in (("n1", 0.0), ("n2", 0.2), ("n3", 0.4))
    ]
    a, b = (mean_of([row], "certified_accuracy").side for row in rows[::2])
    condition = {"metric": "certified_accuracy", "radii": [0.25], "trend": ["n1", "n2", "n3"], "goes": goes}
    found = verdict(plan_of, tiny, rows, "certified_accuracy", **condition)
    low = 0.4 - math.hypot(a.high - a.value, b.value - b.low)
    high = 0.4 + math.hypot(a.value - a.low, b.high - b.value)
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert found["condition_verdict"] == {"rising": "holds", "falling": "fails"}[goes]


@pytest.mark.parametrize(("factor", "most"), [(None, 1.0), (0.95, 0.95)])
def test_an_accuracy_over_seeds_is_shown_within_what_it_can_be(plan_of, tiny, factor, most):
    """Seeds widen Wilson's interval beyond what any share of images is; STN's accuracies end at 1 - alpha."""
    named = {"label": "n1", "certificate": "cohen", "smoothing": "gaussian", "radius": 0.0, "images": 20}
    rows = [
        {**named, "run": f"n1-{i}", "factor": factor, "certified_accuracy": share * (factor or 1.0)}
        for i, share in enumerate((0.2, 0.6, 1.0))
    ]
    at_radius_0 = {"metric": "certified_accuracy", "radii": [0.0], "value": "n1", "at_least": 0.5}
    found = verdict(plan_of, tiny, rows, "certified_accuracy", **at_radius_0)
    assert (found["low"], found["high"]) == (0.0, most)


def test_estimates_above_their_cap_are_not_cut_at_it():
    row = average("n1", [0.0, 1.0, 1.0], largest=0.5)
    assert row["low"] < row["acr"] < row["high"]
    assert row["high"] == pytest.approx(t_interval([0.0, 1.0, 1.0])[2])


def test_a_value_is_shown_within_what_it_can_be(plan_of, tiny):
    found = verdict(plan_of, tiny, [average("n1", [0, 0.5, 1], largest=1.0)], value="n1", at_most=1.5)
    assert (found["low"], found["high"], found["condition_verdict"]) == (0.0, 1.0, "holds")


def test_a_printed_average_spreads_as_the_whole_interval(plan_of, tiny):
    """Ours 0.01 (1 of 50 images at 0.5), printed 0.3 on 50 others."""
    row = average("gaussian", ONE_OF_50)
    half = 0.01 * 2.0095752
    side = mean_of([row], "acr").side
    theirs = printed_like(0.3, side, 50, 50)
    assert theirs == Side(0.3, pytest.approx(0.3 - half), pytest.approx(0.3 + half))
    entry = {"paper": "P", "table": "1", "run": "gaussian", "acr": "0.3"}
    study = plan_of({**tiny, "published": [entry], "papers": {"P": {"images": 50}}}).study
    (outcome,) = beside(study, {"average_certified_radius": [row]})
    assert (outcome["low"], outcome["high"]) == (0.0, pytest.approx(0.01 + half))
    far = math.hypot(half, half) + 0.05
    assert (outcome["difference_low"], outcome["difference_high"]) == pytest.approx(
        (-0.29 - far, -0.29 + far)
    )
