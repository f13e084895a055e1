"""Estimates and lower bounds are marked as such wherever a certification is shown."""

from __future__ import annotations

import copy
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest

import rs

VOTES = ([[90, 10]] * 3, [[990, 10], [860, 140], [450, 550]])
RULE = {"alpha": 0.001, "radii": (0.25,), "n": 10_000}


def certified(certificate: str = "cohen", **stop: object) -> rs.Certification:
    """Of three images, with votes that a rule stopped where one is given."""
    counts, alpha = rs.certify_counts(VOTES, sigma=0.5, labels=[0, 0, 0]).counts, 0.01
    if stop:
        counts = replace(counts, draws=replace(counts.draws, stopping="sequential", stop=RULE | stop))
        alpha = RULE["alpha"]
    return rs.certify_counts(counts, certificate, alpha)


def test_a_certificate_with_all_votes_is_marked_as_one():
    found = certified()
    table = found.certified_accuracy([0.0, 0.5])
    assert list(table) == ["radius", "certified_accuracy", "low", "high", "rigorous", "lower_bound"]
    assert table["rigorous"].all()
    assert not table["lower_bound"].any()
    average = found.average_radius()
    assert (average.rigorous, average.lower_bound) == (True, False)
    assert "≥" not in repr(found) + repr(average)


def test_an_estimate_is_one_in_tables_and_text():
    found = certified("tcertify")
    assert not found.certified_accuracy([0.25])["rigorous"].any()
    assert not found.frame()["rigorous"].any()
    assert repr(found.average_radius()).startswith("<average estimated radius 0")
    assert "median estimated l2 radius" in repr(found)


@pytest.mark.parametrize(
    ("stop", "open_"), [({"n": 10_000}, [True, False, True]), ({"alpha": 1e-4}, [True] * 3)]
)
def test_stopped_votes_decide_their_rules_radii_at_its_alpha_and_leave_the_others_open(stop, open_):
    found = certified(**stop)
    table = found.certified_accuracy([0.0, 0.25, 0.5])
    assert table["lower_bound"].tolist() == open_
    average = found.average_radius()
    assert average.lower_bound
    assert repr(average).startswith("<average certified radius ≥ 0")
    assert "radius ≥ " in repr(found)


def test_a_log_of_stopped_votes_is_told_to_hold_lower_bounds(tmp_path):
    with pytest.warns(
        RuntimeWarning, match=r"the average, and accuracies at other radii than 0.25, are lower"
    ):
        certified(n=10_000).to_log(tmp_path / "stopped.tsv")
    with pytest.warns(RuntimeWarning, match=r"so all averages and accuracies are lower bounds, which a log"):
        certified(alpha=1e-4).to_log(tmp_path / "stopped.tsv")  # the rule's own alpha is smaller
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        certified().to_log(tmp_path / "fixed.tsv")


def test_the_average_is_three_numbers_and_survives_copies():
    found = certified(n=10_000)
    average, low, high = whole = found.average_radius()
    assert 0 <= low < average < high
    for twin in (copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        assert (tuple(twin), twin.lower_bound, twin.rigorous) == ((average, low, high), True, True)
    shown = float(repr(whole).split("≥ ")[1].split()[0])
    assert average - 1e-4 < shown <= average  # rounded down


def test_an_average_of_one_image_has_no_interval_and_is_shown():
    one = rs.certify_counts(([90, 10], [990, 10]), sigma=0.5, labels=[0])
    assert repr(one.average_radius()).endswith("[nan, nan]>")


def test_a_frame_states_what_its_radii_are():
    table = rs.certify_counts(certified().counts, "pixeldp", 0.05, alpha_share=0.25).frame()
    assert list(table)[-4:] == ["certificate", "norm", "alpha", "rigorous"]
    assert set(table["certificate"]) == {"pixeldp alpha_share=0.25"}
    assert (table[["norm", "alpha"]] == [2.0, 0.05]).all(axis=None)


def test_certifications_are_compared_as_objects_and_have_a_length():
    found, other = certified(), certified()
    assert found == found
    assert found != other
    assert found.counts != other.counts
    assert len({found, other}) == 2
    assert len(found) == len(found.counts) == 3
    assert np.array_equal(found.radius, other.radius)
