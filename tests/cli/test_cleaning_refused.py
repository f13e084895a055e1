"""What `rs clean` must not remove: results of a running study, or of one whose files it cannot find."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from cleaned import made_by, other
from tiny_study import TINY, write_study

from rs.cli.main import main
from rs.plan import running_plans, staleness, started_studies
from rs.plan.plan import Plan
from rs.provenance.files import write_table
from rs.study.study import Study


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "study.yaml", TINY)
    return tmp_path


def tabled(name: str, *files: str) -> Path:
    """The table of results/<name> that says which files made it."""
    table = Path("results") / name / "tables" / "runs.parquet"
    write_table(table, pa.table({"run": ["r"]}), {"files": [*files]})
    return table


def test_nothing_is_removed_while_a_study_is_computed_here(folder, capsys, monkeypatch):
    monkeypatch.setattr(running_plans, "_HELD", [])
    stray = folder / "results/runs/gone-00000000/model.json"
    stray.parent.mkdir(parents=True)
    stray.write_text("x")
    running_plans.hold()
    for only in ([], ["--study", "study.yaml", "--only"]):
        assert main(["clean", "--delete", "--yes", *only]) == 1
        assert "rs: nothing removed: 1 process computes studies here, as long" in capsys.readouterr().err
    assert stray.exists()
    assert main(["clean"]) == 0, "it is listed"
    running_plans._HELD.clear()  # as the end of its process would
    assert main(["clean", "--delete", "--yes"]) == 0
    assert not stray.exists()


def test_a_process_that_starts_while_somebody_is_asked_is_noticed(folder, capsys, monkeypatch):
    monkeypatch.setattr(running_plans, "_HELD", [])
    stray = folder / "results/runs/gone-00000000"
    stray.mkdir(parents=True)
    monkeypatch.setattr("rs.cli.cleaning.agreed", lambda question: running_plans.hold() or True)
    assert main(["clean", "--delete"]) == 1
    assert stray.exists()


@pytest.mark.parametrize("how", ["elsewhere", "overlay", "values"])
def test_what_was_begun_without_tables_is_known(folder, capsys, how):
    """As after `snakemake --until train`."""
    files, overrides = [Path("study.yaml")], {}
    if how == "elsewhere":
        (folder / "studies").mkdir()
        files = [write_study(Path("studies/else.yaml"), other(3))]
    elif how == "overlay":
        files.append(write_study(Path("short.yaml"), {"override": {"training": {"epochs": 3}}}))
    else:
        overrides = {"training": {"epochs": 7}}
    plan = Plan(Study(files, overrides))
    model = plan.runs[0].folder / "model.json"
    model.parent.mkdir(parents=True)
    model.write_text("x")
    assert main(["clean"]) == 0
    assert model.parent.name in capsys.readouterr().out
    started_studies.record(plan)
    assert main(["clean", "--delete", "--yes"]) == 0
    assert "nothing to clean" in capsys.readouterr().out
    (record,) = started_studies.records()
    if how == "elsewhere":
        files[0].rename("gone")
        assert main(["clean", "--delete", "--yes"]) == 1
        errors = capsys.readouterr().err
        assert (
            f"{record}: made from studies/else.yaml, which is not there; bring it back, or remove" in errors
        )
        Path("gone").rename(files[0])
    started_studies.forget(plan)
    assert not record.parent.parent.exists()
    write_table(
        plan.table_files()[0],
        pa.table({"run": ["r"]}),
        {
            "files": [str(file) for file in plan.study.files],
            **({"overrides": overrides} if overrides else {}),
        },
    )
    started_studies.record(plan)
    assert started_studies.records() == [], "its tables name it"
    assert main(["clean", "--delete", "--yes"]) == 0
    assert model.exists()


@pytest.mark.parametrize("damaged", [False, True])
def test_tables_whose_study_is_gone_stop_removal(folder, capsys, damaged):
    write_study(folder / "mine.yaml", other(3) | {"name": "mine"})
    model, table = made_by("mine.yaml"), tabled("mine", "mine.yaml")
    (folder / "mine.yaml").unlink()
    if damaged:
        table.write_bytes(b"PAR1")
    assert main(["clean", "--delete", "--yes"]) == 1
    line = str(table) if damaged else f"{table}: made from mine.yaml, which is not there; bring it back, or "
    assert f"rs: cannot tell what it keeps: {line}" in capsys.readouterr().err
    assert model.exists()


def test_what_a_former_name_left_is_offered(folder, capsys):
    """The tables, not the networks: these are of the study by its present name."""
    for name in ("old", "noted", "taken"):
        tabled(name, f"{name}.yaml")
        write_study(folder / f"{name}.yaml", other(3) | {"name": f"{name}-renamed"})
    note = folder / "results/noted/note.txt"
    note.write_text("mine")
    write_study(folder / "another.yaml", other(5) | {"name": "taken"})
    model = made_by("old.yaml")
    assert main(["clean", "--delete", "--yes"]) == 0
    listed = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:-1]]
    assert listed == ["results/noted/tables", "results/old"]
    assert model.exists()
    assert note.exists()
    assert (folder / "results/taken/tables").exists()
    assert not (folder / "results/old").exists()


def test_the_age_of_stale_files_is_unknown(folder, capsys):
    stray = folder / "results/runs/gone-00000000/model.json"
    stray.parent.mkdir(parents=True)
    stray.write_text("x")
    staleness.forget([stray])
    assert main(["clean"]) == 0
    assert "unknown age  results/runs/gone-00000000" in capsys.readouterr().out


def test_a_stage_by_hand_is_begun_too(folder, monkeypatch):
    """And one that is refused leaves nothing."""
    monkeypatch.setattr(running_plans, "_HELD", [])
    plan = Plan(Study([Path("study.yaml")]))
    assert main(["train", "--study", "study.yaml"]) == 1
    assert not (folder / "results").exists()
    monkeypatch.setattr("rs.stages.execution.execute", lambda *job: None)
    for path in {path for job in plan.jobs["train"].values() for path in job.needs()}:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert main(["train", "--study", "study.yaml"]) == 0
    assert len(started_studies.records()) == len(running_plans.running()) == 1
