"""What a budget buys: votes from a ladder, images as many as fit, and never more than the time allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rs.errors import UserError
from rs.foreign.cost import LADDER, USED, Chosen, Cost, block_of, choose, in_words

COST = Cost(seconds=0.1, batch=100, block=500, n0=100)  # 1,000 votes a second; n0 takes 0.1 s
LEAST = 10


def bought(budget: float | None, images: int | None = None, n: int | None = None, available: int = 1000):
    return choose(COST, available, images, n, budget, LEAST)


def test_an_images_cost_is_in_whole_passes():
    assert COST.rate == pytest.approx(1000)
    assert COST.image(1000) == pytest.approx(1.1)
    assert COST.image(1001) == pytest.approx(1.2)
    odd = Cost(seconds=1.0, batch=64, block=512, n0=10)
    assert odd.image(512 + 65) == 8 + 2 + 1
    shared = replace(odd, shared=True)
    assert shared.image(512 + 65) == pytest.approx((512 + 65 + 10) / 64)
    assert [block_of(batch) for batch in (16, 48, 512, 4096)] == [512, 480, 512, 4096]


def test_without_a_budget_all_images_and_votes_that_certify():
    assert bought(None) == Chosen(10_000, 1000)
    assert bought(None, images=5, n=70) == Chosen(70, 5)
    assert bought(None, images=5000) == Chosen(10_000, 1000)
    assert choose(COST, 10, None, None, None, 7000) == Chosen(35_000, 10)


def test_a_budget_buys_votes_for_a_hundred_images_then_images():
    assert bought(1200) == Chosen(10_000, 112)  # 10.1 s an image
    assert bought(600) == Chosen(5000, 111)
    assert bought(21) == Chosen(100, 99)  # not a hundred at the least n: as many as fit
    assert bought(100_000) == Chosen(50_000, 1000)  # time is left over for all images: more votes
    for budget in (1, 7, 50, 333, 4000, 54_321):
        found = bought(budget)
        assert found.images * COST.image(found.n) <= USED * budget
        assert found.n in LADDER


def test_what_is_asked_for_stays():
    assert bought(100, images=3) == Chosen(20_000, 3)
    assert bought(100, n=250) == Chosen(250, 237)
    assert bought(100, n=1000, available=7) == Chosen(1000, 7)


def test_a_budget_that_buys_nothing():
    with pytest.raises(UserError, match=r"--budget 0.1 s: too short: 1 image with n = 100 takes 0.2 s here"):
        bought(0.1)
    with pytest.raises(UserError, match=r"--budget 60 s: too short: 500 images with n = 100 take 100 s here"):
        bought(60, images=500)


def test_times_in_words():
    seconds = (0.25, 59.4, 600, 7200, 400_000)
    assert [in_words(s) for s in seconds] == ["0.25 s", "59 s", "10 min", "2 h", "4.6 days"]
