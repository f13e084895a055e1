"""The size of shards that is proposed, and how many files a folder may hold."""

from __future__ import annotations

import pytest

from rs.plan import proposed_shards
from rs.plan.rates import Rate
from rs.provenance.files import write_text


class Machine:
    """Takes so many seconds for a vote."""

    name, unit = "machine", "core-hours"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def rate(self, work):
        return Rate(0.0, self.seconds, False)


@pytest.fixture
def study(tiny):
    """10,000 images of CIFAR-10 in shards of 20, 100 + 1,000 votes each: 1,000 jobs."""
    tiny |= {"data": {"name": "cifar10"}, "test": {}, "model": {"name": "resnet20"}, "attacks": []}
    tiny["sampling"] = {"n0": 100, "n": 1000, "images_per_shard": 20, "batch": 16, "device": "cpu"}
    tiny["runs"] = {"gaussian": {"objective": {"name": "gaussian"}}}
    return tiny


def proposed(plan, seconds):
    return proposed_shards.proposed(plan, plan.all_jobs(), Machine(seconds))


def test_jobs_of_seconds_become_ten_minutes(study, plan_of):
    size = proposed(plan_of(study), 1e-4)  # 20 images share 1,255 batches: 2 s; 5,976 images in 600 s
    assert size is not None
    assert size.seconds == pytest.approx(1255 * 16e-4)
    assert (size.jobs, size.images_per_shard, size.then) == (1000, 5000, 4)
    assert size.becomes == pytest.approx(502)
    text = "machine: a sampling job takes about 2 s; sampling: {images_per_shard: 5000} makes it 8 minutes, "
    assert str(size) == text + "4 sampling jobs instead of 1,000"


@pytest.mark.parametrize(
    ("images", "sampling"),
    [(10_000, {}), (2000, {"n": 10_000, "block": 1000}), (2000, {"answers": 500, "block": 100})],
)
def test_what_is_proposed_is_planned_so_and_asks_for_no_more(study, plan_of, images, sampling):
    """Each shard has as many jobs as it has blocks of votes, and no shard has more images than there are."""
    study["test"], study["sampling"] = {"max": images}, {**study["sampling"], **sampling}
    before = plan_of(study)
    size = proposed(before, 1e-4)
    assert size.images_per_shard <= images
    assert size.jobs == len(before.jobs["sample"])
    study["sampling"]["images_per_shard"] = size.images_per_shard
    plan = plan_of(study)
    assert len(plan.jobs["sample"]) == size.then
    assert plan.runs[0].id == before.runs[0].id
    assert proposed(plan, 1e-4) is None


def test_jobs_of_days_become_shorter_as_far_as_a_folder_holds_their_files(study, plan_of):
    study["sampling"]["images_per_shard"] = 500
    assert proposed(plan_of(study), 0.1).images_per_shard == 5  # 50,400 s; of 2,000 files 5 images each
    assert proposed(plan_of(study), 0.04).images_per_shard == 10  # 14.9: down to one digit
    study["sampling"]["images_per_shard"] = 5
    assert proposed(plan_of(study), 10.0) is None  # a folder holds no more


@pytest.mark.parametrize("seconds", [60 / 20080, 0.1, 4 * 3600 / 20080])
def test_jobs_of_minutes_are_left_alone(study, plan_of, seconds):
    assert proposed(plan_of(study), seconds * 1.0001 if seconds < 0.1 else seconds * 0.9999) is None


def test_few_short_jobs_are_left_alone(study, plan_of):
    study["sampling"]["images_per_shard"] = 100
    assert proposed(plan_of(study), 1e-4) is None


def test_runs_that_have_draws_keep_their_shards(study, plan_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = plan_of(study)
    write_text(next(iter(plan.jobs["sample"].values())).target, "votes")
    assert proposed(plan, 1e-4) is None


def test_a_folder_holds_2000_files_and_the_refusal_says_what_is_enough(study, plan_of, refusal):
    study["sampling"] |= {"block": 100, "images_per_shard": 50}
    assert len(plan_of(study).jobs["sample"]) == 200 * 11
    study["sampling"]["images_per_shard"] = 49
    error = refusal(study)
    assert (
        "sampling.images_per_shard: 49: 205 shards of images and 10 blocks of votes are 2050 files in"
        in error
    )
    assert error.endswith("a folder; at most 2000; 50 are enough")
    study["sampling"] |= {"n": 20_010, "block": 10, "images_per_shard": 500}
    assert "sampling.block: 10: 20 shards of images and 2001 blocks" in refusal(study)


def test_a_run_that_was_drawn_in_more_files_goes_on(study, plan_of, refusal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study["sampling"] |= {"block": 100, "images_per_shard": 50}
    draws = plan_of(study).runs[0].folder / "draws"
    study["sampling"]["images_per_shard"] = 49
    assert "at most 2000" in refusal(study)
    draws.mkdir(parents=True)
    assert len(plan_of(study).jobs["sample"]) == 205 * 11
