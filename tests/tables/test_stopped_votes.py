"""What comparisons read from votes that a rule stopped: they decide the rule's radii and nothing else."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import special

from rs.cli.compared_text import text
from rs.errors import UserError
from rs.report.board import write_board
from rs.statistics.bands import difference_band
from rs.tables.behind_averages import PROBABILITIES, curve, on_hard_images, probabilities
from rs.tables.certified import claims_of
from rs.tables.comparisons import PairSettings, compare
from rs.tables.contestants import Contestant, Outcomes
from rs.tables.pilot import pilot_of

IMAGES = 200
SIGMA = 0.5


def sides():
    """Two contestants on the same images, a fifth of which neither certifies."""
    draw = np.random.default_rng(0)
    common = np.where(draw.random(IMAGES) < 0.8, draw.exponential(0.5, IMAGES) + 0.01, -1)
    for name, up in (("a", 0.1), ("b", 0.0)):
        radii = np.where(common > 0, common + up * draw.random(IMAGES), -1.0)[None]
        yield Contestant(name, (0,), Outcomes(np.arange(IMAGES), np.zeros(IMAGES, int), radii), sigma=SIGMA)


def test_the_band_is_that_of_the_radii_that_both_sides_decide():
    a, b = sides()
    whole = curve(a, b)
    assert len(whole["radii"]) > 100
    found = curve(replace(a, decided=(0.25, 0.5)), replace(b, decided=(0.5, 0.75)))
    assert found["radii"] == [0.5]
    first, second = a.certified.values, b.certified.values
    one = difference_band(first, second, np.array([0.5]))
    assert (found["low"], found["high"], found["p"]) == ([one.low[0]], [one.high[0]], one.p)
    assert curve(replace(a, decided=(0.75, 0.25)), b)["radii"] == [0.25, 0.75]
    for nothing in (curve(replace(a, decided=()), b), curve(a, replace(b, decided=()))):
        assert (nothing["radii"], nothing["p"], nothing["stretches"]) == ([], None, [])


def test_accuracies_are_lower_bounds_but_at_radii_that_the_rule_decided():
    columns = {"certificate": "cohen", "norm": 2.0, "alpha": 0.001, "n": 64, "factor": 1.0, "rigorous": True}
    columns |= {"label": 1, "prediction": 1, "image": [0], "radius": 0.4}
    stop = {"radii": [0.25, 0.5], "alpha": 0.001}
    for rule, decided, bounds in ((None, True, [0, 0, 0]), (stop, True, [0, 1, 0]), (stop, False, [1, 1, 1])):
        (claim,) = claims_of(pd.DataFrame({**columns, "decided": decided}), {}, rule)
        assert [claim.is_lower_bound(radius) for radius in (0.25, 0.3, 0.5)] == [bool(b) for b in bounds]


def test_shares_of_p_a_are_lower_bounds_but_at_decided_radii():
    a, _ = sides()
    at = SIGMA * float(special.ndtri(0.8))
    fixed = {row["p_a"]: row for row in probabilities(a)}
    found = {row["p_a"]: row for row in probabilities(replace(a, decided=(at,)))}
    assert found[0.8] == fixed[0.8]
    for p in set(PROBABILITIES) - {0.8}:
        assert (fixed[p]["lower_bound"], found[p]["lower_bound"]) == (False, True)
        assert [found[p][key] for key in ("share", "low")] == [fixed[p][key] for key in ("share", "low")]
        assert found[p]["high"] == 1
    assert found[0.95]["high"] > fixed[0.95]["high"]


@pytest.mark.parametrize("stopped", ["a", "b"])
def test_hard_images_are_named_only_where_radius_0_is_decided(stopped):
    pair = [replace(c, decided=(0.5,)) if c.name == stopped else c for c in sides()]
    (row,) = on_hard_images(pair, pair[1])
    assert row["lower_bound"]
    assert [row[key] for key in ("images", "accuracy", "low", "high", "in_turn")] == [None] * 5
    pair = [replace(c, decided=(0.0, 0.5)) for c in pair]
    (row,) = on_hard_images(pair, pair[1])
    assert (row["lower_bound"], row["images"]) == (False, int((pair[1].certified.values < 0).sum()))


def test_people_read_what_is_open():
    a, b = (replace(c, decided=(0.25, 0.5)) for c in sides())
    details = {
        "conditions": [],
        "remarks": [],
        "curves": [curve(a, b)],
        "hard_images": on_hard_images([a, b], b),
    }
    details["images"] = [
        {"a": "a", "b": "b", "noise": "shared", "images": IMAGES, "only_a": [], "only_b": []}
    ]
    details["p_a"] = {c.name: probabilities(c) for c in (a, b)}
    summary = text(["a", "b"], compare([(a, b, PairSettings([0.5]))]), details, 0.95)
    assert "band of the radii that votes were stopped for (0.25, 0.5) together" in summary
    assert "a: undecided (votes were stopped before they showed which images are hard)" in summary
    assert "≥ 0." in summary
    assert "≥: votes were stopped; all votes would give at least as much" in summary
    details["curves"] = [curve(replace(a, decided=()), b)]
    summary = text(["a", "b"], compare([(a, b, PairSettings([0.5]))]), details, 0.95)
    assert "curve: undecided (votes were stopped, at no radius of both sides)" in summary
    json.dumps(details, allow_nan=False)


def test_a_board_marks_lower_bounds(tmp_path):
    a, b = sides()
    for stopped, marks in ((a, 0), (replace(a, decided=(0.5,)), 2)):
        pairs = compare((x, y, PairSettings([0.25, 0.5])) for x, y in itertools.combinations((stopped, b), 2))
        write_board(tmp_path / "b.html", "B", [stopped, b], {"a": "a", "b": "b"}, pairs, [0.25, 0.5])
        page = (tmp_path / "b.html").read_text()
        assert page.count("≥ 0.") == marks  # the average, and the accuracy at 0.25
        assert ("≥ marks a lower bound" in page) is bool(marks)


def test_no_number_of_images_decides_what_is_open():
    a, b = sides()
    stopped = replace(a, decided=(0.5,))
    assert pilot_of([stopped, b], 0.5).difference == pilot_of([a, b], 0.5).difference
    for radius in (None, 0.25):
        with pytest.raises(
            UserError, match=r"power: a: its votes were stopped at a lower bound; .* decide: 0"
        ):
            pilot_of([stopped, b], radius)
    with pytest.raises(UserError, match="they decide no radius"):
        pilot_of([b, replace(a, decided=())], 0.5)
