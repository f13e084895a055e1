"""What training with other seeds would differ in: the question `methods` of comparisons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from contestants_made import contestant, rows_of
from scipy import stats

from rs.tables.comparisons import PairSettings, compare


def test_methods_are_compared_over_seeds():
    values = {0: (0.5, 0.4), 1: (0.7, 0.5), 2: (0.6, 0.55)}
    a, b = (contestant(n, [[v[i]] * 400 for v in values.values()], (0, 1, 2)) for i, n in enumerate("ab"))
    rows = compare([(a, b, PairSettings([0.45]))])
    (acr,), (at,) = rows_of(rows, "acr", "methods"), rows_of(rows, "certified_accuracy", "methods")
    expected = stats.ttest_rel(*zip(*values.values(), strict=True))
    assert (acr["p"], acr["seeds"]) == (pytest.approx(expected.pvalue), 3)
    assert at["difference"] == pytest.approx(1 / 3)
    (networks,) = rows_of(rows, "acr")
    assert networks["seeds"] == 3
    assert networks["difference"] == pytest.approx(acr["difference"])


def test_equal_accuracies_of_methods_are_known_to_one_image_in_one_seed():
    a, b = (contestant(n, [r * 2 + [0.5] * 8] * 3, (0, 1, 2)) for n, r in (("a", [0.5]), ("b", [-1])))
    (at,) = rows_of(compare([(a, b, PairSettings([0.45]))]), "certified_accuracy", "methods")
    half = stats.t.ppf(0.975, 2) * 0.1 / 3
    assert (at["low"], at["high"]) == pytest.approx((0.2 - half, 0.2 + half))
    assert at["p"] == pytest.approx(2 * stats.t.sf(6, 2))


def test_equal_averages_of_methods_are_known_to_one_image_in_one_seed():
    a, b = (contestant(n, [[r] * 2 + [0.5] * 8] * 3, (0, 1, 2)) for n, r in (("a", 0.8), ("b", 0.1)))
    rows = compare([(a, b, PairSettings([]))])
    (acr,), (median,) = rows_of(rows, "acr", "methods"), rows_of(rows, "median_radius", "methods")
    half = stats.t.ppf(0.975, 2) * 0.08 / 3  # the largest radius, on one of ten images
    assert (acr["low"], acr["high"]) == pytest.approx((0.14 - half, 0.14 + half))
    assert acr["p"] == pytest.approx(2 * stats.t.sf(0.14 / (0.08 / 3), 2))
    assert median["verdict"] == "undecided"  # one image does not move it, and so nothing tells its spread
    assert math.isnan(median["p"])


def test_one_image_moves_a_median_to_the_next():
    a, b = (contestant(n, [np.arange(9) / 10 + up] * 3, (0, 1, 2)) for n, up in (("a", 0.2), ("b", 0.0)))
    (median,) = rows_of(compare([(a, b, PairSettings([]))]), "median_radius", "methods")
    half = stats.t.ppf(0.975, 2) * 0.1 / 3
    assert (median["low"], median["high"]) == pytest.approx((0.2 - half, 0.2 + half))


def test_fewer_than_three_seeds_leave_methods_undecided():
    a, b = contestant("a", [[1.0] * 9] * 2, (0, 1)), contestant("b", [[0.0] * 9] * 2, (0, 1))
    rows = compare([(a, b, PairSettings([0]))])
    for row in (r for r in rows if r["about"] == "methods"):
        assert row["verdict"] == "undecided"
        assert math.isnan(row["p"])
    assert rows_of(rows, "acr")[0]["verdict"] == "better"
