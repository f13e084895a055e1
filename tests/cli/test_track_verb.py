"""Tracking as the workflow does it: a store that is not there costs a line, and is made up for."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import sys
from pathlib import Path

import pytest
from tiny_study import TINY, Workspace, write_study

from rs.cli import tracking
from rs.cli.overview import places
from rs.cli.reasons import of_the_store
from rs.errors import UserError
from rs.machine.worker import Tee
from rs.plan import records, staleness
from rs.plan.plan import Plan
from rs.provenance.files import read_json, write_json
from rs.study.study import Study
from rs.tables.aggregate import aggregate

AWAY = "http://me:secret@127.0.0.1:1"


@pytest.fixture
def folder(workspace: Workspace, tmp_path: Path) -> Path:
    """With the tables of the tiny study, whose runs are links."""
    place = tmp_path / "project"
    (place / "results").mkdir(parents=True)
    for shared in ("runs", "data"):
        (place / "results" / shared).symlink_to(workspace.folder / "results" / shared)
    return place


def planned(uri: str) -> Plan:
    return Plan(Study([write_study(Path("study.yaml"), {**TINY, "tracking": {"uri": uri}})]))


def recorded(path: Path) -> Path:
    """As Snakemake remembers a file that it made."""
    record = records.place(path)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.touch()
    return record


def test_a_store_that_is_away_costs_a_line_and_is_made_up_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.chdir(folder):
        plan = planned(AWAY)
        aggregate(plan, plan.tables, plan.code("aggregate"))
        logged = plan.folder / "mlflow.json"
        with pytest.raises(UserError, match="cannot log"):
            tracking.track(plan)  # a person is told with an exit code
        assert not logged.exists()
        with open("log.txt", "w") as log, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", Tee(sys.stderr, log))
            tracking.track(plan)
        (line,) = Path("log.txt").read_text().splitlines()
        assert line.startswith("rs: not logged: http://127.0.0.1:1: ")
        for text in (line, logged.read_text(), places(plan)):
            assert "secret" not in text
        assert "not logged yet" in places(plan)
        with pytest.raises(UserError, match="not logged yet"):
            tracking.tracked_page(plan)
        record = recorded(logged)
        staleness.settle(plan)
        assert not record.exists()
        assert logged.stat().st_mtime == staleness.BEFORE_ALL, "Snakemake makes it again"

        back = planned("sqlite:///results/mlflow.db")
        tracking.track(back)
        record = recorded(logged)
        staleness.settle(back)
        assert record.exists()
        assert set(read_json(logged)["runs"]) == {run.id for run in back.runs}
        assert places(back).endswith("MLflow   sqlite:///results/mlflow.db")
        assert "viewStateShareKey" in tracking.tracked_page(back)


@pytest.fixture
def tracked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """In a store with a name of its own: MLflow keeps the connection of an address."""
    monkeypatch.chdir(folder)
    plan = planned(f"sqlite:///results/{folder.parent.name}.db")
    aggregate(plan, plan.tables, plan.code("aggregate"))
    (plan.folder / "report.html").write_text("<p>the page</p>")
    tracking.track(plan)
    return plan


def assert_stale(plan: Plan, why: str) -> None:
    """As `rs show`, `rs ui`, `rs status` and Snakemake have it."""
    logged = plan.folder / "mlflow.json"
    assert why in places(plan)
    with pytest.raises(UserError, match=f"^{logged}: {why}"):
        tracking.tracked_page(plan)
    assert next(of_the_store(plan)).startswith(f"stale: {logged}: {why}")
    record = recorded(logged)
    staleness.settle(plan)
    assert not record.exists()
    assert logged.stat().st_mtime == staleness.BEFORE_ALL, "Snakemake makes it again"


def test_a_lost_store_is_noticed_and_so_are_its_artifacts(
    tracked: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = tracked.study.tracking["uri"]
    file = Path(uri.removeprefix("sqlite:///"))
    assert [*of_the_store(tracked)] == []
    artifacts = file.with_suffix("") / read_json(tracked.folder / "mlflow.json")["experiment_id"]
    shutil.rmtree(artifacts)
    assert_stale(tracked, f"{artifacts}: not there, though the study was logged to it")
    tracking.track(tracked)
    assert capsys.readouterr().out == f"2 runs written, 1 run updated: {uri}\n"
    assert [*artifacts.glob("*/artifacts/report.html")]
    assert [*of_the_store(tracked)] == []
    tracking.track(tracked)
    assert capsys.readouterr().out == f"nothing new: {uri}\n"
    (tracked.folder / "report.html").write_text("<p>another page</p>")
    tracking.track(tracked)
    assert capsys.readouterr().out == f"1 run updated: {uri}\n"
    file.unlink()
    assert_stale(tracked, f"{file}: not there, though the study was logged to it")


def test_another_store_in_the_place_of_the_study_s_is_noticed(tracked: Plan) -> None:
    """Where results of two folders meet, the store of one replaces that of the other."""
    file = Path(tracked.study.tracking["uri"].removeprefix("sqlite:///"))
    record = read_json(tracked.folder / "mlflow.json")
    why = f"{file}: another store than the one that the study was logged to"
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE experiments SET name = 'theirs' WHERE name = ?", (tracked.study.name,))
    assert_stale(tracked, why)
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE experiments SET name = ? WHERE name = 'theirs'", (tracked.study.name,))
        database.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    assert [*of_the_store(tracked)] == []  # somebody's wish
    write_json(tracked.folder / "mlflow.json", {**record, "runs": dict.fromkeys(record["runs"], "0" * 32)})
    assert_stale(tracked, why)


@pytest.mark.parametrize("uri", [AWAY, "sqlite:///results/other.db"])
def test_a_study_that_was_logged_to_another_store_says_to_which(tracked: Plan, uri: str) -> None:
    shown = uri.replace("me:secret@", "")
    assert_stale(planned(uri), f"logged to {tracked.study.tracking['uri']}; run again to log to {shown}")


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ("", ""),
        ("sqlite:///results/mlflow.db", ""),
        ("sqlite:///{here}/results/mlflow.db", ""),
        (AWAY, "rs: MLFLOW_TRACKING_URI=http://127.0.0.1:1: not used; tracking.uri is {uri}\n"),
        ("mlruns", "rs: MLFLOW_TRACKING_URI=mlruns: not used; tracking.uri is {uri}\n"),
    ],
)
def test_the_store_of_the_environment_is_not_used(
    other: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = "sqlite:///results/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other.format(here=Path.cwd()))
    tracking.tell_environment(uri)
    assert capsys.readouterr().err == line.format(uri=uri)


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_a_port_that_there_is_not_is_refused(port: int) -> None:
    with pytest.raises(UserError, match=f"^ui: --port {port}: must be a whole number from 1 to 65535$"):
        tracking.check_port(port)


def test_a_port_in_use_is_refused_before_an_address_is_printed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"ui: --port {port}: address already in use; choose another one"):
            tracking.check_port(port)
    tracking.check_port(port)
