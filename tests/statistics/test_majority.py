"""The first votes decide on all n: as often as stated, and a judge may stop there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rs.statistics import majority
from rs.statistics.majority import WRONG, looks, sure


def test_looks_double_from_64_and_end_at_n():
    assert looks(1000) == [64, 128, 256, 512, 1000]
    assert looks(64) == [64]
    assert looks(65) == [64, 65]
    assert looks(1) == [1]


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_64_that_agree_decide_and_what_is_close_does_not(classes):
    counts = np.zeros((3, classes), np.int64)
    counts[:, 0], counts[:, 1] = [64, 50, 32], [0, 14, 32]
    assert sure(counts, 1000).tolist() == [True, False, False]
    assert sure(counts, 64).all()  # all n are drawn


@pytest.mark.parametrize("lead", [0, 20, 64])
def test_an_image_alone_is_as_sure_as_among_others_and_one_class_is_sure(lead):
    counts = np.array([[32 + lead // 2, 32 - lead // 2, 0]])
    assert (
        sure(counts, 1000).tolist() == sure(np.repeat(counts, 3, axis=0), 1000)[:1].tolist() == [lead == 64]
    )
    assert sure(counts[:, :1], 1000).tolist() == [True]


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("n", [100, 1000])
def test_the_least_lead_that_stops_is_too_large_for_any_other_majority(n, classes):
    """Exactly: the chance of such a lead, where the other class has as many of all n votes or as likely
    ones, added up over looks and classes.
    """
    total = {"all votes": 0.0, "as likely": 0.0}
    for drawn in looks(n)[:-1]:
        first = np.arange(drawn // 2, drawn + 1)
        counts = np.zeros((len(first), classes), np.int64)
        counts[:, 0], counts[:, 1] = first, drawn - first
        least = int(first[np.argmax(sure(counts, n))])
        assert sure(counts, n)[-1]
        total["all votes"] += (classes - 1) * stats.hypergeom.sf(least - 1, n, n // 2, drawn)
        total["as likely"] += (classes - 1) * stats.binom.sf(least - 1, drawn, 0.5)
    assert total["all votes"] <= total["as likely"] <= WRONG
    assert total["as likely"] > 0


def test_the_verdict_of_the_first_votes_is_that_of_all(monkeypatch):
    """At a level that chance reaches: near ties, three classes, votes in order."""
    monkeypatch.setattr(majority, "WRONG", 0.2)
    n, images = 400, 20_000
    votes = np.random.default_rng(0).choice(3, (images, n), p=[0.45, 0.40, 0.15])
    running = (votes[:, :, None] == np.arange(3)).cumsum(1)
    open_, verdict = np.ones(images, bool), np.zeros(images, np.int64)
    for look in looks(n):
        counts = running[:, look - 1]
        stops = open_ & sure(counts, n)
        verdict[stops], open_ = counts[stops].argmax(1), open_ & ~stops
        if look == 256:
            stopped = ~open_
    assert not open_.any()
    wrong = (verdict != running[:, -1].argmax(1)).mean()
    assert stopped.mean() > 0.05
    assert 0 < wrong <= 0.2  # the level is felt
