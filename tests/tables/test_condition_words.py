"""Conditions that read other rows read otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from rs.settings.claims import Condition
from rs.study.claims import sides_of
from rs.tables.condition_words import words

ATTACKED = {"metric": "empirical_accuracy", "attack": "pgd_l2"}
TRAINED = {"metric": "training.loss"}


def _words(**own: Any) -> str:
    condition = vars(Condition()) | own
    return words(condition, sides_of(condition))


@pytest.mark.parametrize(
    "other",
    [
        {"smoothing": "none"},
        {"smoothing": "gaussian sigma=0.1"},
        {"attack": "pgd_linf"},
        {"metric": "certified_accuracy", "attack": None},
        {"metric": "certified_accuracy", "attack": None, "certificate": "dual"},
        {"where": {"samples": 16}},
        {"better": {"run": "nal", "where": {"samples": 16}}},
        {"better": {"run": "nal", "smoothing": "none"}},
        {"than": {"run": "clean", "smoothing": "none"}},
    ],
)
def test_two_conditions_never_read_alike(other: dict[str, Any]) -> None:
    own = {"better": "nal", "than": "clean", **ATTACKED}
    assert _words(**own) != _words(**own | other)


def test_what_both_sides_share_stands_before_them_and_what_differs_at_each() -> None:
    both = {"run": "nal", "smoothing": "gaussian sigma=0.1"}
    shared = _words(better=both, than={**both, "run": "clean"}, **ATTACKED)
    assert shared == "empirical accuracy (pgd_l2, gaussian sigma=0.1) of nal better than clean"
    apart = _words(better=both, than={"run": "clean", "smoothing": "none"}, **ATTACKED)
    assert apart == "empirical accuracy (pgd_l2) of nal (gaussian sigma=0.1) better than clean (none)"
    assert _words(worse="relu", than="elu", where={"epoch": 25}, **TRAINED) == (
        "training.loss (epoch 25) of relu worse than elu"
    )
    assert _words(difference=["nal", "clean"], at_least=0.0) == "acr of nal minus clean at least 0"
