"""What was lost in a store, or deleted or restored by halves, comes back with the next logging."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracked_study import NOTHING_NEW, Study, everything, of_kind

from rs.report.tracking import present, writing
from rs.report.tracking.sources import Sources
from rs.report.tracking.store import open_store
from rs.report.tracking.study import log_study
from rs.study.tracking_place import artifact_root
from rs.tables import reading

pytestmark = pytest.mark.slow

Log = Callable[[], dict[str, Any]]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "study")


@pytest.fixture
def log(uri: str, study: Study) -> Log:
    """Logs the study, whose two runs have networks."""
    return lambda: log_study("demo", study.tables, uri, study.sources())


def change(study: Study) -> float:
    """Another number in the first run. Returns the former one."""
    rows = reading.read(study.tables, "average_certified_radius")
    study.edit("average_certified_radius", "acr", 0.125)
    return float(rows[rows.run == study.runs[0]].acr.iloc[0])


def replaced(study: Study, log: Log) -> dict[str, Any]:
    """Two more loggings: of another number, which replaces the first run, and of the former one again."""
    former = change(study)
    log()
    study.edit("average_certified_radius", "acr", former)
    return log()


def earlier(patch: pytest.MonkeyPatch) -> None:
    """Replaced runs keep their digest, as versions before left them."""
    from mlflow import MlflowClient

    patch.setattr(MlflowClient, "delete_tag", lambda *_: None)


def assert_whole(uri: str, record: dict[str, Any]) -> None:
    """One run each, with its artifacts; one model each, with its files; and nothing is left to be done."""
    runs = everything(uri)
    assert of_kind(runs, "run") == set(record["runs"].values())
    assert len(runs) == len(record["runs"]) + 1
    with open_store(uri) as client:
        models = {model.model_id for model in client.search_logged_models([record["experiment_id"]])}
        for run in record["runs"].values():
            tags = client.get_run(run).data.tags
            files = [f.path for f in client.list_artifacts(run)]
            assert files == ["model.json"]
            weights = Path(client.get_logged_model(tags[writing.MODEL]).artifact_location, "data")
            assert list(weights.rglob("model.safetensors"))
    assert models == {runs[run][1][writing.MODEL] for run in record["runs"].values()}


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "step", ["log_model_artifacts", "get_logged_model", "delete_logged_model", "delete_run"]
)
def test_a_kill_while_a_run_is_replaced(
    uri: str, study: Study, log: Log, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any of the calls that make the new model and delete the old run."""
    from mlflow import MlflowClient

    log()
    change(study)

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, killed)
        with pytest.raises(Killed):
            log()
    assert_whole(uri, log())


def test_a_run_that_was_deleted_by_half_is_not_kept(
    uri: str, study: Study, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody can look whether its model has files, and its numbers are those of now."""
    from mlflow import MlflowClient

    monkeypatch.setattr(present, "local_folder", lambda _: None)  # as of a server
    log()
    former = change(study)
    with monkeypatch.context() as patch:
        patch.delattr(MlflowClient, "delete_logged_model")
        with pytest.raises(AttributeError):
            log()
    study.edit("average_certified_radius", "acr", former)
    assert_whole(uri, log())


@pytest.mark.parametrize("version", ["now", "earlier"])
def test_an_experiment_that_was_deleted_comes_back_without_its_replaced_runs(
    uri: str, study: Study, log: Log, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow makes all its runs active again."""
    log()
    with monkeypatch.context() as patch:
        if version == "earlier":
            earlier(patch)
        record = replaced(study, log)
    with open_store(uri) as client:
        client.delete_experiment(record["experiment_id"])
    again = log()
    assert (again["runs"], again["written"]) == (record["runs"], [])
    assert_whole(uri, again)


@pytest.mark.parametrize("version", ["now", "earlier"])
def test_a_replaced_run_that_was_restored_does_not_stand_in_for_the_whole_one(
    uri: str, study: Study, log: Log, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = log()
    with monkeypatch.context() as patch:
        if version == "earlier":
            earlier(patch)
        record = replaced(study, log)
    with open_store(uri) as client:
        client.restore_run(first["runs"][study.runs[0]])
    again = log()
    assert (again["runs"], again["written"]) == (record["runs"], [])
    assert_whole(uri, again)


@pytest.mark.parametrize("loss", ["model", "tag"])
def test_a_model_that_was_deleted_is_written_again(uri: str, study: Study, log: Log, loss: str) -> None:
    record = log()
    run = record["runs"][study.runs[0]]
    with open_store(uri) as client:
        client.delete_logged_model(client.get_run(run).data.tags[writing.MODEL])
        if loss == "tag":
            client.delete_tag(run, writing.MODEL)
    again = log()
    assert again["written"] == [study.runs[0]]
    assert again["runs"][study.runs[1]] == record["runs"][study.runs[1]]
    assert_whole(uri, again)


def test_of_a_run_that_left_the_study_the_last_whole_one_stays(uri: str, log: Log) -> None:
    record = log()
    digest, model = {writing.DIGEST: "0123"}, {writing.MODEL: "m-gone"}
    with open_store(uri) as client:
        ids = []
        for tags in (digest, digest, digest | model, {}):
            run = client.create_run(record["experiment_id"], tags={present.RUN: "left", **tags})
            client.set_terminated(run.info.run_id, end_time=len(ids) + 1)
            ids.append(run.info.run_id)
    log()
    runs = everything(uri)
    assert [run for run in ids if run in runs] == [ids[1]]
    assert runs[ids[1]][1]["rs.in_study"] == "false"


def test_lost_artifacts_are_uploaded_again(uri: str, study: Study, log: Log) -> None:
    record = log()
    root = artifact_root(uri)
    assert root
    shutil.rmtree(root)
    again = log()
    assert again["written"] == study.runs, "their models are gone, too"
    assert_whole(uri, again)
    with open_store(uri) as client:
        uploaded = Path(client.get_run(again["runs"][study.runs[0]]).info.artifact_uri, "model.json")
    uploaded.unlink()
    assert log() == again | {"written": [], "updated": [study.runs[0]]}
    assert_whole(uri, again)
    assert log() == again | NOTHING_NEW
    assert record["experiment_id"] == again["experiment_id"]


def test_an_upload_that_was_interrupted_is_done_again(
    uri: str, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody can look whether files are lost, and they have their former content again."""
    from mlflow import MlflowClient

    monkeypatch.setattr(writing, "local_folder", lambda _: None)  # as of a server
    page = tmp_path / "report.html"
    sources = Sources(artifacts={page: ""})
    page.write_text("one")
    log_study("demo", study.tables, uri, sources)
    with monkeypatch.context() as patch:
        patch.delattr(MlflowClient, "log_artifact")
        page.write_text("another")
        with pytest.raises(AttributeError):
            log_study("demo", study.tables, uri, sources)
    page.write_text("one")
    assert log_study("demo", study.tables, uri, sources)["updated"] == ["study demo"]
    (own,) = of_kind(everything(uri), "study")
    with open_store(uri) as client:
        assert Path(client.download_artifacts(own, "report.html")).read_text() == "one"


def test_models_are_the_same_by_the_query_and_by_the_client(uri: str, study: Study, log: Log) -> None:
    record = log()
    with open_store(uri) as client:
        tags = {key: client.get_run(run).data.tags for key, run in record["runs"].items()}
        client.delete_logged_model(tags[study.runs[0]][writing.MODEL])
        queried, searched = (
            present.present_models(client, address, record["experiment_id"])
            for address in (uri, "http://server")
        )
    assert queried == searched == {tags[study.runs[1]][writing.MODEL]}


@pytest.mark.parametrize(
    ("place", "folder"),
    [
        ("results/mlflow/1/a/artifacts", "results/mlflow/1/a/artifacts"),
        ("file:///a%20b/c", "/a b/c"),
        ("mlflow-artifacts:/1/a/artifacts", None),
        ("s3://bucket/1", None),
    ],
)
def test_which_artifacts_lie_here(place: str, folder: str | None) -> None:
    assert present.local_folder(place) == (folder and Path(folder))
