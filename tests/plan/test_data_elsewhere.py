"""Finished runs whose prepared data are not here are not made again when another run has them prepared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from rs.plan import records, staleness
from rs.plan.data_elsewhere import left_out
from rs.plan.jobs import Job
from rs.plan.plan import Plan
from rs.provenance.files import provenance, write_json, write_table


@pytest.fixture
def plan(plan_of, tiny, tmp_path, monkeypatch) -> Plan:
    """A study of which all jobs are finished."""
    monkeypatch.chdir(tmp_path)
    whole = plan_of(tiny)
    write_json(whole.data_manifest, {"splits": {}})
    for job in staleness.in_order(whole):
        if job.stage != "data":
            finish(job, job.code)
    return whole


def finish(job: Job, code: str) -> None:
    for path in job.outputs.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    record = provenance(job.spec, code, inputs=staleness.inputs_digest(job.reads()))
    if job.target.suffix == ".json":
        write_json(job.target, {"provenance": {**record, "model": "0" * 64}, "sha256": "0" * 64})
    else:
        write_table(job.target, pa.table({"x": [1]}), {**record, "model": "0" * 64})


def without_data(plan: Plan) -> Plan:
    shutil.rmtree(plan.data_manifest.parent)
    assert staleness.settle(plan) == []
    return plan


def waiting(plan: Plan) -> set[str]:
    """The stages with a job that waits for the data."""
    reading = [job for job in plan.all_jobs() if "data" in job.inputs]
    assert {left_out(plan, job) for job in reading} <= {None, plan.data_manifest}
    return {job.stage for job in reading if left_out(plan, job) is None}


def only(plan: Plan, stage: str) -> Job:
    return next(iter(plan.jobs[stage].values()))


def test_finished_jobs_do_not_wait_for_data(plan: Plan) -> None:
    assert waiting(plan) == {"train", "calibrate", "sample", "attack"}, "the data are here"
    assert waiting(without_data(plan)) == set()
    times = [job.target.stat().st_mtime for job in staleness.in_order(plan) if job.stage != "data"]
    assert min(times) > staleness.BEFORE_ALL


def test_what_is_missing_waits_for_them(plan: Plan) -> None:
    only(plan, "sample").target.unlink()
    only(plan, "certify").target.unlink()
    assert waiting(without_data(plan)) == {"sample"}


def test_networks_and_draws_that_stayed_behind_are_not_made_again_for_nothing(plan: Plan) -> None:
    for job in plan.jobs["sample"].values():
        job.target.unlink()
    only(plan, "train").outputs["weights"].unlink()
    assert waiting(without_data(plan)) == set()
    only(plan, "certify").target.unlink()
    assert waiting(plan) == {"train", "sample"}


def test_other_code_is_noticed_without_data(plan: Plan) -> None:
    """No file is newer than the network, so Snakemake gets a record by which it is stale."""
    job = only(plan, "train")
    finish(job, "0" * 12)
    assert "train" in waiting(without_data(plan))
    marks = [records.read(path) for path in job.outputs.values()]
    assert all(mark and mark["params"] not in ([], [job.params]) for mark in marks)
    record = provenance(job.spec, job.code, inputs="of data that are not here")
    write_json(job.target, {"provenance": record, "sha256": "0" * 64})  # the code is back
    Path(job.target).touch()
    staleness.settle(plan)
    assert waiting(plan) == set()
    assert [records.read(path) for path in job.outputs.values()] == [None] * len(marks)


def test_draws_of_another_network_are_noticed_without_data(plan: Plan) -> None:
    model = only(plan, "train").target
    write_json(model, {**staleness.read_json(model), "sha256": "1" * 64})
    changed = waiting(without_data(plan))
    assert "sample" in changed
    assert "train" not in changed


def test_data_that_come_back_are_compared(plan: Plan) -> None:
    without_data(plan)
    write_json(plan.data_manifest, {"splits": {}, "provenance": {"seconds": 2.0}})
    staleness.settle(plan)
    assert only(plan, "train").target.stat().st_mtime > staleness.BEFORE_ALL
    write_json(plan.data_manifest, {"splits": {"train": {"sha256": "other images"}}})
    staleness.settle(plan)
    assert only(plan, "train").target.stat().st_mtime == staleness.BEFORE_ALL
