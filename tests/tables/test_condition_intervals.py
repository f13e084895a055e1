"""Intervals of what a condition is asked about, in numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from rs.tables.claims import judged

STUDENT = {0.95: 4.3026527, 0.99: 9.9248432}  # of 2 degrees of freedom, two-sided


def averages(label, *seeds, **more):
    """Rows of `(value, low, high)`, one per seed."""
    names = ("acr", "low", "high")
    head = {"label": label, "certificate": "cohen", "smoothing": "gaussian", **more}
    return [head | {"run": f"{label}{i}"} | dict(zip(names, s, strict=True)) for i, s in enumerate(seeds)]


def exact(*values):
    return [(value, value, value) for value in values]


@pytest.fixture
def row_of(plan_of, tiny):
    def tell(condition, rows, **study):
        entry = {"metric": "acr", "radii": [], **condition}
        claim = {"id": "a", "paper": "P", "place": "1", "claim": "is so", "conditions": [entry]}
        study = plan_of({**tiny, "claims": [claim], **study}).study
        (row,) = judged(study, {"average_certified_radius": rows})
        return row

    return tell


def test_a_difference_joins_opposite_ends(row_of):
    rows = averages("nal", (1.0, 0.9, 1.3)) + averages("gaussian", (0.5, 0.46, 0.8))
    row = row_of({"difference": ["nal", "gaussian"], "at_least": 0, "about": "networks"}, rows)
    assert row["value"] == pytest.approx(0.5)
    ends = 0.5 - math.hypot(0.1, 0.3), 0.5 + math.hypot(0.3, 0.04)
    assert (row["low"], row["high"]) == pytest.approx(ends)


@pytest.mark.parametrize("confidence", STUDENT)
def test_seeds_give_students_interval_of_their_mean(row_of, confidence):
    agreement = {"agreement": {"confidence": confidence}}
    first, second = averages("nal", *exact(0.8, 0.9, 1.0)), averages("gaussian", *exact(0.45, 0.5, 0.55))
    half = STUDENT[confidence] * 0.1 / math.sqrt(3)
    row = row_of({"value": "nal", "at_least": 0.1}, first, **agreement)
    assert (row["low"], row["high"]) == pytest.approx((0.9 - half, 0.9 + half))
    row = row_of({"difference": ["nal", "gaussian"], "at_least": 0}, first + second, **agreement)
    both = math.hypot(half, half / 2)
    assert (row["low"], row["high"]) == pytest.approx((0.4 - both, 0.4 + both))


def test_images_and_seeds_are_joined_at_either_end(row_of):
    rows = averages("nal", (0.8, 0.7, 0.85), (0.9, 0.8, 0.95), (1.0, 0.9, 1.05))
    row = row_of({"value": "nal", "at_least": 0.1}, rows)
    half = STUDENT[0.95] * 0.1 / math.sqrt(3)
    assert (row["low"], row["high"]) == pytest.approx(
        (0.9 - math.hypot(0.1, half), 0.9 + math.hypot(0.05, half))
    )


def test_methods_have_no_interval_where_one_of_both_has_too_few_seeds(row_of):
    rows = averages("nal", *exact(0.8, 0.9, 1.0)) + averages("gaussian", *exact(0.5, 0.55))
    row = row_of({"difference": ["nal", "gaussian"], "at_least": 0}, rows)
    assert (row["low"], row["condition_verdict"]) == (None, "undecided")


def test_two_certificates_on_the_same_votes_differ_seed_by_seed(row_of):
    """Seeds move both alike: only what the differences 0.1, 0.1 and 0.13 spread is left."""
    rows = averages("nal", *exact(0.9, 1.0, 1.23), certificate="tcertify")
    rows += averages("nal", *exact(0.8, 0.9, 1.1))
    sides = [{"run": "nal", "certificate": "tcertify"}, "nal"]
    certificates = [{"name": "cohen"}, {"name": "tcertify"}]
    row = row_of({"difference": sides, "at_least": 0}, rows, certificates=certificates)
    half = STUDENT[0.95] * 0.03 / math.sqrt(3) / math.sqrt(3)  # their standard deviation is 0.03 / sqrt(3)
    assert (row["low"], row["high"]) == pytest.approx((0.11 - half, 0.11 + half))
