"""What `rs status` refuses in a line, and what it tells where nothing can be written."""

from __future__ import annotations

import math
import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

import rs.cli.status
from rs.cli.main import main
from rs.cli.status import status
from rs.errors import UserError
from rs.plan import staleness
from rs.provenance.files import provenance, write_table, write_text


def test_a_folder_without_a_workflow_is_named(plan_of, tiny, tmp_path, monkeypatch, capsys):
    plan = plan_of(tiny)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^Snakefile: is not here; run rs status in"):
        status(plan, [tmp_path / "study0.yaml"])
    assert capsys.readouterr().err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["study0.yaml"]


@pytest.mark.parametrize(
    "verb", [["papers"], ["verdicts"], ["verdicts", "--kept"], ["verdicts", "--from-logs"]]
)
def test_verbs_over_all_studies_say_that_there_are_none_here(tmp_path, monkeypatch, capsys, verb):
    monkeypatch.chdir(tmp_path)
    assert main(verb) == 1
    line = f"rs: Snakefile: is not here; run rs {verb[0]} in the folder of the workflow\n"
    assert capsys.readouterr() == ("", line)
    assert list(tmp_path.iterdir()) == []


def test_draws_in_other_shards_are_told_and_nothing_is_written(plan_of, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "Snakefile", "")
    tiny["runs"] = {"gaussian": tiny["runs"]["gaussian"]}
    write_text(Path(min(plan_of(tiny).jobs["sample"])), "votes")
    tiny["sampling"]["images_per_shard"] = 7
    plan = plan_of(tiny)
    monkeypatch.setattr(
        rs.cli.status, "by_dry_run", lambda plan, files: [("results/tiny/report.html", "lacks")]
    )
    before = sorted(tmp_path.rglob("*"))
    assert "sampling.images_per_shard: 7 applies to new draws" in status(plan, [])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_training_that_diverged_is_told_until_it_is_trained_again(
    plan_of, tiny, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "Snakefile", "")
    monkeypatch.setattr(rs.cli.status, "by_dry_run", lambda plan, files: [])
    plan = plan_of(tiny)
    run = next(p for p in plan.runs if p.run.label == "nal")
    curve = run.folder / "diverged.parquet"
    record = provenance(run.spec, "code", diverged={"epoch": 13, "lost": "the loss is nan"})
    write_table(curve, pa.table({"epoch": [13], "loss": [math.nan]}), record)
    sentence = f"nal seed 0: diverged in epoch 13 (the loss is nan); its curve: {curve}"
    assert sentence in status(plan, []).splitlines()
    assert main(["show", "--study", "study0.yaml"]) == 1  # there are no tables, and why
    first, last = capsys.readouterr().err.splitlines()[-2:]
    assert first == f"rs: {sentence}"
    assert "not there yet" in last
    resume = run.folder / "resume-0.pt"
    for seconds, says in (
        (-1, True),
        (1, False),
    ):  # newer: it is trained again
        resume.touch()
        os.utime(resume, (curve.stat().st_mtime + seconds,) * 2)
        assert (sentence in status(plan, [])) == says
    resume.unlink()
    curve.write_bytes(b"PAR1")
    assert f"{curve}: " in status(plan, [])


def test_a_damaged_file_is_named(plan_of, tiny, tmp_path, monkeypatch):
    """It is there and counts as `has`; without this line nobody knows why what is made from it is stale."""
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "Snakefile", "")
    monkeypatch.setattr(rs.cli.status, "by_dry_run", lambda plan, files: [])
    plan = plan_of(tiny)
    job = next(iter(plan.jobs["sample"].values()))
    write_table(job.target, pa.table({"image": [0]}), provenance(job.spec, job.code))
    assert "damaged" not in status(plan, [])
    job.target.write_bytes(job.target.read_bytes()[:-9])
    (line,) = [line for line in status(plan, []).splitlines() if str(job.target) in line]
    assert line.endswith("; remove it and run again")
    assert staleness.settle(plan) == [line]


def test_what_cannot_be_written_stays_as_it_looks(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(Path, "unlink", refused)
    monkeypatch.setattr(os, "utime", refused)
    staleness.forget([Path("file")])
    assert Path("file").stat().st_mtime > staleness.BEFORE_ALL


def test_of_a_failing_dry_run_its_error_is_told_and_not_what_came_before(plan_of, tiny, monkeypatch):
    output = (
        "rs: 5 jobs missing: about 0 core-hours here\nUserError in file report.smk, line 1:\n  {}Traceback:\n"
    )
    for error, line in (("UserError: mine.py:5: no name\n", "mine.py:5: no name"), ("", "5 jobs missing.*")):
        done = subprocess.CompletedProcess([], 1, "", output.format(error))
        monkeypatch.setattr(rs.cli.status.subprocess, "run", lambda *_, done=done, **__: done)
        with pytest.raises(UserError, match=f"snakemake --dry-run: {line}$"):
            list(rs.cli.status.by_dry_run(plan_of(tiny), []))
