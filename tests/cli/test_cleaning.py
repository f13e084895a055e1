"""`rs clean` offers what no known study names, with sizes and ages, and keeps what it is not sure of."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
import pytest
from cleaned import made_by, other
from tiny_study import TINY, write_study

from rs.cli.main import main
from rs.plan.plan import Plan
from rs.provenance.files import write_json, write_table
from rs.study.study import Study


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "study.yaml", TINY)
    return tmp_path


def test_what_no_study_names_is_listed_and_then_removed(folder, capsys):
    plan = Plan(Study([Path("study.yaml")]))
    kept = [plan.runs[0].folder / "model.json", plan.runs[0].folder / "log" / "train.txt", plan.data_manifest]
    kept += [plan.runs[0].observations[0].certified, plan.data_manifest.with_name("log.txt")]
    kept += [plan.runs[1].folder / "diverged.parquet", plan.data_manifest.with_name("packed-manifest.json")]
    stray = [Path("results/runs/digits-gone-00000000/model.json")]
    stray += [plan.runs[0].folder / "certified" / "other-00000000.parquet"]
    for path in (*kept, *stray):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 1500)
    os.utime(stray[0], (time.time() - 3 * 86_400,) * 2)
    assert main(["clean"]) == 0
    known, *listed = capsys.readouterr().out.splitlines()
    assert known == "known studies: study.yaml"
    assert [line.split() for line in listed] == [
        ["1.5", "kB", "0", "days", str(stray[1])],
        ["1.5", "kB", "3", "days", str(stray[0].parent)],
    ]
    assert all(path.exists() for path in stray)
    assert main(["clean", "--delete", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "removed 2 places, 3 kB"
    assert not any(path.exists() for path in stray)
    assert all(path.exists() for path in kept)


def test_every_study_in_the_folder_is_kept_by_default(folder, capsys):
    (folder / "config" / "papers").mkdir(parents=True)
    write_study(folder / "config/papers/three.yaml", other(3))
    write_study(folder / "config/overlay.yaml", {"override": {"training": {"epochs": 5}}})
    write_study(folder / "pipeline.yml", "steps: [a, b]")
    theirs, mine = made_by("config/papers/three.yaml"), made_by("study.yaml")
    assert main(["clean", "--study", "study.yaml"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["nothing to clean"]
    assert main(["clean", "--study", "study.yaml", "--only", "--delete", "--yes"]) == 0
    assert mine.exists()
    assert not theirs.exists()


def test_studies_made_by_overlays_are_known_by_their_tables_or_when_given(folder, capsys):
    write_study(folder / "short.yaml", {"override": {"training": {"epochs": 3}}})
    model = made_by("study.yaml", "short.yaml")
    assert main(["clean"]) == 0
    assert model.parent.name in capsys.readouterr().out
    assert main(["clean", "--study", "study.yaml+short.yaml"]) == 0
    assert "nothing to clean" in capsys.readouterr().out
    tables = folder / "results/tiny/tables/runs.parquet"
    write_table(tables, pa.table({"run": ["r"]}), {"files": ["study.yaml", "short.yaml"]})
    assert main(["clean"]) == 0
    known, nothing = capsys.readouterr().out.splitlines()
    assert known == "known studies: study.yaml, study.yaml+short.yaml"
    assert nothing == "nothing to clean"


def test_what_was_given_on_the_command_line_is_a_part_of_the_study(folder, capsys):
    overrides = {"training": {"epochs": 7}}
    plan = Plan(Study([Path("study.yaml")], overrides))
    model = plan.runs[0].folder / "model.json"
    model.parent.mkdir(parents=True)
    model.write_text("x")
    assert main(["clean"]) == 0
    assert model.parent.name in capsys.readouterr().out
    tables = folder / "results/tiny/tables/runs.parquet"
    provenance = {"files": ["study.yaml", "--config"]}
    write_table(tables, pa.table({"run": ["r"]}), {**provenance, "overrides": overrides})
    assert main(["clean", "--delete", "--yes"]) == 0
    known, nothing = capsys.readouterr().out.splitlines()
    assert (known, nothing) == ("known studies: study.yaml, study.yaml+--config", "nothing to clean")
    write_table(tables, pa.table({"run": ["r"]}), provenance)  # which keys it had, nobody knows
    assert main(["clean", "--delete", "--yes"]) == 1
    errors = capsys.readouterr().err
    assert "cannot tell what it keeps: results/tiny/tables/runs.parquet: does not name its study" in errors
    assert model.exists()


def test_nothing_is_removed_while_a_study_cannot_be_read(folder, capsys):
    write_study(folder / "broken.yaml", other(3) | {"modle": 1})
    stray = folder / "results/runs/gone-00000000/model.json"
    stray.parent.mkdir(parents=True)
    stray.write_text("x")
    assert main(["clean", "--delete", "--yes"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("rs: cannot tell what it keeps: broken.yaml: modle: unknown key")
    assert (
        lines[-1] == "rs: nothing removed: 1 study cannot be read; repair what is named above, or give --only"
    )
    assert stray.exists()


def test_a_plan_s_shard_size_is_no_stray(folder, capsys):
    """Without it a cluster's jobs, which plan again, would draw other image ranges."""
    plan = Plan(Study([Path("study.yaml")]))
    draws = next(iter(plan.jobs["sample"].values())).target.parent
    draws.mkdir(parents=True)
    (draws / "0-8-1_block0.parquet").touch()  # an older range, and the size that a plan has recorded since
    write_json(draws.parent / "shards.json", {"images_per_shard": 7, "stated": 4})
    assert main(["clean"]) == 0
    assert "shards.json" not in capsys.readouterr().out


def test_of_a_link_only_the_link_is_removed(folder):
    (folder / "disk").mkdir()
    (folder / "disk" / "model.json").write_text("x")
    link = folder / "results/runs/gone-00000000"
    link.parent.mkdir(parents=True)
    link.symlink_to(folder / "disk")
    assert main(["clean", "--delete", "--yes"]) == 0
    assert not link.is_symlink()
    assert (folder / "disk" / "model.json").is_file()


def test_what_cannot_be_removed_is_one_line(folder, capsys, monkeypatch):
    stray = folder / "results/runs/gone-00000000"
    stray.mkdir(parents=True)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    assert main(["clean", "--delete", "--yes"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "rs: results/runs/gone-00000000: cannot be removed: Permission denied"


def test_it_asks_before_it_removes(folder, capsys, monkeypatch):
    stray = folder / "results/runs/gone-00000000/model.json"
    stray.parent.mkdir(parents=True)
    stray.write_text("x")
    assert main(["clean", "--delete"]) == 1
    assert "--yes removes without asking" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "")
    assert main(["clean", "--delete"]) == 1
    assert stray.exists()
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert main(["clean", "--delete"]) == 0
    assert not stray.parent.exists()
    assert main(["clean", "--only"]) == 1
