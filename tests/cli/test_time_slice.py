"""A slice of a queue: order, what is there already, a job cut off in the middle and continued, archives."""

from __future__ import annotations

import contextlib
import json
import os
import tarfile
from pathlib import Path

import pytest
import yaml
from tiny_study import TINY, write_study

from rs.cli import time_slice
from rs.cli.main import main
from rs.errors import UserError
from rs.plan.jobs import RESULTS
from rs.plan.plan import Plan
from rs.study.study import Study

pytestmark = pytest.mark.slow


CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def queue(tmp_path, monkeypatch) -> Path:
    """A queue of the tiny study, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "study.yaml", {**TINY, "active": ["gaussian"], "attacks": []})
    (tmp_path / "queue.yaml").write_text(yaml.safe_dump({"queue": [{"study": ["study.yaml"]}]}))
    return tmp_path / "queue.yaml"


def states(folder: Path) -> dict[str, set[str]]:
    rows = json.loads((folder / RESULTS / "slice.json").read_text())["jobs"]
    return {stage: {r["state"] for r in rows if r["stage"] == stage} for stage in {r["stage"] for r in rows}}


def test_a_queue_runs_to_its_end_and_its_archives_are_whole(queue, tmp_path, capsys):
    assert main(["slice", str(queue), "--minutes", "5", "--slots", "2", "--pack", "out"]) == 0
    assert all(found == {"done"} for found in states(tmp_path).values())
    plan = Plan(Study([tmp_path / "study.yaml"]))
    certified = plan.runs[0].observations[0].certified
    assert certified is not None
    assert (tmp_path / certified).is_file()
    before = (tmp_path / certified).read_bytes()
    (tmp_path / certified).unlink()
    time_slice.unpack(tmp_path / "out")
    assert (tmp_path / certified).read_bytes() == before
    assert main(["slice", str(queue), "--minutes", "5"]) == 0
    assert all(found == {"there"} for found in states(tmp_path).values())
    assert "there" in capsys.readouterr().out


def test_time_that_is_up_ends_the_running_jobs_and_starts_no_other(queue, tmp_path):
    jobs = time_slice.jobs_of(time_slice.read_queue(queue))
    time_slice.work(jobs, 0.5, 1)  # less than a worker's imports take
    assert [job.state for job in jobs[:2]] == ["cut off", "not started"]
    assert all(job.process is None or job.process.poll() is not None for job in jobs)


def test_what_older_code_made_is_not_there_and_nothing_starts_on_it(queue, tmp_path, monkeypatch):
    jobs = time_slice.jobs_of(time_slice.read_queue(queue))
    for job in jobs:
        for path in job.job.outputs.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    monkeypatch.setattr(time_slice, "job_is_current", lambda job: job.stage != "data")
    assert [job.there() for job in jobs[:2]] == [False, True]
    jobs[1].state = "not started"
    monkeypatch.setattr(time_slice, "job_is_current", lambda job: False)
    time_slice.work(jobs, 0.5, 4)  # the data job has a slot to spare beside it, and is not done yet
    assert [job.state for job in jobs[:2]] == ["cut off", "not started"]

    def damaged(job):
        raise UserError("damaged")

    monkeypatch.setattr(time_slice, "job_is_current", damaged)
    assert not jobs[0].there()


def test_a_job_that_fails_stops_what_needs_it_and_nothing_else(queue, tmp_path, capsys, monkeypatch):
    study = {**TINY, "attacks": [], "data": {"name": "mnist"}, "active": ["gaussian"], "data_dir": "nowhere"}
    study["model"] = {"name": "lenet"}
    write_study(tmp_path / "other.yaml", study)
    queue.write_text(
        yaml.safe_dump({"queue": [{"study": ["other.yaml"]}, {"study": ["study.yaml"], "stages": ["data"]}]})
    )
    monkeypatch.delenv("RS_DATA_DIR", raising=False)
    assert main(["slice", str(queue), "--minutes", "2"]) == 0
    found = states(tmp_path)
    assert found["data"] == {"failed", "done"}
    assert found["train"] == {"not started"}
    assert "nowhere" in capsys.readouterr().out  # the reason, from the job's log


def test_observations_come_before_networks_and_those_before_checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = {
        "diverged.parquet": 1,
        "model.safetensors": 39,
        "resume-1.pt": 10,
        "draws/a.parquet": 30,
        "certified/a.parquet": 20,
    }
    for name, size in sizes.items():
        path = tmp_path / RESULTS / "runs" / "r" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * size)
    monkeypatch.setattr(time_slice, "LARGEST", 3 * 2048 + 60)
    first, second = time_slice.pack(tmp_path / "out")
    names = []
    for path in (first, second):
        with tarfile.open(path) as archive:
            names.append([Path(member.name).name for member in archive])
    assert names == [["a.parquet", "a.parquet"], ["model.safetensors", "diverged.parquet", "resume-1.pt"]]


def test_what_an_earlier_slice_brought_home_is_packed_last_and_what_is_left_out_is_told(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time_slice, "LARGEST", 2048)  # an archive for each file
    monkeypatch.setattr(time_slice, "MOST", 1)
    for name, time in (("draws/old.parquet", 100), ("resume-new.pt", 300)):
        path = tmp_path / RESULTS / "runs" / "r" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0")
        os.utime(path, (time, time))
    for since, first, last in ((200, "resume-new.pt", "old.parquet"), (0, "old.parquet", "resume-new.pt")):
        (archive,) = time_slice.pack(tmp_path / "out", since)
        with tarfile.open(archive) as opened:
            assert [Path(name).name for name in opened.getnames()] == [first]
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert f"{last}" in told


def test_archives_of_an_earlier_pack_do_not_come_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time_slice, "LARGEST", 2048)  # an archive for each file
    run, out = tmp_path / RESULTS / "runs" / "r", tmp_path / "out"
    run.mkdir(parents=True)
    for name in ("a.parquet", "b.parquet", "resume-1.pt"):
        (run / name).write_text("old")
    assert len(time_slice.pack(out)) == 3
    (out / "runs-mine.tar").touch()
    (run / "a.parquet").unlink()
    (run / "b.parquet").unlink()
    (run / "resume-1.pt").write_text("new")
    assert time_slice.pack(out) == [out / "runs-0.tar"]
    time_slice.unpack(out)
    assert [(path.name, path.read_text()) for path in run.iterdir()] == [("resume-1.pt", "new")]
    (run / "resume-1.pt").unlink()
    assert time_slice.pack(out) == []
    assert {path.name for path in out.iterdir()} == {"runs-0.tar", "runs-mine.tar"}, "nothing replaces it"


def test_folders_and_minutes_are_checked_before_the_work(queue, tmp_path, monkeypatch, capsys):
    def work(*_):
        raise AssertionError("started")

    monkeypatch.setattr(time_slice, "work", work)
    (tmp_path / "afile").touch()
    for wrong, told in (
        (["--pack", "afile"], "afile/runs-0.tar: cannot be written: afile is not a folder"),
        (["--pack", "afile/below"], "afile/below/runs-0.tar: cannot be written: afile is not a folder"),
        (["--unpack", "nowhere", "--pack", "nowhere"], "nowhere: --unpack: must be a folder"),
        (["--unpack", "afile"], "afile: --unpack: must be a folder"),
        (["--minutes", "nan"], "rs: slice: --minutes nan: must be above 0, and --slots at least 1"),
    ):
        assert main(["slice", str(queue), "--minutes", "1", *wrong]) == 1
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert told in message
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssertionError, match="started"):
        main(["slice", str(queue), "--minutes", "1", "--unpack", "empty", "--pack", "made/below"])
    assert [*(tmp_path / "made" / "below").iterdir()] == []


def test_studies_of_a_queue_draw_a_run_in_one_size(queue, tmp_path):
    sampling = {**TINY["sampling"], "images_per_shard": 7}
    other = {**TINY, "name": "other", "active": ["gaussian"], "attacks": [], "sampling": sampling}
    write_study(tmp_path / "other.yaml", other)
    entries = [{"study": ["study.yaml"]}, {"study": ["other.yaml"]}]
    drawn = []
    for queued in (entries[:1], entries):
        queue.write_text(yaml.safe_dump({"queue": queued}))
        jobs = time_slice.jobs_of(time_slice.read_queue(queue))
        drawn.append([job.target for job in jobs if job.job.stage == "sample"])
    assert drawn[0] == drawn[1] != []


@pytest.mark.parametrize(
    "text",
    [
        "queue: []",
        "queue: {study: a.yaml}",
        "queue: [{study: a.yaml}]",
        "queue: [{study: [a.yaml], stage: [train]}]",
        "queue: [{study: [a.yaml], runs: a}]",
        "queue: [{study: [a.yaml], runs: [[1]]}]",
        "queue: [{study: [a.yaml], runs: []}]",
        "queue: [{study: [a.yaml], stages: [1]}]",
        "queue: [{study: []}]",
        "queue: [{study: [null]}]",
        "queue: [a.yaml]",
        "{}",
    ],
)
def test_a_malformed_queue_is_one_line(tmp_path, text, capsys):
    (tmp_path / "queue.yaml").write_text(text)
    assert main(["slice", str(tmp_path / "queue.yaml"), "--minutes", "1"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"{tmp_path / 'queue.yaml'}: queue: " in message


def test_an_entry_names_stages_and_runs(queue, tmp_path, capsys):
    write_study(tmp_path / "study.yaml", TINY)
    queue.write_text(
        yaml.safe_dump({"queue": [{"study": ["study.yaml"], "stages": ["data", "train"], "runs": ["nal"]}]})
    )
    jobs = time_slice.jobs_of(time_slice.read_queue(queue))
    assert [job.job.stage for job in jobs] == ["data", "train"]
    assert jobs[1].job.spec["objective"]["name"] == "nal"
    for key, name in (("stages", "trian"), ("runs", "nla")):
        queue.write_text(yaml.safe_dump({"queue": [{"study": ["study.yaml"], key: [name]}]}))
        assert main(["slice", str(queue), "--minutes", "1"]) == 1
        told = f"{queue}: queue: entry 0: {key}: study.yaml has no '{name}'; allowed: "
        assert told in capsys.readouterr().err


def test_the_shipped_queue_plans():
    """Runs that are named exist, and what a job needs comes before it or from the same queue."""
    with contextlib.chdir(CHECKOUT):
        jobs = time_slice.jobs_of(time_slice.read_queue(Path("config/gpu/queue.yaml")))
    made = {str(path) for job in jobs for path in job.job.outputs.values()}
    assert {str(path) for job in jobs for path in job.job.needs()} <= made
    assert jobs[0].job.stage == "data"


def test_an_archive_that_is_none_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs-0.tar").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"runs-0\.tar: cannot be unpacked"):
        time_slice.unpack(tmp_path)
