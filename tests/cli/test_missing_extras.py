"""Whoever plans, prices or starts jobs hears first which packages they need that are not installed here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from tiny_study import write_study

from rs.cli import slice_jobs, slice_queue
from rs.cli.main import main
from rs.plan.plan import Plan
from rs.stages import execution, speed
from rs.study.study import Study

LACKS = "sampling.precision: int8 needs nncf and openvino, not installed here"


@pytest.fixture
def study(tmp_path, monkeypatch, tiny):
    """Of two runs, the second one votes in int8."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for library in ("openvino", "nncf"):
        monkeypatch.setitem(sys.modules, library, None)
    tiny["attacks"] = []
    tiny["runs"]["nal"]["sampling"] = {**tiny["sampling"], "precision": "int8"}
    write_study(tmp_path / "study.yaml", tiny)
    return "study.yaml"


def sentences(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if "not installed here" in line]


@pytest.mark.parametrize(
    ("only", "lines"),
    [({}, 1), ({"runs": ["gaussian"]}, 0), ({"runs": ["nal"]}, 1), ({"stages": ["train"]}, 0)],
)
def test_a_slice_tells_of_the_jobs_that_it_is_to_do(study, capsys, monkeypatch, only, lines):
    entries = [{"study": [study], **only}]
    Path("queue.yaml").write_text(yaml.safe_dump({"queue": entries}))
    queue = slice_queue.read_queue(Path("queue.yaml"))
    assert slice_queue.jobs_of(queue)
    printed = sentences(capsys)
    assert len(printed) == lines
    assert all(
        line.startswith(f"rs: study.yaml: runs.nal.{LACKS}; where jobs of nal run: ") for line in printed
    )
    monkeypatch.setattr(slice_jobs.Waiting, "there", lambda self: True)
    slice_queue.jobs_of(queue)
    assert sentences(capsys) == []


def test_a_price_tells_beside_what_programs_read_and_assumes_what_it_cannot_measure(
    study, capsys, monkeypatch
):
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    assert main(["price", "--study", study, "--json"]) == 0
    captured = capsys.readouterr()
    here = json.loads(captured.out)["whole"]["machines"][0]
    assert here["assumed"]
    assert here["unpriced"] == []
    assert here["stages"]["sample"] > 0
    assert LACKS in captured.err
    measured = [line for line in captured.err.splitlines() if "measuring" in line]
    assert measured
    assert not any("int8" in line for line in measured)


def test_a_price_does_not_tell_of_jobs_that_are_done(study, capsys, monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    for job in Plan(Study([Path(study)])).all_jobs():
        for path in job.outputs.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert main(["price", "--study", study, "--no-measure"]) == 0
    assert sentences(capsys) == []


def test_a_stage_is_refused_before_its_first_job_runs(study, capsys, monkeypatch):
    ran = []
    monkeypatch.setattr(execution, "execute", lambda stage, job, data_dir: ran.append(job))
    assert main(["sample", "--study", study]) != 0
    assert len(sentences(capsys)) == 1
    assert ran == []
    assert main(["sample", "--study", study, "--run", "gaussian"]) == 0
    assert ran
