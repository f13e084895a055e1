"""Files that were written after Snakemake's record of them: by a stage by hand, `rs slice`, or a copy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rs.plan import staleness
from rs.plan.jobs import Job
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


def remembered(paths: list[Path]) -> bool:
    return all(staleness.place(path).exists() for path in paths)


def test_what_a_stage_by_hand_made_with_the_current_code_is_not_made_again(planned) -> None:
    job = next(iter(planned.jobs["train"].values()))
    paths = made(job, job.code, LATER)
    staleness.settle(planned)
    assert not remembered(paths)  # the record is of the former code, for which Snakemake would train again
    assert all(path.stat().st_mtime > staleness.BEFORE_ALL for path in paths)


def test_what_other_code_made_after_the_record_is_stale(planned) -> None:
    job = next(iter(planned.jobs["train"].values()))
    paths = made(job, "0" * 12, LATER)
    staleness.settle(planned)
    assert not remembered(paths)
    assert all(path.stat().st_mtime == staleness.BEFORE_ALL for path in paths)


@pytest.mark.parametrize(("stage", "after"), [("train", 0), ("train", -LATER), ("data", LATER)])
def test_other_records_are_snakemake_s_to_judge(planned, stage, after) -> None:
    """Of data, which are made from no file, only the record can say that they are stale."""
    paths = made(next(iter(planned.jobs[stage].values())), "0" * 12, after)
    before = [path.stat().st_mtime for path in paths]
    staleness.settle(planned)
    assert remembered(paths)
    assert stage == "data" or [path.stat().st_mtime for path in paths] == before


def test_a_page_that_is_cut_off_in_a_letter_is_judged(planned) -> None:
    page = planned.folder / "report.html"
    (planned.folder / "figures").mkdir(parents=True)
    page.write_bytes("<p>1 \u2212 p".encode()[:7])
    staleness.settle(planned)
    assert page.stat().st_mtime == staleness.BEFORE_ALL
