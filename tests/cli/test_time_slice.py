"""A slice of a queue: what runs, what is cut off and continued, what interrupts it, and what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sliced import only_gaussian, queue_of, states
from tiny_study import TINY, write_study
from warm import compiling_once, warm_python

from rs.cli import time_slice
from rs.cli.main import main
from rs.cli.slice_archives import unpack
from rs.cli.slice_jobs import Jobs
from rs.cli.slice_queue import jobs_of, read_queue
from rs.plan.plan import Plan
from rs.study.study import Study

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def queue(tmp_path, monkeypatch) -> Path:
    """A queue of the tiny study, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    return only_gaussian(tmp_path)


@pytest.fixture
def warm_jobs(monkeypatch):
    """Jobs are forks of a process that has imported torch; those of slices that are `started` are not."""
    monkeypatch.setattr(time_slice.sys, "executable", warm_python())


def test_a_queue_runs_to_its_end_and_its_archives_are_whole(queue, tmp_path, capsys, warm_jobs):
    assert main(["slice", str(queue), "--minutes", "5", "--slots", "2", "--pack", "out"]) == 0
    assert all(found == {"done"} for found in states(tmp_path).values())
    plan = Plan(Study([tmp_path / "study.yaml"]))
    certified = plan.runs[0].observations[0].certified
    assert certified is not None
    assert (tmp_path / certified).is_file()
    before = (tmp_path / certified).read_bytes()
    (tmp_path / certified).unlink()
    unpack(tmp_path / "out")
    assert (tmp_path / certified).read_bytes() == before
    assert main(["slice", str(queue), "--minutes", "5"]) == 0
    assert all(found == {"there"} for found in states(tmp_path).values())
    assert "there" in capsys.readouterr().out


def test_time_that_is_up_ends_the_running_jobs_and_starts_no_other(queue, tmp_path):
    jobs = jobs_of(read_queue(queue))
    time_slice.work(Jobs(jobs), 0.5, 1)  # less than a worker's imports take
    assert [job.state for job in jobs[:2]] == ["cut off", "not started"]
    assert all(job.process is None or job.process.poll() is not None for job in jobs)


def test_a_job_that_fails_stops_what_needs_it_and_nothing_else(
    queue, tmp_path, capsys, monkeypatch, warm_jobs
):
    study = {**TINY, "attacks": [], "data": {"name": "mnist"}, "active": ["gaussian"], "data_dir": "nowhere"}
    study["model"] = {"name": "lenet"}
    write_study(tmp_path / "other.yaml", study)
    queue_of(tmp_path, {"study": ["other.yaml"]}, {"study": ["study.yaml"], "stages": ["data"]})
    monkeypatch.delenv("RS_DATA_DIR", raising=False)
    assert main(["slice", str(queue), "--minutes", "2", "--pack", "out"]) == 1
    found = states(tmp_path)
    assert found["data"] == {"failed", "done"}
    assert found["train"] == {"not started"}
    assert (tmp_path / "out" / "slice.json").is_file(), "what is there is packed"
    printed = capsys.readouterr()
    assert "nowhere" in printed.out  # the reason, from the job's log
    last = printed.err.splitlines()[-1]
    assert last.startswith("rs: slice: 1 job failed: data data/mnist/manifest.json: rs: ")
    assert "nowhere" in last
    assert last.endswith("; its log: results/data/mnist/log.txt")


def test_folders_and_minutes_are_checked_before_the_work(queue, tmp_path, monkeypatch, capsys):
    def work(*_):
        raise AssertionError("started")

    monkeypatch.setattr(time_slice, "work", work)
    (tmp_path / "afile").touch()
    for wrong, problem in (
        (["--pack", "afile"], "afile/runs-0.tar: cannot be written: afile is not a folder"),
        (["--pack", "afile/below"], "afile/below/runs-0.tar: cannot be written: afile is not a folder"),
        (["--unpack", "nowhere", "--pack", "nowhere"], "nowhere: --unpack: must be a folder"),
        (["--unpack", "afile"], "afile: --unpack: must be a folder"),
        (
            ["--minutes", "0.2", "--pack", "p"],
            "rs: slice: --minutes 0.2: must be above 0.2, the time that is",
        ),
        *(
            (["--minutes", minutes], f"rs: slice: --minutes {minutes}: must be above 0 and at most 1000000, ")
            for minutes in ("nan", "inf", "0")
        ),
    ):
        assert main(["slice", str(queue), "--minutes", "1", *wrong]) == 1
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert problem in message
    assert not (tmp_path / "nowhere").exists()
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "torch", None)
        assert main(["slice", str(queue), "--minutes", "1"]) == 1
        assert " has no torch; " in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssertionError, match="started"):
        main(["slice", str(queue), "--minutes", "1", "--unpack", "empty", "--pack", "made/below"])
    assert [*(tmp_path / "made" / "below").iterdir()] == []


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A slice of the folder's queue in a process of its own, without Snakemake and MLflow."""
    for name in ("snakemake", "mlflow"):
        (folder / "without").mkdir(exist_ok=True)
        (folder / "without" / f"{name}.py").write_text("raise ImportError")
    command = [sys.executable, "-m", "rs", "slice", "queue.yaml", *arguments]
    paths = os.pathsep.join([str(folder / "without"), str(CHECKOUT)])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=compiling_once() | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def workers(folder: Path) -> list[int]:
    """The processes whose working directory is this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder and b"--worker" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_for(folder: Path, pattern: str) -> Path:
    for _ in range(1200):
        if found := sorted(folder.glob(pattern)):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no {pattern}")


def test_what_is_interrupted_is_packed_and_goes_on_in_another_folder(queue, tmp_path):
    """Data are prepared anew there: the checkpoint still counts."""
    only_gaussian(tmp_path, epochs=3000)
    first = started(tmp_path, "--minutes", "5", "--slots", "2", "--pack", "out")
    checkpoint = wait_for(tmp_path, "results/runs/*/resume-*.pt")
    half = checkpoint.with_name(f".{checkpoint.name}.0.part")
    half.touch()
    first.send_signal(signal.SIGTERM)
    first.send_signal(signal.SIGTERM)  # `timeout` sends it to the process and to its group
    out, err = first.communicate(timeout=60)
    assert first.returncode == 130
    assert err.splitlines()[-1] == "rs: interrupted"
    assert workers(tmp_path) == []
    assert not half.exists()
    assert states(tmp_path)["train"] == {"cut off"}
    assert out.splitlines()[-1].startswith("1 done, 1 cut off, ")
    there = tmp_path / "there"
    there.mkdir()
    only_gaussian(there, epochs=3000)
    second = started(there, "--minutes", "5", "--unpack", "../out", "--pack", "../out")
    log = wait_for(there, "results/runs/*/log/train.txt")
    for _ in range(600):
        if "continuing after epoch" in log.read_text():
            break
        time.sleep(0.1)
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=60)
    assert "continuing after epoch" in log.read_text()
    assert [path.name for path in there.glob("results/runs/*/resume-*.pt")] == [checkpoint.name]


def test_two_slices_at_once_share_the_work(queue, tmp_path):
    both = [started(tmp_path, "--minutes", "5", "--slots", "1") for _ in range(2)]
    output = "".join(one.communicate(timeout=300)[0] for one in both)
    assert [one.returncode for one in both] == [0, 0]
    done = [line.partition("  done  ")[2] for line in output.splitlines() if "  done  " in line]
    jobs = jobs_of(read_queue(queue))
    assert sorted(done) == sorted(job.name for job in jobs), "each job once"
    assert all(job.there() for job in jobs)


def test_it_says_how_far_it_is(queue, tmp_path, capsys, monkeypatch):
    line = "a run: 12/90 epochs, 0.5/s, 00:02:36 left"
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho '{line}' >&2\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(time_slice.sys, "executable", str(script))
    monkeypatch.setattr(time_slice, "TELLS", 0.5)
    assert main(["slice", str(queue), "--minutes", "0.05", "--slots", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("rs: 9 jobs missing: about ")
    assert f"0.0 of 0.0 min: 1 running, 8 not started\n    data {line}\n" in printed.out
    last, counts = printed.out.splitlines()[-2:]
    assert last.endswith(f" s  cut off  data {line}")
    assert counts == "1 cut off, 8 not started"


def test_a_reader_that_ends_does_not_end_the_work(tmp_path, monkeypatch):
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr("sys.stdout", os.fdopen(write, "w"))
    time_slice.say("done")
    time_slice.say("done")
