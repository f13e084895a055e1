"""A plan warns of an extra that its missing jobs lack here, and a job without it is one line."""

from __future__ import annotations

import sys

import pytest

from rs.cli.rederive import certified
from rs.errors import UserError
from rs.plan import extras
from rs.stages.execution import as_dict, execute


@pytest.fixture(autouse=True)
def _without(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for library in ("openvino", "nncf"):
        monkeypatch.setitem(sys.modules, library, None)


def asked(tiny, **sampling):
    return {**tiny, "sampling": {**tiny["sampling"], **sampling}}


def test_the_plan_names_file_place_runs_and_what_to_do(plan_of, tiny):
    (line,) = extras.told(plan_of(asked(tiny, precision="int8")))
    assert line.endswith(
        "study0.yaml: sampling.precision: int8 needs nncf and openvino, not installed here; "
        "where jobs of gaussian, nal run: pip install -e '.[openvino]', or bfloat16"
    )
    (line,) = extras.told(plan_of(asked(tiny, engine="openvino")))
    assert "sampling.engine: openvino needs openvino, not installed here" in line
    assert line.endswith(", or torch")


def test_what_is_there_or_needs_nothing_is_not_told(plan_of, tiny, monkeypatch):
    assert list(extras.told(plan_of(tiny))) == []
    plan = plan_of(asked(tiny, precision="int8"))
    for path in plan.aggregated_files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list(extras.told(plan)) == []
    monkeypatch.setattr(extras, "find_spec", lambda name: name)
    assert list(extras.told(plan_of(asked(tiny, precision="int8")))) == []


@pytest.mark.parametrize(("stage", "packages"), [("form", "nncf and openvino"), ("sample", "openvino")])
def test_a_job_is_refused_before_it_reads_anything(plan_of, tiny, stage, packages):
    job = next(iter(plan_of(asked(tiny, precision="int8")).jobs[stage].values()))
    with pytest.raises(UserError) as caught:
        execute(stage, as_dict(job))
    told = f"precision: int8 needs {packages}, not installed here; {extras.INSTALL}, or sampling.precision: "
    assert str(caught.value) == f"{job.target}: {told}bfloat16"


def test_kept_observations_need_none_and_a_line_says_what_is_derived(plan_of, tiny, tmp_path, capsys):
    plan = plan_of(asked(tiny, precision="int8"))
    with certified(plan, tmp_path, []):
        said = capsys.readouterr().err
    assert said == f"rs: deriving the tables of {plan.study.name} from {tmp_path}\n"
    assert not any(extras.lacking(job) for job in plan.jobs["certify"].values())
