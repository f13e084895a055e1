"""A plan warns of an extra that its missing jobs lack here, and a job without it is one line."""

from __future__ import annotations

import importlib
import sys
import tomllib
from pathlib import Path

import pytest

from rs.cli.rederive import certified
from rs.errors import UserError
from rs.methods import attacks, catalog
from rs.plan import extras
from rs.stages.execution import as_dict, execute

SQUARE = {"name": "square_linf", "label": "square", "radii": [0.1], "steps": 2, "judge": {"n": 32}}
TRANSFER = {
    "name": "transfer",
    "source_run": "gaussian",
    "attack": "square",
    "radii": [0.1],
    "judge": {"n": 32},
}


@pytest.fixture(autouse=True)
def _without(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for library in ("openvino", "nncf", "art"):
        monkeypatch.setitem(sys.modules, library, None)


def sampled(tiny, **sampling):
    return {**tiny, "sampling": {**tiny["sampling"], **sampling}}


def test_the_plan_names_file_place_runs_and_what_to_do(plan_of, tiny):
    (line,) = extras.sentences(plan_of(sampled(tiny, precision="int8")))
    assert line.endswith(
        "study0.yaml: sampling.precision: int8 needs nncf and openvino, not installed here; "
        "where jobs of gaussian, nal run: pip install -e '.[openvino]', or bfloat16"
    )
    (line,) = extras.sentences(plan_of(sampled(tiny, engine="openvino")))
    assert "sampling.engine: openvino needs openvino, not installed here" in line
    assert line.endswith(", or torch")


@pytest.mark.parametrize("name", catalog.EXTRAS["attacks"])
def test_an_attack_of_a_toolbox_that_is_not_there_is_told_when_it_is_planned(plan_of, tiny, name):
    named = {k: v for k, v in SQUARE.items() if k != "label"} | {"name": name}
    tiny["runs"]["nal"]["attacks"] = [*tiny["attacks"], named]
    plan = plan_of(tiny)
    problem = f"{name} needs adversarial-robustness-toolbox, not installed here"
    install = "pip install -e '.[attacks]', or take another attack"
    (line,) = extras.sentences(plan)
    assert line.endswith(f"study0.yaml: runs.nal.attacks: {problem}; where jobs of nal run: {install}")
    job = next(j for j in plan.jobs["attack"].values() if j.spec["attack"]["name"] == name)
    with pytest.raises(UserError) as caught:
        execute("attack", as_dict(job))
    assert str(caught.value) == f"{job.target}: attacks: {problem}; {install}"


def test_a_transferred_attack_is_made_by_its_sources_toolbox(plan_of, tiny):
    tiny["attacks"] = []
    tiny["runs"]["gaussian"]["attacks"] = [SQUARE]
    tiny["runs"]["nal"]["attacks"] = [TRANSFER]
    lines = list(extras.sentences(plan_of({**tiny, "active": ["nal"]})))
    assert [line for line in lines if "runs.nal.attacks: square_linf needs" in line] == lines
    assert len(lines) == 1


def test_an_attack_that_is_unknown_here_is_not_a_matter_of_extras(plan_of, tiny):
    """As on a node without the plug-in: the job itself refuses it."""
    job = next(iter(plan_of(tiny).jobs["attack"].values()))
    job.spec["attack"]["name"] = "of_a_plugin"
    extras.check(job)


@pytest.mark.parametrize("another", [True, False])
def test_a_package_is_known_without_its_import(plan_of, tiny, monkeypatch, tmp_path, another):
    """Importing the toolbox takes seconds; another package of PyPI is called art too."""
    monkeypatch.delitem(sys.modules, "art")
    folder = tmp_path / "art" / ("drawing" if another else "estimators")
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise AssertionError")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert bool(list(extras.sentences(plan_of({**tiny, "attacks": [SQUARE]})))) == another


def test_every_extra_is_one_of_the_projects():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["attacks"]
    assert {*catalog.EXTRAS["attacks"].values()} == {"attacks"}
    assert any(line.startswith(extras.TOOLBOX) for line in extra)
    uses_it = {name for name, path in attacks.METHODS.items() if "toolbox" in source_of(path)}
    assert uses_it == {*catalog.EXTRAS["attacks"]}


def source_of(path: str) -> str:
    return Path(importlib.import_module(path.partition(":")[0]).__file__).read_text()


def test_what_is_there_or_needs_nothing_is_not_told(plan_of, tiny, monkeypatch):
    assert list(extras.sentences(plan_of(tiny))) == []
    plan = plan_of(sampled(tiny, precision="int8"))
    for path in plan.aggregated_files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list(extras.sentences(plan)) == []
    monkeypatch.setattr(extras, "find_spec", lambda name: name)
    assert list(extras.sentences(plan_of(sampled(tiny, precision="int8")))) == []


def test_only_runs_with_missing_jobs_are_named(plan_of, tiny):
    plan = plan_of(sampled(tiny, precision="int8"))
    left = [planned.folder for planned in plan.runs if planned.run.label == "nal"]
    for job in plan.all_jobs():
        if not any(job.target.is_relative_to(folder) for folder in left):
            for path in job.outputs.values():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    (line,) = extras.sentences(plan)
    assert "where jobs of nal run: " in line


def test_runs_of_one_network_are_told_of_their_own_setting(plan_of, tiny):
    votes = {"int8": {"precision": "int8"}, "openvino": {"engine": "openvino"}}
    gaussian = tiny["runs"]["gaussian"]
    runs = {label: {**gaussian, "sampling": {**tiny["sampling"], **own}} for label, own in votes.items()}
    plan = plan_of({**tiny, "runs": runs})
    assert len({planned.folder for planned in plan.runs}) == 1
    first, second = extras.sentences(plan)
    assert "precision: int8 needs nncf and openvino, not installed here; where jobs of int8 run: " in first
    assert "engine: openvino needs openvino, not installed here; where jobs of openvino run: " in second


@pytest.mark.parametrize(("stage", "packages"), [("form", "nncf and openvino"), ("sample", "openvino")])
def test_a_job_is_refused_before_it_reads_anything(plan_of, tiny, stage, packages):
    job = next(iter(plan_of(sampled(tiny, precision="int8")).jobs[stage].values()))
    with pytest.raises(UserError) as caught:
        execute(stage, as_dict(job))
    install = "pip install -e '.[openvino]', or sampling.precision: "
    problem = f"precision: int8 needs {packages}, not installed here; {install}"
    assert str(caught.value) == f"{job.target}: {problem}bfloat16"


def test_kept_observations_need_none_and_a_line_says_what_is_derived(plan_of, tiny, tmp_path, capsys):
    plan = plan_of(sampled(tiny, precision="int8"))
    with certified(plan, tmp_path, []):
        errors = capsys.readouterr().err
    assert errors == f"rs: deriving the tables of {plan.study.name} from {tmp_path}\n"
    assert not any(extras.lacking(job) for job in plan.jobs["certify"].values())
