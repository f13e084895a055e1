from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import study_tables

from rs.errors import UserError
from rs.report import mlflow as tracking
from rs.report.mlflow import log_study
from rs.tables import reading

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A migrated database without experiments: creating one takes seconds, copying it none."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with tracking._store(f"sqlite:///{path}") as client:
        client.search_experiments()
    return path.read_bytes()


@pytest.fixture
def uri(tmp_path: Path, empty_store: bytes) -> str:
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    frames = study_tables.frames()
    keep = list(frames["runs"].run[[0, 2]])  # a run with one certificate, and one with an estimate beside it
    return study_tables.write(
        tmp_path / "tables",
        {k: f[f.run.isin(keep)].drop(columns=["noisy"], errors="ignore") for k, f in frames.items()},
    )


def everything(uri: str) -> dict[str, Any]:
    """Runs with all values of all metrics, as MLflow gives them back; deleted ones are not among them."""
    with tracking._store(uri) as client:
        experiment = client.get_experiment_by_name("demo")
        assert experiment is not None
        found = {}
        for run in client.search_runs([experiment.experiment_id]):
            metrics = {
                k: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, k)]
                for k in run.data.metrics
            }
            found[run.info.run_id] = (run.data.params, run.data.tags, metrics)
        return found


def edit(tables: Path, name: str, column: str, value: Any) -> None:
    frame = reading.read(tables, name)
    frame.loc[0, column] = value
    study_tables.write(tables, {name: frame})


def test_logs_parameters_curves_and_links(uri: str, tables: Path) -> None:
    run = reading.read(tables, "runs").run[1]
    links = {run: {"model": "results/runs/x/model.safetensors"}}
    told = log_study("demo", tables, uri, [Path("results/demo/report.html")], links)
    assert told["fragment"] == f"#/experiments/{told['experiment_id']}/runs?workflowType=machine_learning"
    params, tags, metrics = everything(uri)[told["runs"][run]]
    assert params["objective.lambda"] == "2"
    assert params["noise_level"] == "0.25"
    assert params["training.optimizer"] == "sgd"
    assert "objective.beta" not in params  # another objective's
    assert tags["rs.link.model"].endswith("model.safetensors")
    assert tags["rs.in_study"] == "true"
    assert [s for s, *_ in metrics["training/loss"]] == list(range(study_tables.EPOCHS))
    assert "training/robustness_loss" not in metrics
    certified = {s: v for s, v, _ in metrics["certified_accuracy/cohen/gaussian sigma 0.25"]}
    expected = reading.read(tables, "certified_accuracy")
    expected = expected.query("run == @run and certificate == 'cohen'")
    steps = [round(1000 * r) for r in expected.radius]
    assert certified == dict(zip(steps, expected.certified_accuracy, strict=True))
    assert len(metrics["certified_accuracy_estimate/stn/gaussian sigma 0.25"]) == len(study_tables.RADII)
    assert "average_certified_radius_estimate/stn/gaussian sigma 0.25" in metrics
    assert [s for s, *_ in metrics["empirical_accuracy/pgd_l2/gaussian sigma 0.25"]] == [
        0,
        250,
        500,
        750,
        1000,
    ]
    with tracking._store(uri) as client:
        assert (
            client.get_experiment(told["experiment_id"]).tags["rs.link.report.html"]
            == "results/demo/report.html"
        )


def test_again_changes_nothing_and_a_change_replaces_only_its_run(uri: str, tables: Path) -> None:
    first = log_study("demo", tables, uri)
    before = everything(uri)
    assert log_study("demo", tables, uri) == first | {"written": []}
    assert everything(uri) == before

    edit(tables, "certified_accuracy", "certified_accuracy", 0.125)
    changed = reading.read(tables, "certified_accuracy").run[0]
    other = next(run for run in first["runs"] if run != changed)
    second = log_study("demo", tables, uri)
    after = everything(uri)
    assert second["written"] == [changed]
    assert second["runs"][changed] != first["runs"][changed]
    assert second["runs"][other] == first["runs"][other]
    assert set(after) == set(second["runs"].values())  # the replaced run is no longer shown
    assert after[second["runs"][other]] == before[first["runs"][other]]
    curve = after[second["runs"][changed]][2]["certified_accuracy/cohen/gaussian sigma 0.25"]
    assert (0, 0.125) in [(step, value) for step, value, _ in curve]


@pytest.mark.parametrize("call", [2, 3, 4])
def test_killed_between_batches_then_logged_whole(
    uri: str, tables: Path, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    real, calls = MlflowClient.log_batch, []

    def killed(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            log_study("demo", tables, uri)
    told = log_study("demo", tables, uri)
    assert set(everything(uri)) == set(told["runs"].values())
    assert len(told["runs"]) == 2
    undisturbed = log_study("demo", tables, uri)
    assert undisturbed["written"] == []
    assert undisturbed["runs"] == told["runs"]
    assert all("rs.digest" in tags for _, tags, _ in everything(uri).values())


def test_a_run_that_left_the_study_stays_marked_and_comes_back(uri: str, tables: Path) -> None:
    first = log_study("demo", tables, uri)
    whole = reading.read(tables, "runs")
    study_tables.write(tables, {"runs": whole.iloc[:1]})
    log_study("demo", tables, uri)
    left = first["runs"][whole.run[1]]
    assert everything(uri)[left][1]["rs.in_study"] == "false"
    study_tables.write(tables, {"runs": whole})
    assert log_study("demo", tables, uri) == first | {"written": []}
    assert everything(uri)[left][1]["rs.in_study"] == "true"


def test_an_experiment_deleted_by_hand_comes_back(uri: str, tables: Path) -> None:
    first = log_study("demo", tables, uri)
    with tracking._store(uri) as client:
        client.delete_experiment(first["experiment_id"])
    second = log_study("demo", tables, uri)
    assert second["experiment_id"] == first["experiment_id"]
    assert set(everything(uri)) == set(second["runs"].values())


def test_a_study_without_results_makes_an_empty_experiment(uri: str, tmp_path: Path) -> None:
    assert log_study("demo", tmp_path / "nothing", uri)["runs"] == {}


def test_a_store_that_cannot_be_used_is_one_line(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_LOCK_SECONDS", 0.2)
    path = tmp_path / "held.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    (tmp_path / "no.db").write_bytes(b"not a database, but long enough to look at" * 100)
    for uri, reason in (
        (f"sqlite:///{path}", "locked"),
        (f"sqlite:///{tmp_path}/no.db", "not a database"),
        ("http://user:secret@127.0.0.1:1", "127.0.0.1:1"),
    ):
        with pytest.raises(UserError, match=reason) as caught:
            log_study("demo", tables, uri)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    holder.close()


def test_importing_costs_neither_mlflow_nor_torch() -> None:
    heavy = "('mlflow', 'torch', 'matplotlib')"
    code = f"import sys, rs.report.mlflow; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}).returncode == 0
