"""The command line: what programs read, what people read, and how it says no."""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tiny_study import write_study

from rs import __version__
from rs.cli.main import main, parser
from rs.cli.verbs import VERBS
from rs.errors import UserError
from rs.plan.stages import STAGES, STUDY_STAGES
from rs.provenance.files import versions


def test_list_for_programs(capsys):
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["datasets", "models", "objectives", "noises", "certificates", "attacks"]
    for entries in found.values():
        assert entries
        for entry in entries:
            assert {"name", "source", "parameters"} <= entry.keys()
            assert entry["source"]
            assert isinstance(entry["parameters"], dict)
    macer = next(e for e in found["objectives"] if e["name"] == "macer")
    assert macer["source"] == "Zhai et al., ICLR 2020"
    assert macer["parameters"]["lambda"] == 12
    smoothadv = next(e for e in found["objectives"] if e["name"] == "smoothadv")
    assert smoothadv["parameters"]["epsilon"] == "required"
    assert {"gaussian", "none"} <= {e["name"] for e in found["noises"]}


def test_list_for_people(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(
        word in text for word in ("objectives", "smoothadv", "Salman et al., NeurIPS 2019", "epsilon:")
    )


def test_schema(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "A study of randomized smoothing"


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["list", "--help"]])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: ")
    if arguments == ["--help"]:
        verbs = [*STAGES, *STUDY_STAGES, "list", "status", "clean"]
        assert all(re.search(rf"\n    {verb}\s", text) for verb in verbs)


def refused(arguments, capsys) -> str:
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def test_bad_input_exits_1_with_one_line(tmp_path, tiny, capsys):
    missing = tmp_path / "no.yaml"
    assert (
        refused(["train", "--study", str(missing)], capsys)
        == f"rs: {missing}: cannot be read: No such file or directory\n"
    )
    tiny["noise"]["sigma"] = -1
    study = str(write_study(tmp_path / "s.yaml", tiny))
    line = f"rs: {study}: noise.sigma: -1: must be 0 or a number at least 1e-06 and at most 1000000\n"
    assert refused(["train", "--study", study], capsys) == line
    assert "train: give --study FILE" in refused(["train"], capsys)
    assert "rs: train: --job is not JSON" in refused(["train", "--job", "{"], capsys)
    assert "rs: train: --job needs spec" in refused(["train", "--job", "{}"], capsys)
    assert "leave out --study, --run and --again" in refused(["train", "--job", "{}", "--again"], capsys)


@pytest.mark.parametrize(
    ("code", "line", "status"),
    [
        ("import sys\nsys.exit('bye')\n", 2, "'bye'"),
        ("import argparse\np = argparse.ArgumentParser()\np.parse_args(['--epochs', '3'])\n", 3, "2"),
        ("def net():\n    raise SystemExit(3)\n", 2, "3"),
    ],
)
def test_foreign_code_that_exits_is_named(tmp_path, monkeypatch, capsys, code, line, status):
    (tmp_path / "exits.py").write_text(code)
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "exits", raising=False)
    arguments = ["certify", "--model", "entry:exits:net", "--data", str(tmp_path), "--sigma", "0.25"]
    assert main(arguments) == 1
    named = f"rs: {tmp_path / 'exits.py'}:{line}: exits with {status}; must not "
    assert capsys.readouterr().err.splitlines()[-1].startswith(named)
    # packages inside the library's folder, as conda has them
    paths = {"stdlib": tmp_path.anchor, "purelib": str(tmp_path), "platlib": str(tmp_path)}
    monkeypatch.setattr("rs.cli.main.sysconfig.get_path", paths.get)
    monkeypatch.delitem(sys.modules, "exits", raising=False)
    assert main(arguments) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(named)


def test_without_a_verb_help_is_printed_peoples_verbs_first(capsys):
    assert main([]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    people, workers = printed.out.split("verbs for people:")[1].split("verbs that the workflow calls:")
    assert all(f"    {verb} " in people for verb in ("list", "status", "show", "certify", "radius", "clean"))
    verbs = ("data", "train", "sample", "attack", "aggregate", "track", "report")
    assert all(f"    {verb} " in workers for verb in verbs)
    assert re.search(r"exit codes:\n    0 +done\n    1 .*\n    2 .*\n    130 ", workers)


def test_every_verb_stands_in_the_help_once(capsys):
    main([])
    listed = re.findall(r"^    ([a-z-]+) +\S", capsys.readouterr().out, re.M)
    with pytest.raises(UserError) as caught:
        parser().parse_args(["fly"])
    assert sorted(listed) == sorted(re.findall(r"'([a-z-]+)'", str(caught.value).split("choose from")[1]))


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"rs {__version__}\n"
    assert versions()["rs"] == __version__


@pytest.mark.parametrize("arguments", [["fly"], ["train", "--fast"], ["report", "--study"]])
def test_wrong_usage_is_one_line_that_says_where_help_is(arguments, capsys):
    assert "--help)" in refused(arguments, capsys)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["slice", "queue.yaml", "--minutes", "\u22121"],
            "argument --minutes: '\u22121': must be a number, as 0.5",
        ),
        (["ui", "--port", "x"], "argument --port: 'x': must be a whole number, as 10 (see rs ui --help)"),
        (["ui", "--port", "50_00"], "argument --port: '50_00': must be a whole number, as 10"),
        (["slice", "queue.yaml", "--minutes", "1_0"], "argument --minutes: '1_0': must be a number, as 0.5"),
        (["list", "foo"], "unrecognized arguments: foo (see rs list --help)"),
        (["train", "--job", "{}", "--fast"], "unrecognized arguments: --fast (see rs train --help)"),
        (["certify"], "certify: give --model SOURCE:NAME, --checkpoint FILE or --study FILE"),
    ],
)
def test_wrong_arguments_are_told_without_python_s_names(arguments, line, capsys):
    assert f"rs: {line}" in refused(arguments, capsys)


def test_an_unknown_run_is_named(tmp_path, tiny, capsys):
    study = str(write_study(tmp_path / "s.yaml", tiny))
    message = refused(["train", "--study", study, "--run", "wrm"], capsys)
    assert message == f"rs: {study}: no train job for run 'wrm'; runs: gaussian, nal\n"


def test_a_missing_input_is_one_line(tmp_path, tiny, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = str(write_study(tmp_path / "s.yaml", tiny))
    assert "results/data/digits/manifest.json: cannot be read" in refused(["train", "--study", study], capsys)
    assert not (tmp_path / "results").exists()


def test_a_stage_by_hand_writes_what_the_workflow_writes(tmp_path, tiny, workspace, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = str(write_study(tmp_path / "s.yaml", tiny))
    assert main(["data", "--study", study]) == 0
    assert main(["train", "--study", study, "--run", "gaussian"]) == 0
    outputs = workspace.job("train").outputs
    assert outputs["weights"].read_bytes() == workspace.path(outputs["weights"]).read_bytes()


def test_a_stage_by_hand_makes_nothing_twice_unless_it_is_told_to(
    tmp_path, tiny, workspace, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    train = ["train", "--study", str(write_study(tmp_path / "s.yaml", tiny)), "--run", "gaussian"]
    assert main(["data", *train[1:3]]) == 0
    assert main(train) == 0
    outputs = workspace.job("train").outputs

    def written() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in outputs.values()}

    before = written()
    capsys.readouterr()
    assert main(train) == 0
    assert "rs: train: 1 job is current and did not run; --again runs all" in capsys.readouterr().err
    assert written() == before
    assert main([*train, "--again"]) == 0
    assert "is current" not in capsys.readouterr().err
    assert all(now != before[path] for path, now in written().items())
    for name, damage in (("weights", Path.unlink), ("manifest", lambda path: path.write_text("{"))):
        damage(outputs[name])  # what is lost or damaged is made again
        assert main(train) == 0
        assert "is current" not in capsys.readouterr().err
        assert outputs["weights"].read_bytes() == workspace.path(outputs["weights"]).read_bytes()


def test_the_installed_command_and_the_torch_free_floor():
    code = "import sys, rs.plan, rs.stages; sys.exit(not {'torch', 'mlflow'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    done = subprocess.run([sys.executable, "-m", "rs", "train"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("rs: train: give --study FILE")
    assert "Traceback" not in done.stderr


def loaded_by(arguments: list[str], act: bool = False) -> set[str]:
    """The modules that a verb has imported before it acts, or at its end."""
    called = f"main({arguments})" if act else f"parser({arguments[0]!r}).parse_args({arguments})"
    code = f"import sys; from rs.cli.main import main, parser; {called}; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


LIBRARIES = {"matplotlib", "mlflow", "numpy", "pandas", "pyarrow", "pydantic", "scipy", "torch", "yaml"}


def test_a_job_imports_its_own_verb_alone():
    """Every job of a study pays for what it imports before it begins."""
    loaded = loaded_by(["certify", "--job", "{}"], act=True)
    assert not (LIBRARIES | {"rs.cli.verbs", "rs.plan.plan", "rs.study.study"}) & loaded


LIGHT = [
    "",
    "status",
    "show",
    "ui",
    "follow",
    "verdicts",
    "why",
    "precision",
    "rederive",
    "train",
    "list",
    "schema",
]


@pytest.mark.parametrize("verb", LIGHT)
def test_help_and_these_verbs_are_understood_without_any_library(verb):
    """Nobody waits for another verb's imports: neither for the help nor for a wrong argument."""
    arguments = [verb, *{"why": ["STUDY/runs[0]"], "rederive": ["--list", "tables.yaml"]}.get(verb, [])]
    assert not loaded_by(arguments if verb else [], act=not verb) & (LIBRARIES | {"rs.plan.plan"})


@pytest.mark.parametrize("verb", ["aggregate", "track", "price", "accept", "slice"])
def test_a_verb_about_a_plan_is_understood_with_what_reads_a_study(verb):
    arguments = [verb, *{"slice": ["queue.yaml", "--minutes", "1"]}.get(verb, [])]
    assert loaded_by(arguments) & LIBRARIES <= {"numpy", "pydantic", "yaml"}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_can_be_asked_for_help(verb, capsys):
    """Its module and functions are named by text, which nothing else checks."""
    with pytest.raises(SystemExit) as caught:
        main([verb.name, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: rs {verb.name} ")


def test_a_terminal_that_lacks_a_letter_shows_its_number(monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed, encoding="ascii", write_through=True))
    acting = argparse.Namespace(act=lambda _: print("\u03b5 = 0.25, data-\udcff"))
    monkeypatch.setattr("rs.cli.main.understood", lambda _: acting)
    assert main([]) == 0
    assert printed.getvalue() == b"\\u03b5 = 0.25, data-\\udcff\n"
