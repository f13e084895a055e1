"""Methods of another distribution: lists, studies, plans, digests and contracts see them as they see ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab import forget
from lab import installed as installed  # fixtures
from lab import lab as lab

from rs.cli.main import main
from rs.methods import catalog
from rs.provenance import user_cache
from rs.study import schema as study_schema
from rs.study.plugin_schema import CALLS

MINE = {
    "objectives": {"name": "smoothed_labels", "smoothing": 0.2},
    "certificates": {"name": "hoeffding_votes"},
    "noises": {"name": "logistic", "scale": 0.1},
}


@pytest.fixture
def theirs(tiny):
    """The tiny study with the three methods of the lab."""
    tiny["runs"] = {"smoothed": {"objective": dict(MINE["objectives"])}}
    tiny["certificates"].append(MINE["certificates"])
    tiny["attacks"] = []
    return tiny


def test_list_and_schema_tell_of_them(installed, capsys):
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    for kind, method in MINE.items():
        entry = next(e for e in listed[kind] if e["name"] == method["name"])
        assert entry["source"]
        assert entry["description"]
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == study_schema.schema()
    assert "logistic" not in catalog.schema()["$defs"]["noises"], "ours alone are committed"


def test_studies_are_checked_with_them(installed, theirs, refusal, plan_of):
    assert plan_of(theirs).runs[0].run.sections["objective"] == {**MINE["objectives"]}
    theirs["runs"]["smoothed"]["objective"]["smoothing"] = 1.5
    assert "runs.smoothed.objective.smoothing: 1.5: must be a number at least 0 and below 1" in refusal(
        theirs
    )
    theirs["runs"]["smoothed"]["objective"] = {"name": "smoothed_labels", "smothing": 0.1}
    assert "objective.smothing: unknown key (did you mean smoothing?)" in refusal(theirs)
    theirs["runs"]["smoothed"]["objective"] = {"name": "smoothed_label"}
    assert "'smoothed_label' (did you mean smoothed_labels?)" in refusal(theirs)
    theirs["runs"]["smoothed"]["objective"] = MINE["objectives"]
    theirs["smoothing"] = [MINE["noises"]]
    assert "certificate hoeffding_votes has no theorem for noise logistic" in refusal(
        {**theirs, "certificates": [MINE["certificates"]]}
    )
    theirs["sampling"] |= {"n": 8, "block": 8}
    least = "votes certify nothing at alpha = 0.001"
    assert least in refusal({**theirs, "smoothing": None, "certificates": [MINE["certificates"]]})


def test_their_code_counts_and_nothing_else_of_theirs(installed, theirs, plan_of):
    def codes() -> dict[str, str]:
        forget()
        plan = plan_of(theirs)
        return {stage: next(iter(plan.jobs[stage].values())).code for stage in ("train", "sample", "certify")}

    def edit(module: str, old: str, new: str) -> None:
        file = installed / "lab_methods" / f"{module}.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 1))

    theirs["noise"] = MINE["noises"]
    theirs["smoothing"] = [{"name": "gaussian", "sigma": 0.25}]
    before = codes()
    edit("hoeffding_votes", "hits / n +", "hits / n + 0 * n +")
    edited = codes()
    assert edited["certify"] != before["certify"]
    assert {k: edited[k] for k in ("train", "sample")} == {k: before[k] for k in ("train", "sample")}
    edit("logistic", ".mul_(self.scale)", ".mul_(1 * self.scale)")
    again = codes()
    assert again["train"] != edited["train"]
    assert again["certify"] == edited["certify"]
    edit("smoothed_labels", "Departures: the noise", "Departures: the noise of the images")
    assert codes() == again
    # what their package itself executes runs before each of its methods
    package = installed / "lab_methods" / "__init__.py"
    package.write_text(f"{package.read_text()}\nimport math\n\nmath.tau = 6.0\n")
    assert {stage for stage, code in codes().items() if code != again[stage]} == {"train", "certify"}


@pytest.mark.slow
def test_jobs_run_with_them_and_say_which_version(installed, theirs, tmp_path):
    from tiny_study import Workspace, write_study

    from rs.plan.plan import Plan
    from rs.provenance.files import read_table
    from rs.study.study import Study

    theirs["noise"] = MINE["noises"]
    theirs["smoothing"] = [{"name": "gaussian", "sigma": 0.25}]
    work = Workspace(tmp_path, Plan(Study([write_study(tmp_path / "study.yaml", theirs)])))
    for stage in ("data", "train", "sample", "certify"):
        for job in work.plan.jobs[stage].values():
            work.run(job)
    path = next(iter(work.plan.jobs["certify"].values())).outputs["certified"]
    table, origin = read_table(work.path(path))
    assert "hoeffding_votes" in set(table["certificate"].to_pylist())
    assert origin["versions"]["lab-methods"] == "1.0"


@pytest.mark.slow
def test_radius_and_contract_tests_see_them_in_processes_of_their_own(installed, tmp_path):
    """Without torch once the schema is cached; the contract tests are not edited for them."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *sys.path])}
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    votes = ["--selection", "90,10", "--estimation", "9900,100"]
    radius = ["radius", "--certificate", "hoeffding_votes", "--set", "sigma=0.5", *votes]
    assert python("-m", "rs", *radius) == "class 0, l2 radius 0.95100, confidence 0.999\n"
    script = "import sys; from rs.cli.main import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    assert python("-c", script, *radius).splitlines()[-1] == "False"
    contracts = str(Path(__file__).parents[1] / "methods" / "test_contracts.py")
    chosen = "smoothed_labels or hoeffding_votes or logistic"
    output = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, contracts)
    assert int(output.split(" passed")[0].split()[-1]) >= 15


def test_a_cached_schema_follows_the_code(installed):
    def limits() -> dict:
        forget()
        return study_schema.method_schema("objectives", "smoothed_labels")["properties"]["smoothing"]

    assert limits()["exclusiveMaximum"] == 1
    assert len(list(user_cache.folder("plug-ins").glob("*.json"))) == 3
    file = installed / "lab_methods" / "smoothed_labels.py"
    file.write_text(file.read_text().replace("lt=1", "lt=0.5"))
    assert limits()["exclusiveMaximum"] == 0.5
    for cached in user_cache.folder("plug-ins").glob("smoothed_labels-*.json"):
        cached.write_text("{")
    assert limits()["exclusiveMaximum"] == 0.5


def test_calls_are_those_of_the_protocols():
    import inspect

    from rs.methods import interfaces
    from rs.smoothing import noise

    protocols = {
        "datasets": (interfaces.Dataset,),
        "models": (interfaces.Model,),
        "objectives": (interfaces.Objective,),
        "noises": (noise.Noise,),
        "certificates": (interfaces.Certificate,),
        "attacks": (interfaces.AttackAtRadii, interfaces.MinimalAttack),
    }
    for kind, classes in protocols.items():
        functions = {
            k: v for c in classes for k, v in vars(c).items() if inspect.isfunction(v) and k[0] != "_"
        }
        taken = {name: tuple(inspect.signature(f).parameters)[1:] for name, f in functions.items()}
        assert taken == CALLS[kind]


def test_a_failing_job_names_the_plug_ins_that_it_ran(installed, theirs, plan_of, tmp_path, monkeypatch):
    """The traceback of a value of the wrong type does not reach the plug-in that made it."""
    from rs.stages import execution

    def fail(*_):
        raise TypeError("unsupported operand")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(execution, "function_of", lambda stage: fail)
    job = next(iter(plan_of(theirs).jobs["train"].values()))
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        execution.execute("train", execution.as_dict(job))
    (note,) = caught.value.__notes__
    assert "train ran plug-in lab-methods 1.0: rs.objectives: smoothed_labels = " in note
    assert "test_contracts.py" in note
    theirs["runs"] = {"gaussian": {"objective": {"name": "gaussian"}}}
    job = next(iter(plan_of(theirs).jobs["train"].values()))
    with pytest.raises(TypeError) as caught:
        execution.execute("train", execution.as_dict(job))
    assert not hasattr(caught.value, "__notes__")
