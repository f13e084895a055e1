"""Files that were written after Snakemake's record of them: by a stage by hand, `rs slice`, or a copy."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rs.plan import staleness
from rs.plan.jobs import Job
from rs.plan.plan import Plan
from rs.provenance.files import provenance, write_json

LATER = 100.0  # seconds


@pytest.fixture
def planned(plan_of, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return plan_of(tiny)


def made(job: Job, code: str, after_record: float) -> list[Path]:
    """A job's files, made by `code`, and Snakemake's records of files of that many seconds before."""
    paths = list(job.outputs.values())
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        record = staleness.place(path)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text('{"params": ["of another code"]}')
        at = path.stat().st_mtime - after_record
        os.utime(record, (at, at))
    inputs = staleness.inputs_digest(job.reads())
    write_json(job.target, {"provenance": provenance(job.spec, code, inputs=inputs)})
    return paths


def prepared(plan: Plan, seconds: float, mean: float = 0.5, folder: str = "") -> None:
    """The data, prepared long ago in this many seconds."""
    streamed = {"streamed": {"folder": folder, "resize": 256}} if folder else {}
    split = {"sha256": "0" * 64, **streamed}
    manifest = {"mean": [mean], "splits": {"train": split}, "provenance": {"seconds": seconds}}
    write_json(plan.data_manifest, manifest)
    os.utime(plan.data_manifest, (1e9, 1e9))


def remembered(paths: list[Path]) -> bool:
    return all(staleness.place(path).exists() for path in paths)


def test_what_a_stage_by_hand_made_with_the_current_code_is_not_made_again(planned) -> None:
    job = next(iter(planned.jobs["train"].values()))
    paths = made(job, job.code, LATER)
    staleness.settle(planned)
    assert not remembered(paths)  # the record is of the former code, for which Snakemake would train again
    assert all(path.stat().st_mtime > staleness.BEFORE_ALL for path in paths)


def test_what_other_code_made_after_the_record_is_stale(planned) -> None:
    prepared(planned, 1.0)
    job = next(iter(planned.jobs["train"].values()))
    paths = made(job, "0" * 12, LATER)
    staleness.settle(planned)
    assert not remembered(paths)
    assert all(path.stat().st_mtime == staleness.BEFORE_ALL for path in paths)


@pytest.mark.parametrize(("stage", "after"), [("train", 0), ("train", -LATER), ("data", LATER)])
def test_other_records_are_snakemake_s_to_judge(planned, stage, after) -> None:
    """Of data, which are made from no file, only the record can say that they are stale."""
    prepared(planned, 1.0)
    paths = made(next(iter(planned.jobs[stage].values())), "0" * 12, after)
    before = [path.stat().st_mtime for path in paths]
    staleness.settle(planned)
    assert remembered(paths)
    assert stage == "data" or [path.stat().st_mtime for path in paths] == before


@pytest.mark.parametrize(
    ("again", "same"), [({}, True), ({"mean": 0.25}, False), ({"folder": "/there/train"}, True)]
)
def test_data_that_were_prepared_again_are_compared_by_content(planned, again, same) -> None:
    """Snakemake compares all bytes of a manifest, and these say how long it took and where images lie."""
    more = {"folder": "/here/train"} if "folder" in again else {}
    prepared(planned, 1.0, **more)
    job = next(iter(planned.jobs["train"].values()))
    paths = made(job, job.code, 0)
    prepared(planned, 2.0, **{**more, **again})
    ahead = max(path.stat().st_mtime for path in paths) + 0.5
    os.utime(planned.data_manifest, (ahead, ahead))
    time.sleep(0.6)
    staleness.settle(planned)
    assert not remembered(paths)
    assert all((path.stat().st_mtime > ahead) == same for path in paths)
    assert same or all(path.stat().st_mtime == staleness.BEFORE_ALL for path in paths)


def test_of_links_their_own_time_is_compared_and_set(planned) -> None:
    """As in a checkout of git-annex: a link is as old as the checkout, and others share its target."""
    prepared(planned, 1.0)
    job = next(iter(planned.jobs["train"].values()))
    paths = made(job, job.code, LATER)
    for path in (planned.data_manifest, *paths):
        target = path.rename(path.with_name(f"real-{path.name}"))
        os.utime(target, (1e9, 1e9))
        path.symlink_to(target.name)
        at = 1.1e9 if path in paths else 1.2e9
        os.utime(path, (at, at), follow_symlinks=False)
    staleness.settle(planned)
    assert all(path.lstat().st_mtime > 1.2e9 for path in paths)
    assert all(path.stat().st_mtime == 1e9 for path in paths)


def test_a_page_that_is_cut_off_in_a_letter_is_judged(planned) -> None:
    page = planned.folder / "report.html"
    (planned.folder / "figures").mkdir(parents=True)
    page.write_bytes("<p>1 \u2212 p".encode()[:7])
    staleness.settle(planned)
    assert page.stat().st_mtime == staleness.BEFORE_ALL
