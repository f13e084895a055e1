"""Processes that plan before a run's first draw agree on its shards, whatever size each of them states."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_study import write_study

from rs.cli import slice_queue
from rs.cli.main import main
from rs.errors import UserError
from rs.plan import running_plans, shard_sizes
from rs.provenance.files import write_text

# Plans as Snakemake does; prints the ranges of its draws, and runs on until its input ends.
PLANS = """
import json, sys
from pathlib import Path
from rs.plan import running_plans
from rs.plan.plan import Plan
from rs.study.study import Study
with running_plans.in_turn() as record:
    plan = Plan(Study([Path(sys.argv[1])]))
    record(plan.observer.kept)
print(json.dumps(sorted(plan.jobs["sample"])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def study(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running_plans, "_HELD", [])  # whose files are closed with it
    tiny |= {"test": {}, "attacks": [], "runs": {"gaussian": tiny["runs"]["gaussian"]}}
    return tiny


@pytest.fixture
def start(study):
    """Starts a process that plans the study with shards of some size."""
    running = []

    def begin(images):
        study["sampling"]["images_per_shard"] = images
        file = write_study(Path(f"of-{images}.yaml"), study)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen([sys.executable, "-c", PLANS, str(file)], **pipes))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def files_of(process):
    return json.loads(process.stdout.readline())


def files(plan):
    return sorted(plan.jobs["sample"])


def of(study, plan_of, images):
    study["sampling"]["images_per_shard"] = images
    return plan_of(study)


def test_two_that_start_at_once_draw_in_the_same_files_as_long_as_one_of_them_runs(study, start, plan_of):
    alone = {images: files(of(study, plan_of, images)) for images in (40, 50, 100)}
    first, second = start(50), start(100)
    agreed = files_of(first)
    assert files_of(second) == agreed
    assert agreed in (alone[50], alone[100])
    third = of(study, plan_of, 40)
    assert files(third) == agreed, "of plans of all kinds, those of a cluster's jobs too"
    (sentence,) = shard_sizes.settle(third)
    assert "a process that runs now has planned shards of " in sentence
    assert sentence.endswith("images_per_shard: 40 counts if it draws nothing")
    assert not [*Path("results").rglob(shard_sizes.RECORD)]
    first.communicate()
    assert files(of(study, plan_of, 40)) == agreed, "the second one has them too"
    second.kill()
    second.communicate()
    assert files(of(study, plan_of, 40)) == alone[40], "an abandoned plan binds nobody"
    with running_plans.in_turn():
        assert not [*running_plans.PLACE.glob("*.json")], "nor does it stay"


def test_draws_in_another_size_that_come_meanwhile_change_no_running_plan(study, plan_of):
    mine = of(study, plan_of, 50)
    with running_plans.in_turn() as record:
        record(mine.observer.kept)
    path = Path(files(mine)[0])
    for k in range(0, 350, 25):
        write_text(path.with_name(f"{k}-{k + 25}-1_block0.parquet"), "another machine's votes")
    assert files(of(study, plan_of, 50)) == files(mine), "its jobs on a cluster find their files"
    study["test"] = {"skip": 2}
    other = of(study, plan_of, 50)
    assert {shards.running for shards in other.observer.kept.values()} == {False}, "of other images"


def test_a_turn_leaves_nothing_and_who_waits_has_the_next_one(study, start, plan_of):
    alone = files(of(study, plan_of, 50))
    with running_plans.in_turn():
        waiting = start(50)
        assert select.select([waiting.stdout], [], [], 4)[0] == []
    assert files_of(waiting) == alone
    assert [path.suffix for path in running_plans.PLACE.iterdir()] == [".json"]
    waiting.communicate()
    with contextlib.suppress(UserError), running_plans.in_turn():
        plan_of({**study, "noise": {"name": "gaussian", "sgma": 1}})
    assert not Path("results").exists()


def test_a_slice_is_heard_where_it_draws(study, plan_of):
    alone = files(of(study, plan_of, 100))
    for stages, bound in ((["train"], False), (["train", "sample"], True)):
        entry = {"study": ["study0.yaml"], "stages": stages}
        Path("queue.yaml").write_text(yaml.safe_dump({"queue": [entry]}))
        of(study, plan_of, 50)
        slice_queue.jobs_of(slice_queue.read_queue(Path("queue.yaml")))
        assert (files(of(study, plan_of, 100)) != alone) == bound


def test_so_is_who_draws_by_hand(study, plan_of, monkeypatch):
    monkeypatch.setattr("rs.stages.execution.execute", lambda *job: None)
    alone = files(of(study, plan_of, 100))
    for stage, bound in (("train", False), ("sample", True)):
        of(study, plan_of, 50)
        assert main([stage, "--study", "study0.yaml"]) == 0
        assert (files(of(study, plan_of, 100)) != alone) == bound


def test_without_locks_and_beside_foreign_files_every_plan_is_as_before(study, plan_of, monkeypatch):
    alone = files(of(study, plan_of, 100))
    running_plans.PLACE.mkdir(parents=True)
    (running_plans.PLACE / "foreign.json").write_text("{")

    def refused(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(running_plans.fcntl, "flock", refused)
    with running_plans.in_turn() as record:
        record(of(study, plan_of, 50).observer.kept)
    assert files(of(study, plan_of, 100)) == alone
    assert [path.name for path in running_plans.PLACE.glob("*.json")] == ["foreign.json"]


def test_one_that_starts_while_another_runs_is_told_of_it_and_not_to_take_its_locks(study, start, plan_of):
    assert running_plans.beside() is None
    other = start(50)
    files_of(other)
    named = rf"process {other.pid} of \S+ computes here now: "
    assert re.fullmatch(
        f"{named}if Snakemake .* cannot be locked, wait for it; do not --unlock", str(running_plans.beside())
    )
    assert re.fullmatch(
        f"{named}--unlock removes the locks of all studies, theirs, too", str(running_plans.beside(True))
    )
    other.communicate()
    assert running_plans.beside() is None
