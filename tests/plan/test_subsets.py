"""Which images a study trains on, draws and attacks: subsets of a split, as shards and in ids."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_study import TINY, write_study

from rs.errors import UserError
from rs.plan.plan import Plan
from rs.study.study import Study


def ids(plan):
    return [p.id for p in plan.runs]


@pytest.mark.slow
@given(
    skip=st.integers(1, 40),
    most=st.none() | st.integers(1, 400),
    more=st.integers(0, 50),
    per=st.integers(1, 60),
    first=st.integers(0, 359),
)
@settings(max_examples=60, deadline=None)
def test_shards_cover_the_subset_and_only_grow(tmp_path_factory, skip, most, more, per, first):
    file = tmp_path_factory.mktemp("s") / "study.yaml"

    def shards(maximum):
        test = {"skip": skip, "max": maximum, "first": first}
        return list(Plan(Study([write_study(file, {**TINY, "test": test})])).observer.shards(per))

    found = shards(most)
    held = [i for shard in found for i in shard]
    expected = list(range(first, 360, skip))[:most]
    assert held[: len(expected)] == expected
    assert len(held) == len(set(held))
    assert max(held) < 360
    if most is not None:
        assert shards(most + more)[: len(found)] == found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"test": {"first": 360}}, "test.first: 360: the test split has 360 images"),
        (
            {"attacks": [{**TINY["attacks"][0], "images": {"first": 400}}]},
            r"attacks\[0\].images.first: 400: the test split",
        ),
        (
            {"override": {"calibration": {"images": {"first": 2000}}}},
            "calibration.images.first: 2000: the run trains on 1437 images",
        ),
        ({"train": {"first": 1437}}, "train.first: 1437: the train split has 1437 images"),
        (
            {"train": {"max": 50}, "override": {"calibration": {"images": {"first": 60}}}},
            "calibration.images.first: 60: the run trains on 50 images",
        ),
        (
            {
                "training": {"keep": "best_clean", "held_out": 1400},
                "override": {"calibration": {"images": {"first": 40}}},
            },
            "calibration.images.first: 40: the run trains on 37 images",
        ),
        (
            {"train": {"max": 50}, "training": {"keep": "best_clean", "held_out": 50}},
            "training.held_out: 50: keep best_clean needs 1 to 49 images",
        ),
    ],
)
def test_a_subset_begins_inside_its_split(tiny, plan_of, change, says):
    with pytest.raises(UserError, match=says):
        plan_of(tiny | change)


def test_the_images_trained_on_are_part_of_the_id(tiny, plan_of):
    whole = plan_of(tiny)
    for spelt in ({}, {"skip": 1}, {"first": 0, "max": None}):
        assert ids(plan_of(tiny | {"train": spelt})) == ids(whole)
    some = plan_of(tiny | {"train": {"max": 100}})
    assert not set(ids(some)) & set(ids(whole))
    assert [job.spec["train"] for job in some.jobs["train"].values()] == [{"max": 100}] * 2
    assert all("train" not in job.spec for job in whole.jobs["train"].values())
