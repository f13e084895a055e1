"""The store that a study is logged to: a SQLite file beside the results, or a server.

A SQLite store has one writer at a time. Its experiments keep their artifacts in a folder beside it
(``results/mlflow/`` of ``results/mlflow.db``) under a relative path, which MLflow itself would make absolute.
So a project's folder can be moved or sent, and artifacts are found in the new place. A server decides itself
where it keeps artifacts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rs.errors import UserError
from rs.provenance.files import cannot_write
from rs.report.tracking.present import present_experiment
from rs.study.tracking_place import artifact_root, sqlite_file

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOCK_SECONDS = 20.0
# set before mlflow is imported: no telemetry, no list of migrations, an absent server found within seconds
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class StoreError(UserError):
    """The store cannot be read or written now: locked, unreachable, access refused, or not a store."""


class _LazyClient:
    """MLflow's client, made when it is first asked for anything. MLflow and its SQL store take a second and
    a half to load, which a logging with nothing new saves.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client: MlflowClient | None = None

    def __getattr__(self, name: str) -> Any:
        if self._client is None:
            if not os.path.isabs(os.path.expanduser("~")):
                raise StoreError("MLflow needs a home folder, and this user has none; set HOME to a folder")
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=self._uri)
        return getattr(self._client, name)


@contextlib.contextmanager
def open_store(uri: str) -> Iterator[MlflowClient]:
    """A client. Whatever prevents reading or writing the store becomes one line, a StoreError."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    file = sqlite_file(uri)
    try:
        with _only_writer(file) if file else contextlib.nullcontext():
            yield cast("MlflowClient", _LazyClient(uri))
    except UserError:
        raise
    except Exception as error:
        # the store's own errors come from many libraries; any other error is a fault here and keeps its
        # traceback
        known = type(error).__module__.startswith(("mlflow", "sqlalchemy", "requests", "urllib3"))
        if not (isinstance(error, OSError) or known):
            raise
        reason = " ".join(str(error).split())[:300]
        if re.search(r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout", reason):
            reason = "it does not answer"
        message = f"{uri}: cannot log to this MLflow store: {reason}"
        raise StoreError(re.sub(r"//[^/@\s]*@", "//", message)) from error  # without credentials


@contextlib.contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Waits for other writers of this project: creating one database at the same time breaks it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path.with_name(f".{path.name}.lock"), "w")  # noqa: SIM115
    except OSError as error:
        raise cannot_write(path, error) from error
    with lock:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"{path}: another process is logging to it; run again when it is done"
                    ) from error
                time.sleep(0.1)
        # a lock held by another program, or a file that is no database, costs mlflow a minute of retries
        try:
            probe = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
            with contextlib.closing(probe):
                probe.execute("BEGIN IMMEDIATE")
                probe.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be used as an MLflow store: {error}") from error
        yield


def experiment_of(client: MlflowClient, uri: str, study: str) -> str:
    """The experiment of this name, created or restored if need be, with its artifacts in place."""
    experiment = present_experiment(client, uri, study)
    if experiment is None:
        client.create_experiment(study)
        experiment = present_experiment(client, uri, study)
        assert experiment is not None
    elif experiment.deleted:
        client.restore_experiment(experiment.id)
    file, root = sqlite_file(uri), artifact_root(uri)
    if file and root and experiment.artifacts != (place := str(root / experiment.id)):
        # MLflow has no call for this: it makes a given path absolute
        with contextlib.closing(sqlite3.connect(file)) as database, database:
            values = (place, int(experiment.id))
            database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", values)
    return experiment.id


def set_experiment_tags(client: MlflowClient, uri: str, study: str, tags: Mapping[str, str]) -> None:
    """Writes tags that differ."""
    present = present_experiment(client, uri, study)
    assert present is not None
    for key, value in tags.items():
        if present.tags.get(key) != value:
            client.set_experiment_tag(present.id, key, value)
