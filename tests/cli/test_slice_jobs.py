"""Which jobs of a slice start: what is there and current, what others need, what runs elsewhere or fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sliced import TRADES, queue_of
from tiny_study import write_study

from rs.cli import slice_jobs
from rs.cli.slice_jobs import Jobs, Waiting
from rs.cli.slice_queue import jobs_of, read_queue
from rs.cli.time_slice import work
from rs.errors import UserError
from rs.provenance.files import read_json, write_json

pytestmark = pytest.mark.slow  # uses the tiny study, which ran


@pytest.fixture
def here(space, monkeypatch) -> Path:
    """The tiny study's results, and a study with a run more that is trained at the epsilon of nal."""
    monkeypatch.chdir(space.folder)
    write_study(space.folder / "all.yaml", TRADES)
    write_study(space.folder / "study.yaml", {**TRADES, "active": ["gaussian", "trades"]})
    return space.folder


def queued(folder: Path, *runs: str, **entry: list[str]) -> Jobs:
    fields = {"study": ["study.yaml"], **({"runs": list(runs)} if runs else {}), **entry}
    return Jobs(jobs_of(read_queue(queue_of(folder, fields))))


def starts(jobs: Jobs) -> list[str]:
    return [f"{w.job.stage} {w.target.parts[2].split('-')[3]}" for w in jobs.startable()]


def named(jobs: Jobs, stage: str, run: str = "") -> Waiting:
    return next(w for w in jobs.jobs if w.job.stage == stage and run in str(w.target))


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(f"results/{pattern}")
    return found


TRADES_STARTS = ["train trades"]


def of_older_code(path: Path) -> None:
    found = read_json(path)
    found["provenance"]["code_digest"] = "older"
    write_json(path, found)


def test_a_calibration_that_is_there_spares_the_training_that_it_came_from(here):
    assert starts(queued(here, "trades")) == TRADES_STARTS
    one(here, "runs/*-nal-*/model.safetensors").unlink()
    jobs = queued(here, "trades")
    assert starts(jobs) == TRADES_STARTS
    assert {w.target.parts[2] for w, _ in jobs.states() if "-nal-" in str(w.target)} == set()
    one(here, "runs/*-nal-*/calibration/*.json").unlink()
    assert starts(queued(here, "trades")) == ["train nal"], "the calibration needs its weights"
    assert "wrm" not in str(starts(queued(here)))


def test_without_its_calibration_only_this_is_made(here):
    one(here, "runs/*-nal-*/calibration/*.json").unlink()
    assert starts(queued(here, "trades")) == ["calibrate nal"]


def test_a_calibration_of_other_code_is_made_again_from_the_weights(here):
    of_older_code(one(here, "runs/*-nal-*/calibration/*.json"))
    assert starts(queued(here, "trades")) == ["calibrate nal"]
    of_older_code(one(here, "runs/*-nal-*/model.json"))
    assert starts(queued(here, "trades")) == ["train nal"]


def test_a_calibration_brought_from_elsewhere_spares_a_training_by_older_code(here):
    path = one(here, "runs/*-nal-*/model.json")
    of_older_code(path)
    assert starts(queued(here, "trades")) == ["train nal"], "as Snakemake does, where all of it is there"
    path.with_name("model.safetensors").unlink()
    assert starts(queued(here, "trades")) == TRADES_STARTS
    assert starts(queued(here, "nal", study=["all.yaml"])) == ["train nal"], "unless it is asked for"


def test_nothing_is_judged_before_the_data_are_there_again(here):
    """Archives bring runs and no data: neither the network nor what was observed is made again."""
    kept = {w.target for w in queued(here, "gaussian").jobs}
    shutil.rmtree(here / "results" / "data")
    jobs = queued(here)
    assert [w.job.stage for w in jobs.startable()] == ["data"]
    (data,) = jobs.startable()
    assert data.start()
    while not data.look():
        time.sleep(0.1)
    jobs.done(data)
    assert starts(jobs) == TRADES_STARTS
    states = {w.target: state for w, state in jobs.states()}
    assert {states[target] for target in kept} == {"there", "done"}


def test_weights_that_stayed_behind_are_made_again_only_for_a_job_that_needs_them(here):
    one(here, "runs/*-gaussian-gaussian-*/model.safetensors").unlink()
    jobs = queued(here, "gaussian")
    assert starts(jobs) == []
    assert {state for _, state in jobs.states()} == {"there"}
    next(here.glob("results/runs/*-gaussian-gaussian-*/attacks/*.parquet")).unlink()
    assert starts(queued(here, "gaussian")) == ["train gaussian"]


def test_what_was_judged_before_its_input_was_made_again_is_judged_again(here):
    jobs = queued(here, "gaussian")
    jobs.startable()
    train = named(jobs, "train", "gaussian-gaussian")
    path = train.target
    write_json(path, {**read_json(path), "sha256": "other weights"})
    train.state = "done"
    jobs.done(train)
    found = jobs.startable()
    assert {w.job.stage for w in found} == {"sample", "attack"}
    for waiting in found:
        jobs.done(waiting)
    assert {w.state for w in jobs.jobs if w.job.stage == "certify"} == {"not started"}


def test_files_of_other_code_or_damaged_are_not_there(here, monkeypatch):
    jobs = queued(here, "gaussian")
    assert starts(jobs) == []

    def damaged(*_):
        raise UserError("damaged")

    monkeypatch.setattr(slice_jobs, "is_current", damaged)
    jobs = queued(here, "gaussian")
    assert [w.job.stage for w in jobs.startable()] == ["data"], "and nothing starts on them"
    assert not named(jobs, "data").there()


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_job_that_another_slice_runs_is_left_to_it(here):
    path = one(here, "runs/*-gaussian-gaussian-*/certified/*.parquet")
    content = path.read_bytes()
    path.unlink()
    mine, other = queued(here, "gaussian"), queued(here, "gaussian")
    (first,), (second,) = mine.startable(), other.startable()
    assert first._take()
    before = open_files()
    assert not second.start()
    assert second.state == "in another slice"
    assert open_files() == before
    assert other.startable() == [second]
    path.write_bytes(content)
    assert not second.start(), "it is locked still"
    first._leave("done")
    second.stale = True  # however it was judged before
    assert not second.start()
    assert second.state == "there"
    assert other.startable() == []


def test_what_another_slice_has_made_meanwhile_is_gone_on_from(here, monkeypatch):
    data = here / "results" / "data"
    shutil.move(data, here / "elsewhere")
    jobs = queued(here, "gaussian")

    def start(waiting: Waiting) -> bool:
        shutil.move(here / "elsewhere", data)
        waiting.state = "there"
        return False

    monkeypatch.setattr(Waiting, "start", start)
    work(jobs, 60, 1)
    assert {state for _, state in jobs.states()} == {"there"}


def test_a_job_that_ended_with_the_time_is_done(here):
    job = named(queued(here, "gaussian"), "certify")
    job.process, job.state = subprocess.Popen(["true"]), "running"
    job.process.wait()
    job.end()
    assert job.state == "done"


def test_a_failed_job_says_why_whatever_ended_it(here, monkeypatch):
    path = one(here, "runs/*-gaussian-gaussian-*/certified/*.parquet")
    path.unlink()
    for code, reason in (
        ("print('rs: no', file=sys.stderr); sys.exit(1)", "rs: no"),
        ("sys.exit(3)", "no word, exit code 3"),
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("os.write(2, b'abort: x\\n'); os.abort()", "ended by SIGABRT; its last line: abort: x"),
        ("", "made other files than planned: code or inputs were edited meanwhile; run it again"),
    ):
        (job,) = queued(here, "gaussian").startable()
        before = open_files()
        script = here / "python"
        script.write_text(f"#!{sys.executable}\nimport os, sys\n{code}\n")
        script.chmod(0o755)
        with monkeypatch.context() as patched:
            patched.setattr(slice_jobs.sys, "executable", str(script))
            assert job.start()
        while not job.look():
            time.sleep(0.02)
        assert job.state == "failed"
        assert job.failure() == reason
        assert open_files() == before, "a queue may have more jobs than open files"
