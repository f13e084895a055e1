"""What a logging finds in the store: the same by its own query as by MLflow's search, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tracked_study import NOTHING_NEW, everything, of_kind

from rs.report.tracking import present, writing
from rs.report.tracking.present import present_experiment, present_runs
from rs.report.tracking.store import open_store
from rs.report.tracking.study import log_study
from rs.tables import reading

pytestmark = pytest.mark.slow


def ways(uri: str, experiment: str) -> list[Any]:
    """By the query, and by MLflow's search, which is what another store is asked."""
    with open_store(uri) as client:
        return [present_runs(client, address, experiment) for address in (uri, "http://server")]


def test_the_query_finds_what_the_search_finds(uri: str, tables: Path) -> None:
    record = log_study("demo", tables, uri)
    with open_store(uri) as client:
        elsewhere = client.create_experiment("another")
        for experiment in (record["experiment_id"], elsewhere):
            for key in ("twice", "twice", "deleted"):
                run = client.create_run(experiment, 1000, {"rs.run": key, "a": "ü\n'\""}).info.run_id
                if key == "deleted":
                    client.delete_run(run)
            client.create_run(experiment, tags={"not": "ours"})
    found, searched = ways(uri, record["experiment_id"])
    assert found == searched
    assert [*found] == [*searched], "in the same order"
    assert found.keys() == {"study demo", "twice", *reading.read(tables, "runs").run}
    assert len(found["twice"]) == 2
    assert found["twice"][0].tags["a"] == "ü\n'\""
    with open_store(uri) as client:
        for runs in found.values():
            for run in runs:
                assert run.artifacts == client.get_run(run.id).info.artifact_uri


def test_a_store_of_another_layout_is_searched(
    uri: str, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = log_study("demo", tables, uri)
    found = ways(uri, record["experiment_id"])[0]
    monkeypatch.setattr(present, "_QUERY", "SELECT run FROM nowhere WHERE experiment = ?")
    monkeypatch.setattr(present, "_EXPERIMENT", "SELECT id FROM nowhere WHERE name = ?")
    assert ways(uri, record["experiment_id"])[0] == found
    assert log_study("demo", tables, uri) == record | NOTHING_NEW


def test_an_experiment_is_the_same_by_the_query_and_by_the_client(uri: str, tables: Path) -> None:
    record = log_study("demo", tables, uri)
    with open_store(uri) as client:
        client.delete_experiment(client.create_experiment("gone", tags={"a": "ü"}))
        for name in ("demo", "gone", "nowhere"):
            queried, searched = (
                present_experiment(client, address, name) for address in (uri, "http://server")
            )
            assert queried == searched
        assert (gone := present_experiment(client, uri, "gone"))
        assert gone.deleted
        assert gone.tags == {"a": "ü"}
        assert (demo := present_experiment(client, uri, "demo"))
        assert (demo.id, demo.deleted) == (record["experiment_id"], False)


LOGS_AGAIN = """
import sys
from pathlib import Path
from rs.report.tracking.study import log_study
record = log_study("demo", Path(sys.argv[1]), sys.argv[2])
print(record["written"], "mlflow" in sys.modules)
"""


def test_a_logging_with_nothing_new_does_not_load_mlflow(uri: str, tables: Path) -> None:
    record = log_study("demo", tables, uri)
    command = [sys.executable, "-c", LOGS_AGAIN, str(tables), uri]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[] False\n"
    with open_store(uri) as client:
        client.delete_run(run := record["runs"][(first := next(iter(record["runs"])))])
    again = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert again == f"['{first}'] True\n"
    assert run not in everything(uri)


def test_the_second_logging_asks_for_no_run_by_itself(
    uri: str, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of runs are looked at in one query."""
    from mlflow import MlflowClient

    record = log_study("demo", tables, uri)
    for costly in ("search_runs", "get_run", "get_metric_history", "list_artifacts"):
        monkeypatch.delattr(MlflowClient, costly)
    assert log_study("demo", tables, uri) == record | NOTHING_NEW


@pytest.mark.parametrize("restored", [False, True])
def test_what_somebody_deletes_in_the_ui_is_written_again(uri: str, tables: Path, restored: bool) -> None:
    record = log_study("demo", tables, uri)
    one, other = record["runs"]
    (study,) = of_kind(everything(uri), "study")
    with open_store(uri) as client:
        for run in (record["runs"][one], study):
            client.delete_run(run)
    again = log_study("demo", tables, uri)
    assert again["written"] == [one]
    assert again["runs"][one] != record["runs"][one]
    assert again["runs"][other] == record["runs"][other]
    found = everything(uri)
    assert len(found) == 3
    (page,) = of_kind(found, "study")
    assert f"/runs/{page}/" in found[record["runs"][other]][1]["mlflow.note.content"], "links follow"
    if restored:  # then it is there twice: the number of runs alone would not have told
        with open_store(uri) as client:
            client.restore_run(record["runs"][one])
            client.delete_run(record["runs"][other])
        last = log_study("demo", tables, uri)
        assert of_kind(everything(uri), "run") == set(last["runs"].values())
        assert len(everything(uri)) == 3


def test_what_somebody_edits_in_the_ui_is_mended(uri: str, tables: Path) -> None:
    record = log_study("demo", tables, uri)
    before = everything(uri)
    run = next(iter(record["runs"].values()))
    with open_store(uri) as client:
        client.set_tag(run, writing.NOTE, "mine")
        client.set_tag(run, "verdict.agrees", "100")
        client.delete_tag(run, "rs.in_study")
    edited = next(iter(record["runs"]))
    assert log_study("demo", tables, uri) == record | {"written": [], "updated": [edited]}
    assert everything(uri) == before


def test_another_store_is_no_second_logging(uri: str, tables: Path, empty_store: bytes) -> None:
    record = log_study("demo", tables, uri)
    Path("results/other.db").write_bytes(empty_store)
    other = log_study("demo", tables, "sqlite:///results/other.db")
    assert other["written"] == [*record["runs"]] == record["written"]
    assert len(everything("sqlite:///results/other.db")) == 3


def test_a_logging_without_its_last_tag_is_done_again(uri: str, tables: Path) -> None:
    """The digest is set last: a run without one may lack anything."""
    record = log_study("demo", tables, uri)
    run = next(iter(record["runs"]))
    with open_store(uri) as client:
        client.delete_tag(record["runs"][run], writing.DIGEST)
    again = log_study("demo", tables, uri)
    assert again["written"] == [run]
    assert of_kind(everything(uri), "run") == set(again["runs"].values())
