"""A store that cannot be one is refused at the plan, before any job: its address, its file, its folder."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path

import pytest
from tiny_study import write_study

from rs.errors import UserError
from rs.study.study import Study
from rs.study.tracking_place import check_place, without_password


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "not the address of an MLflow store"),
        ("results/mlflow.db", "not the address of an MLflow store; allowed: sqlite:///FILE"),
        ("sqlite", "not the address of an MLflow store"),
        ("sqlite:", "must be sqlite:///FILE"),
        ("sqlite:results.db", "must be sqlite:///FILE"),
        ("sqlite://", "must be sqlite:///FILE"),
        ("sqlite:///", "must be sqlite:///FILE"),
        ("sqlite:///results.db?mode=memory", "must be sqlite:///FILE"),
        ("sqllite:///results.db", "not the address of an MLflow store"),
        ("ftp://server", "not the address of an MLflow store"),
        ("http:", "names no server"),
        ("http://", "names no server"),
        ("http://:5000", "names no server"),
        ("http://server:port", "names no server"),
        ("http://server:0", "names no server"),
        ("http://[::1", "names no server"),
        ("https:///path", "names no server"),
        ("postgresql:///x", "names no server"),
        ("postgresql+nosuchdriver://u@server/x", "the Python package nosuchdriver is not installed"),
    ],
)
def test_an_address_that_names_no_store_is_refused_with_the_study(tiny, refusal, uri, says):
    message = refusal({**tiny, "tracking": {"uri": uri}})
    assert "tracking.uri: " in message
    assert says in message


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///a.db",
        "sqlite:////tmp/a.db",
        "http://localhost:5000",
        "https://me:word@server/path",
        "databricks",
    ],
)
def test_addresses_that_mlflow_knows_are_taken_and_no_server_is_asked(tiny, plan_of, uri, monkeypatch):
    def call(*_: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(socket.socket, "connect", call)
    check_place(plan_of({**tiny, "tracking": {"uri": uri}}).study)


def test_a_password_is_not_told(tiny, refusal):
    message = refusal({**tiny, "tracking": {"uri": "http://me:secret@server:port"}})
    assert "secret" not in message
    assert "http://server:port" in message
    for path in ("sqlite:////home/me@lab/mlflow.db", "file:///home/me@lab/mlruns"):
        assert without_password(path) == path


@pytest.fixture
def study(tmp_path, tiny):
    def make(file: Path) -> Study:
        return Study([write_study(tmp_path / "s.yaml", {**tiny, "tracking": {"uri": f"sqlite:///{file}"}})])

    return make


def test_a_database_that_is_there_or_can_be_made_is_taken(study, tmp_path):
    file = tmp_path / "new" / "folder" / "mlflow.db"
    check_place(study(file))
    assert not file.parent.parent.exists(), "nothing is made by looking"
    file = tmp_path / "is there.db"
    file.touch()
    check_place(study(file))
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE runs (id)")
    check_place(study(file))


def test_a_place_that_cannot_hold_a_database_is_refused(study, tmp_path):
    (tmp_path / "text").write_text("no database " * 100)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    for name, says in (
        ("text", "cannot be used as an MLflow store: file is not a database"),
        ("pipe", "must be a regular file"),
        ("dangling", "No such file or directory"),
        (".", "it is a folder"),
        ("text/a.db", "text is not a folder"),
        ("dangling/a.db", "dangling is not a folder"),
    ):
        with pytest.raises(UserError, match=r"tracking\.uri: ") as caught:
            check_place(study(tmp_path / name))
        assert says in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(study, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(UserError, match="no permission to write into"):
        check_place(study(tmp_path / "closed" / "a.db"))
