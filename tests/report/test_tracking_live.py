"""Curves while a network is trained, from its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import tracked_study
from tracked_study import everything, of_kind

from rs.report.tracking.live import Live
from rs.report.tracking.present import RUN
from rs.report.tracking.store import open_store
from rs.report.tracking.study import log_study
from rs.tables import reading

pytestmark = pytest.mark.slow


def checkpoint(folder: Path, epochs: int) -> Path:
    """As a training leaves it after so many epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "resume-0123.pt"
    rows = [{"epoch": e + 1, "loss": 2.0 / (e + 1), "learning_rate": 0.1} for e in range(epochs)]
    torch.save({"name": path.name, "rows": rows, "network": {"w": torch.zeros(3)}}, path)
    return path


def loss(uri: str) -> list[tuple[int, float]]:
    ((_, _, metrics),) = [run for run in everything(uri).values() if run[1].get("rs.kind") == "live"]
    return [(step, value) for step, value, _ in metrics["training/loss"]]


def test_epochs_are_appended_once_and_the_results_replace_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, tables = f"sqlite:///{tmp_path}/mlflow.db", tracked_study.tables(tmp_path / "tables")
    run, other = reading.read(tables, "runs").run
    folder = tmp_path / "runs" / run
    runs = {run: ("gaussian seed 0", folder), other: ("other seed 0", tmp_path / "runs" / other)}
    live = Live("demo", uri, runs)
    assert live.look() == 2, "nothing is trained yet"
    path = checkpoint(folder, 2)
    assert live.look() == 2
    assert loss(uri) == [(1, 2.0), (2, 1.0)]
    before = everything(uri)
    with monkeypatch.context() as patch:
        patch.setattr(live, "_log", no_call)
        live.look()  # of a checkpoint that did not change nothing is asked of the store

    checkpoint(folder, 3)
    assert Live("demo", uri, runs).look() == 2  # another process, after the first was killed
    assert loss(uri) == [(1, 2.0), (2, 1.0), (3, 2.0 / 3)]
    assert everything(uri).keys() == before.keys()

    away = Live("demo", "http://127.0.0.1:1", runs)
    content = path.read_bytes()
    assert away.look() == 2
    assert "rs: curves are not logged yet: http://127.0.0.1:1: " in capsys.readouterr().err
    assert (path.read_bytes(), [p.name for p in folder.iterdir()]) == (content, [path.name])

    live.look()
    path.unlink()
    (folder / "model.json").write_text("{}")
    assert live.look() == 1
    assert set(loss(uri)) == {(1, 2.0), (2, 1.0), (3, 2.0 / 3)}
    record = log_study("demo", tables, uri)
    assert of_kind(everything(uri), "live") == set()
    assert of_kind(everything(uri), "run") == set(record["runs"].values())


def test_a_run_that_was_deleted_by_half_is_not_continued(tmp_path: Path) -> None:
    uri, folder = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "runs" / "a"
    with open_store(uri) as client:
        half = client.create_run(client.create_experiment("demo"), tags={RUN: "a", "rs.kind": "run"})
    checkpoint(folder, 1)
    Live("demo", uri, {"a": ("gaussian seed 0", folder)}).look()
    assert loss(uri) == [(1, 2.0)]
    assert "training/loss" not in everything(uri)[half.info.run_id][2]


def no_call(*_: Any) -> None:
    raise AssertionError("called")
