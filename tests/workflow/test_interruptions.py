"""Killed runs leave nobody writing and continue; bad input and full disks leave one clear line.

No target is ever half written.
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch
from workspace import TABLES, Workspace, wait_for

pytestmark = pytest.mark.workflow

COMPARED = (
    "certified_accuracy",
    "average_certified_radius",
    "empirical_accuracy",
    "calibration",
    "runs",
    "training",
)
TIMES = ["train_seconds", "seconds", "images_per_second"]


def _tables(work: Workspace) -> dict[str, pd.DataFrame]:
    folder = work.folder / "results/tiny/tables"
    return {
        name: pd.read_parquet(folder / f"{name}.parquet").drop(columns=TIMES, errors="ignore")
        for name in COMPARED
    }


def _forget_macer(work: Workspace) -> Path:
    """Removes all of the MACER run but its empty folder, and the tables."""
    folder = work.one("runs/*-macer-*/model.json").parent
    for path in [*folder.rglob("*"), *(work.folder / "results/tiny/tables").iterdir()]:
        if path.is_file():
            path.unlink()
    return folder


def _trainer(snakemake: psutil.Process) -> psutil.Process | None:
    """The training job among Snakemake's children."""
    for child in snakemake.children(recursive=True):
        try:
            if child.cmdline()[2:4] == ["rs", "train"]:
                return child
        except psutil.NoSuchProcess:
            continue
    return None


def _saved(folder: Path) -> dict[str, Any] | None:
    """The resume file's content, if there is one: it is always whole, but may be gone the next moment."""
    for path in folder.glob("resume-*.pt"):
        found: dict[str, Any] = torch.load(path, weights_only=True)
        return found
    return None


def _seconds(rows: list[dict[str, Any]]) -> list[float]:
    return [row["seconds"] for row in rows]


def test_a_killed_job_and_a_killed_snakemake_continue_to_the_same_tables(work: Workspace) -> None:
    undisturbed = _tables(work)
    folder = _forget_macer(work)

    # kill -9 of the training job: Snakemake ends with an error, and no target is there
    running = work.start("aggregate")
    wait_for(lambda: _saved(folder))
    trainer = wait_for(lambda: _trainer(psutil.Process(running.pid)))
    trainer.send_signal(signal.SIGKILL)
    assert running.wait(60) != 0
    first = _saved(folder)
    assert first is not None
    assert first["epoch"] < 6
    assert not [p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith("resume-")]

    # the same command continues; kill -9 of Snakemake itself takes the training with it
    running = work.start("aggregate")
    wait_for(lambda: (_saved(folder) or first)["epoch"] > first["epoch"])
    trainer = wait_for(lambda: _trainer(psutil.Process(running.pid)))
    running.kill()
    running.wait(10)
    wait_for(lambda: not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE, 5)
    second = _saved(folder)
    assert second is not None
    assert first["epoch"] < second["epoch"] < 6
    left = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    time.sleep(2)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == left

    # the directory is locked until it is unlocked; then the same command ends the study
    locked = work.snakemake("aggregate", check=False)
    assert locked.returncode != 0
    assert "--unlock" in locked.stdout + locked.stderr
    assert "rs: " not in work.snakemake("--unlock").stderr  # no price, as if the study had lost jobs
    work.snakemake("aggregate")
    continued = pd.read_parquet(folder / "training.parquet")
    # the epochs before each kill were not trained again: their measured times are still those of then
    assert list(continued["seconds"])[: second["epoch"]] == _seconds(second["rows"])
    assert _seconds(second["rows"])[: first["epoch"]] == _seconds(first["rows"])
    for name, table in _tables(work).items():
        pd.testing.assert_frame_equal(table, undisturbed[name], check_exact=True, obj=name)
    assert not list(folder.glob("resume-*"))
    assert not list((work.folder / "results").rglob("*.part"))
    assert work.planned() == TABLES - Counter({("aggregate", ""): 1})


def test_a_worker_whose_parent_is_gone_before_it_begins_does_nothing(work: Workspace) -> None:
    target = work.one("runs/*-macer-*/model.json")
    job = {"spec": {}, "code": "", "inputs": {}, "outputs": {"manifest": str(target)}}
    command = f"RS_PARENT=1 exec python -m rs train --worker log.txt --job '{json.dumps(job)}'"
    before = target.read_bytes()
    done = work.shell(command)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert target.read_bytes() == before


# --- bad input ---


def test_a_misspelt_key_is_one_line_and_starts_nothing(work: Workspace) -> None:
    before = work.finished()
    work.study(lambda s: s["runs"]["macer"]["objective"].update(lamda=3))
    done = work.snakemake(check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "profile" not in line]
    assert len(lines) == 1
    assert lines[0].startswith(
        "rs: study.yaml: runs.macer.objective.lamda: unknown key (did you mean lambda?)"
    )
    assert work.finished() == before


def test_a_truncated_draw_file_is_named(work: Workspace) -> None:
    path = work.one("runs/*-macer-*/draws/*/estimate-100/*_block1.parquet")
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)
    certified = work.one("runs/*-macer-*/certified/*.parquet")
    for later in [certified, *(work.folder / "results/tiny/tables").iterdir()]:
        later.unlink()
    done = work.snakemake("aggregate", check=False)
    assert done.returncode == 1
    assert f"rs: {path.relative_to(work.folder)}: not a complete Parquet file" in done.stderr
    assert "Traceback" not in done.stderr
    assert not certified.exists()
    path.unlink()
    work.snakemake("aggregate")
    assert certified.exists()


@pytest.mark.parametrize(
    ("kibibytes", "stage", "pattern"),
    [(64, "train", "runs/*-macer-*/model.json"), (2, "sample", "runs/*-macer-*/draws/*/select-20/*.parquet")],
    ids=["train", "sample"],
)
def test_a_full_disk_is_one_line_and_leaves_no_half_file(
    work: Workspace, kibibytes: int, stage: str, pattern: str
) -> None:
    """A limit on the size of files stands for the full disk: both fail in the middle of writing one."""
    target = work.one(pattern)
    for path in target.parent.iterdir():
        if path.is_file():
            path.unlink()
    before = work.finished()
    # not a limit for Snakemake's own files: it applies to the job alone
    work.edit(f"workflow/rules/{stage}.smk", '"{params.rs} ', f'"ulimit -f {kibibytes}; {{params.rs}} ')
    done = work.snakemake(
        str(target.relative_to(work.folder)), "--rerun-triggers", "mtime", check=False, anew=True
    )
    assert done.returncode == 1
    messages = [line for line in done.stderr.splitlines() if line.startswith("rs: ")]
    lines = [line for line in messages if "jobs missing" not in line]  # what the run will cost
    assert lines
    assert all("cannot be written: " in line and "File too large" in line for line in lines), lines
    assert "Traceback" not in done.stderr
    assert work.finished() == before
    assert not list((work.folder / "results").rglob("*.part"))
