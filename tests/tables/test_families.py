"""How sure one of many conditions must be: by counting, and by how often a claim's verdict is wrong."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from rs.tables.claims import as_one_of_many, joined
from rs.tables.families import Sure, stricter, sure


def claim(join, *conditions):
    nothing = dict.fromkeys(("better", "worse", "equivalent", "trend", "value", "difference", "ratio"))
    nothing |= dict.fromkeys(("crosses", "impossible", "proven")) | {"radii": ()}
    return {"join": join, "conditions": [nothing | condition for condition in conditions]}


THREE = ({"value": "a", "radii": (0, 0.5, 1)}, {"crosses": ["a", "b"]}, {"proven": "docs/x.md"})


def test_of_all_a_row_fails_as_one_of_all_rows_and_of_any_it_holds_as_one_of_the_conditions():
    assert sure(claim("all", *THREE), 0.95) == [Sure(0.95, 1, 5)] * 3
    assert sure(claim("any", *THREE), 0.95) == [Sure(0.95, 2, 3), Sure(0.95, 2, 2), Sure(0.95, 2, 1)]
    assert sure(claim("all", {"value": "a"}), 0.9) == sure(claim("any", {"value": "a"}), 0.9)
    assert (Sure(0.95, 1, 5).holds, Sure(0.95, 1, 5).fails) == (0.95, pytest.approx(0.99))
    assert stricter(0.9, 4) == pytest.approx(0.975)


IMAGES, LIMIT = 400, 0.8
ASKED = {"value": "run", "at_least": LIMIT, "at_most": None, "metric": "certified_accuracy", "radii": (0.5,)}
ASKED |= {"certificate": "cohen", "attack": None, "smoothing": None, "where": None, "about": "networks"}


def verdict_of(join, truths, draw):
    """Of a claim that runs of these true accuracies have at least LIMIT each."""
    whole = claim(join, *(ASKED | {"value": str(i)} for i in range(len(truths))))
    rows = []
    for i, truth in enumerate(truths):
        row = {"label": str(i), "run": str(i), "certificate": "cohen", "radius": 0.5, "images": IMAGES}
        rows.append(row | {"certified_accuracy": draw.binomial(IMAGES, truth) / IMAGES})
    tables, agreed = {"certified_accuracy": rows}, {"confidence": 0.9, "accuracy": 0.02}
    each = [
        joined("all", [row["verdict"] for row in as_one_of_many(c, tables, agreed, pytest.fail, level)])
        for c, level in zip(whole["conditions"], sure(whole, 0.9), strict=True)
    ]
    return joined(join, each)


@pytest.mark.parametrize(
    ("join", "truths", "wrong", "most"),
    [
        ("all", [LIMIT] * 8, "fails", 0.1),  # all are true, if only just; one of eight alone fails in 34 %
        ("all", [LIMIT, *[0.95] * 7], "holds", 0.1),  # one is false, if only just
        ("any", [LIMIT] * 8, "holds", 0.1),
        ("any", [LIMIT, *[0.6] * 7], "fails", 0.1),
    ],
)
def test_claims_are_wrong_no_more_often_than_their_confidence_says(join, truths, wrong, most):
    judge = partial(verdict_of, join, truths, np.random.default_rng(0))
    found = [judge() for _ in range(300)]
    assert 0.01 <= found.count(wrong) / len(found) <= most


def test_one_that_fails_alone_says_so():
    row = {"label": "run", "run": "run", "certificate": "cohen", "radius": 0.5, "images": IMAGES}
    tables = {"certified_accuracy": [row | {"certified_accuracy": 0.755}]}
    judge = partial(as_one_of_many, claim("all", ASKED)["conditions"][0], tables, {}, pytest.fail)
    (alone,), (of_many,) = judge(Sure(0.95, 1, 1)), judge(Sure(0.95, 1, 12))
    assert (alone["verdict"], alone["counted"]) == ("fails", "images")
    assert (of_many["verdict"], of_many["counted"]) == ("undecided", "images; fails alone, not as one of 12")
    assert (of_many["low"], of_many["high"]) == (alone["low"], alone["high"])
