"""A stage is a record, a function and a rule: what is derived from the record, and one more added outside."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_study import write_study

from rs.cli.main import main
from rs.errors import UserError
from rs.plan.jobs import Job
from rs.plan.plan import Plan
from rs.plan.stages import STAGES, Stage, stage_named
from rs.provenance.code import here
from rs.stages.execution import as_dict, execute, from_dict, function_of
from rs.study.study import Study

COUNT = Stage(
    "count",
    "count the classes that a run's images have",
    "lab_stage:run_job",
    ("rs.statistics.bounds:bonferroni",),
    outputs=("counts",),
    inputs=("data",),
    follows=("data",),
    tabled=("counts",),
    device=True,
)
FUNCTION = """
import json

def run_job(job, device, code):
    counts = {"labels": job.inputs["data"].read_text(), "device": device.type, "code": code, **job.spec}
    job.outputs["counts"].write_text(json.dumps(counts))
"""


@pytest.fixture
def plan(tmp_path, tiny, monkeypatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    return Plan(Study([write_study(tmp_path / "study.yaml", tiny)]))


@pytest.fixture
def added(tmp_path, monkeypatch) -> Stage:
    """A stage that a file outside of the package carries out."""
    (tmp_path / "lab_stage.py").write_text(FUNCTION)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(STAGES, COUNT.name, COUNT)
    yield COUNT
    sys.modules.pop("lab_stage", None)


def test_a_stage_added_outside_is_planned_executed_and_a_verb(added, plan, capsys):
    data = plan.data_manifest
    run = plan.runs[0].id
    job = plan.add(Job("count", {"k": 3}, (), run, {"data": data}, {"counts": Path("counts.json")}, "cpu"))
    assert plan.job("count", "counts.json") is job
    assert job.needs() == [data]
    assert plan.lineage(job) != job.code
    assert Path("counts.json") in plan.aggregated_files()
    assert set(plan.tables_lineage) != set(Plan(plan.study).tables_lineage)

    data.parent.mkdir(parents=True)
    data.write_text('{"name": "digits"}')
    execute("count", as_dict(job))
    counts = json.loads(Path("counts.json").read_text())
    assert counts == {"labels": '{"name": "digits"}', "device": "cpu", "code": job.code, "k": 3}

    assert main([]) == 0
    assert f"    count          {COUNT.text}\n" in capsys.readouterr().out
    Path("counts.json").unlink()
    assert main(["count", "--job", json.dumps(as_dict(job))]) == 0
    assert Path("counts.json").is_file()


def test_the_device_s_code_counts_where_a_stage_computes_on_one(plan):
    job = next(iter(plan.jobs["sample"].values()))
    assert "rs.machine.devices:use_device" in job.executes
    assert "rs.stages.sample:sample" in job.executes
    assert "rs.machine.devices:use_device" not in STAGES["certify"].code_of({})
    until_decided = STAGES["sample"].code_of({"stop": {}})
    assert "rs.stages.sample_sequential:sample" in until_decided
    assert "rs.stages.sample:sample" not in until_decided


def test_every_record_names_what_there_is():
    for stage in STAGES.values():
        assert callable(function_of(stage))
        assert {*stage.follows} <= {*stage.inputs}
        assert {*stage.tabled} <= {*stage.outputs}
        for entry in stage.executes:
            module, _, name = entry.partition(":")
            assert name in here().module(module).names


def test_a_job_is_the_same_after_it_was_handed_over(plan):
    for job in plan.all_jobs():
        again = from_dict(job.stage, as_dict(job))
        assert replace(again, run=job.run, digest_code=job.digest_code) == job
        assert again.code == job.code


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("code", None, "a text"),
        ("spec", [], "a mapping"),
        ("outputs", {"manifest": 1}, "a mapping of texts"),
        ("methods", 0.5, "a list of texts"),
        ("methods", [None], "a list of texts"),
        ("device", 0, "a text"),
        ("threads", "1", "a whole number, 1 or more"),
        ("processes", 0, "a whole number, 1 or more"),
        ("workers", True, "a whole number, 0 or more"),
    ],
)
def test_a_field_of_a_job_of_another_kind_is_one_line(capsys, key, value, allowed):
    fields = {"spec": {}, "code": "", "inputs": {}, "outputs": {}, key: value}
    assert main(["train", "--job", json.dumps(fields)]) == 1
    assert capsys.readouterr().err == f"rs: train: --job: {key} must be {allowed}\n"


def test_what_no_record_declares_is_one_line(plan, monkeypatch, capsys):
    with pytest.raises(UserError, match=r"^no stage 'trian' \(did you mean train\?\); stages: data, train, "):
        execute("trian", {})
    with pytest.raises(UserError, match=r"^no stage 'fly'; stages: "):
        stage_named("fly")
    with pytest.raises(UserError, match=r"^no stage 'fly'; stages: "):
        plan.job("fly", "x")
    job = next(iter(plan.jobs["form"].values()), None) or next(iter(plan.jobs["sample"].values()))
    with pytest.raises(UserError, match=r"^stage sample: inputs: unknown modle; allowed: data, model, "):
        plan.add(replace(job, inputs={"modle": Path("model.json")}))
    with pytest.raises(UserError, match=r"^stage sample: outputs must be draws$"):
        plan.add(replace(job, outputs={"votes": Path("votes")}))
    fields = {"spec": {}, "code": "", "inputs": {}, "outputs": {"draws": "x"}}
    assert main(["train", "--job", json.dumps(fields)]) == 1
    assert capsys.readouterr().err == "rs: stage train: outputs must be manifest, weights, metrics\n"
    assert main(["train", "--job", json.dumps({**fields, "inputs": []})]) == 1
    assert capsys.readouterr().err == "rs: train: --job: inputs must be a mapping\n"
    monkeypatch.setitem(STAGES, "data", replace(STAGES["data"], function="rs.stages.nowhere:run_job"))
    with pytest.raises(UserError, match=r"^stage data = rs.stages.nowhere:run_job: No module named"):
        function_of(STAGES["data"])
