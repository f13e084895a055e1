from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import study_tables
import tracked_study
from tracked_study import NOTHING_NEW, edit, everything, of_kind

from rs.report.tracking import store
from rs.report.tracking.sources import Sources
from rs.report.tracking.store import StoreError, open_store
from rs.report.tracking.study import log_study
from rs.tables import reading

pytestmark = pytest.mark.slow


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """A study's page and a figure."""
    (tmp_path / "report.html").write_text("<p>the page</p>")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "curve.png").write_bytes(b"png")
    (tmp_path / "figures" / ".hidden").write_bytes(b"")
    return Sources("What it is.", {tmp_path / "report.html": "", tmp_path / "figures": "figures"})


def test_a_client_reads_back_numbers_parameters_and_description(uri: str, tables: Path) -> None:
    record = log_study("demo", tables, uri)
    run, single = reading.read(tables, "runs").run[1], reading.read(tables, "runs").run[0]
    params, tags, metrics = everything(uri)[record["runs"][run]]
    assert params["objective.lambda"] == "2"
    assert (params["label"], params["noise.level"], params["data.name"]) == (
        "stability-0.25",
        "0.25",
        "digits",
    )
    assert params["certificate.cohen.alpha"] == "0.001"
    assert "objective.beta" not in params  # another objective's
    expected = reading.read(tables, "certified_accuracy").query("run == @run and radius == 0.5")
    at = dict(zip(expected.certificate, expected.certified_accuracy, strict=True))
    assert [v for _, v, _ in metrics["certified_accuracy_at_0.50/cohen"]] == [at["cohen"]]
    assert [v for _, v, _ in metrics["certified_accuracy_estimate_at_0.50/stn"]] == [at["stn"]]
    assert "acr_estimate/stn" in metrics
    assert "certified_accuracy_at_0.50/stn" not in metrics  # an estimate is no certificate
    assert [s for s, *_ in metrics["curve/empirical_accuracy_by_radius_x1000"]] == [0, 250, 500, 750, 1000]
    assert [s for s, *_ in metrics["training/loss"]] == list(range(study_tables.EPOCHS))
    assert "training/robustness_loss" not in metrics
    note = tags["mlflow.note.content"]
    assert (
        f"**Certified accuracy**, cohen, ℓ₂, gaussian σ = 0.25, α = 0.001, n = 10,000, {300} images" in note
    )
    assert "stn (an estimate, no certificate)" in note
    (page,) = of_kind(everything(uri), "study")
    assert f"(#/experiments/{record['experiment_id']}/runs/{page}/artifacts/report.html?" in note
    assert "acr/cohen" in everything(uri)[record["runs"][single]][2], "one certificate, but others have two"


def test_the_saved_view_shows_noise_averages_and_accuracies(uri: str, tables: Path) -> None:
    record = log_study("demo", tables, uri)
    with open_store(uri) as client:
        tags = client.get_experiment(record["experiment_id"]).tags
        view = json.loads(tags["mlflow.sharedViewState.study"])
        assert record["fragment"].endswith("&viewStateShareKey=study")
        columns = [column.split("`")[1] for column in view["selectedColumns"]]
        assert columns[:3] == ["noise.level", "acr/cohen", "acr_estimate/stn"]
        assert columns[3].startswith("certified_accuracy_at_0.00/cohen")
        assert not [column for column in columns if "curve/" in column or "interval/" in column]
        assert view["orderByKey"] == "metrics.`acr/cohen`"
        shown = client.search_runs(
            [record["experiment_id"]], view["searchFilter"], order_by=["metrics.`acr/cohen` DESC"]
        )
    averages = [run.data.metrics["acr/cohen"] for run in shown]
    assert averages == sorted(averages, reverse=True)
    assert {run.info.run_id for run in shown} == set(record["runs"].values())


def test_again_changes_nothing_and_a_change_replaces_only_its_run(
    uri: str, tables: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    first = log_study("demo", tables, uri, sources)
    before = everything(uri)
    with monkeypatch.context() as patch:
        for writes in (
            "log_batch",
            "set_tag",
            "log_artifact",
            "create_run",
            "set_experiment_tag",
            "delete_tag",
        ):
            patch.delattr(MlflowClient, writes)
        assert log_study("demo", tables, uri, sources) == first | NOTHING_NEW
    assert everything(uri) == before

    edit(tables, "certified_accuracy", "certified_accuracy", 0.125)
    changed = reading.read(tables, "certified_accuracy").run[0]
    other = next(run for run in first["runs"] if run != changed)
    second = log_study("demo", tables, uri, sources)
    after = everything(uri)
    assert second["written"] == [changed]
    assert second["runs"][changed] != first["runs"][changed]
    assert second["runs"][other] == first["runs"][other]
    assert of_kind(after, "run") == set(second["runs"].values())  # the replaced run is no longer shown
    assert after[second["runs"][other]] == before[first["runs"][other]]
    assert after[second["runs"][changed]][2]["certified_accuracy_at_0.00/cohen"][0][1] == 0.125


def test_artifacts_of_the_study_follow_its_files(
    uri: str, tables: Path, sources: Sources, tmp_path: Path
) -> None:
    log_study("demo", tables, uri, sources)
    (study,) = of_kind(everything(uri), "study")

    def files(place: str = "") -> list[str]:
        with open_store(uri) as client:
            return [f.path for f in client.list_artifacts(study, place or None)]

    assert files() == ["figures", "report.html"]
    assert files("figures") == ["figures/curve.png"]
    (tmp_path / "figures" / "curve.png").rename(tmp_path / "figures" / "other.png")
    (tmp_path / "report.html").write_text("<p>another page</p>")
    assert log_study("demo", tables, uri, sources)["written"] == []
    assert of_kind(everything(uri), "study") == {study}, "the run of the study is mended, not doubled"
    assert files("figures") == ["figures/other.png"]
    with open_store(uri) as client:
        assert Path(client.download_artifacts(study, "report.html")).read_text() == "<p>another page</p>"


def test_a_moved_project_has_its_artifacts(
    uri: str, tables: Path, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_study("demo", tables, uri, sources)
    (study,) = of_kind(everything(uri), "study")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move("results", moved)
    monkeypatch.chdir(moved)
    with open_store(uri) as client:
        assert not Path(client.get_run(study).info.artifact_uri).is_absolute()
        assert Path(client.download_artifacts(study, "report.html")).read_text() == "<p>the page</p>"


def test_a_store_of_an_older_version_holds_no_run_twice(uri: str, tables: Path) -> None:
    """As it was: artifacts in an absolute place, another digest, curves under the headlines' names."""
    run = reading.read(tables, "runs").run[0]
    with open_store(uri) as client:
        old = client.create_experiment("demo")
        for digest in ("0123", None):  # the second was interrupted
            older = client.create_run(old, tags={"rs.run": run, **({"rs.digest": digest} if digest else {})})
            client.log_metric(
                older.info.run_id, "certified_accuracy/cohen/gaussian sigma 0.25", 0.0, step=2000
            )
        assert Path(client.get_experiment(old).artifact_location).is_absolute()
    record = log_study("demo", tables, uri)
    found = everything(uri)
    assert len(found) == 3  # two runs and the study's own
    assert not [
        key for _, _, metrics in found.values() for key in metrics if key.startswith("certified_accuracy/")
    ]
    with open_store(uri) as client:
        experiment = client.get_experiment(record["experiment_id"])
        assert experiment.experiment_id == old
        assert experiment.artifact_location == f"{uri.removeprefix('sqlite:///').removesuffix('.db')}/{old}"


@pytest.mark.parametrize("call", [2, 4, 6])
def test_killed_between_batches_then_logged_whole(
    uri: str, tables: Path, sources: Sources, call: int, monkeypatch: pytest.MonkeyPatch
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
            log_study("demo", tables, uri, sources)
    record = log_study("demo", tables, uri, sources)
    assert of_kind(everything(uri), "run") == set(record["runs"].values())
    assert len(everything(uri)) == 3
    undisturbed = log_study("demo", tables, uri, sources)
    assert undisturbed == record | NOTHING_NEW
    assert all("rs.digest" in tags for _, tags, _ in everything(uri).values())


def test_a_run_that_left_the_study_stays_marked_and_comes_back(uri: str, tmp_path: Path) -> None:
    tables = tracked_study.tables(tmp_path / "one certificate each", (0, 1))
    first = log_study("demo", tables, uri)
    whole = {name: reading.read(tables, name) for name in study_tables.NAMES}
    left = whole["runs"].run[1]
    study_tables.write(tables, {k: f[f.run != left] if len(f) else f for k, f in whole.items()})
    log_study("demo", tables, uri)
    assert everything(uri)[first["runs"][left]][1]["rs.in_study"] == "false"
    study_tables.write(tables, whole)
    assert log_study("demo", tables, uri)["runs"] == first["runs"]
    assert everything(uri)[first["runs"][left]][1]["rs.in_study"] == "true"


def test_an_experiment_deleted_by_hand_comes_back(uri: str, tables: Path) -> None:
    first = log_study("demo", tables, uri)
    with open_store(uri) as client:
        client.delete_experiment(first["experiment_id"])
    second = log_study("demo", tables, uri)
    assert second["experiment_id"] == first["experiment_id"]
    assert of_kind(everything(uri), "run") == set(second["runs"].values())


def test_verdicts_and_claims_are_tags_that_are_mended_in_place(uri: str, tables: Path) -> None:
    row = {"paper": "p", "table": "t", "label": "stability-0.25", "metric": "certified_accuracy"}
    row |= {"radius": 0.5, "printed": "0.61", "published": 0.61, "reproduced": 0.6049, "settings": None}
    agrees = {"status": "agrees", "difference": -0.005, "difference_low": -0.02, "difference_high": 0.01}
    agrees |= {"margin": 0.02, "seeds": 3, "counted": "training seeds"}
    other = {**row, "radius": 0.75, "status": "other settings", "settings": "epochs 90, not 20"}
    study_tables.write(tables, {"published": pd.DataFrame([row | agrees, other])})
    claim = {"id": "more", "claim": "More is better.", "verdict": "holds"}  # a row for each condition
    study_tables.write(tables, {"claims": pd.DataFrame([claim, claim])})
    first = log_study("demo", tables, uri)
    run = first["runs"][reading.read(tables, "runs").run[1]]
    tags = everything(uri)[run][1]
    assert (tags["verdict.agrees"], tags["verdict.other settings"]) == ("1", "1")
    note = tags["mlflow.note.content"]
    assert "| p | t | certified accuracy at 0.50 | 0.61 | 0.604 | agrees: −0.005 [−0.020, +0.010]" in note
    assert "other settings: epochs 90, not 20 |" in note
    (study,) = of_kind(everything(uri), "study")
    assert everything(uri)[study][1]["claim.more"] == "holds"
    assert "- More is better.: **holds**" in everything(uri)[study][1]["mlflow.note.content"]
    study_tables.write(tables, {"published": pd.DataFrame([row | agrees, row | agrees | {"radius": 0.75}])})
    changed = [reading.read(tables, "runs").run[1], "study demo"]
    assert log_study("demo", tables, uri) == first | {"written": [], "updated": changed}
    tags = everything(uri)[run][1]
    assert tags["verdict.agrees"] == "2"
    assert "verdict.other settings" not in tags


def test_a_study_without_results_makes_an_experiment_without_runs(uri: str, tmp_path: Path) -> None:
    assert log_study("demo", tmp_path / "nothing", uri)["runs"] == {}


def test_a_store_that_cannot_be_used_is_one_line(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_LOCK_SECONDS", 0.2)
    path = tmp_path / "held.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    (tmp_path / "no.db").write_bytes(b"not a database, but long enough to look at" * 100)
    for uri, reason in ((f"sqlite:///{path}", "locked"), (f"sqlite:///{tmp_path}/no.db", "not a database")):
        with pytest.raises(StoreError, match=reason) as caught:
            log_study("demo", tables, uri)
        assert "\n" not in str(caught.value)
    holder.close()


def test_importing_costs_neither_mlflow_nor_torch() -> None:
    heavy = "('mlflow', 'torch', 'matplotlib')"
    code = f"import sys, rs.report.tracking.study; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}).returncode == 0
