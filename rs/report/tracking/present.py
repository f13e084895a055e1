"""The existing runs of an experiment, with which a logging compares itself.

A run's tags are all that is needed. MLflow's search also reads every metric and parameter, which takes
seconds for hundreds of runs. So the tags of a SQLite store are read directly. Other stores, and SQLite stores
of another layout, are searched.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rs.study.tracking_place import sqlite_file

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN = "rs.run"  # the tag with a record's key
_QUERY = """
SELECT run_uuid, artifact_uri, tags.key, tags.value FROM runs JOIN tags USING (run_uuid)
WHERE experiment_id = ? AND lifecycle_stage = 'active' ORDER BY start_time, run_uuid
"""


@dataclass(frozen=True)
class Present:
    """An MLflow run that is not deleted: its id, the place of its artifacts, its tags."""

    id: str
    artifacts: str
    tags: Mapping[str, str]


def present_runs(client: MlflowClient, uri: str, experiment: str) -> dict[str, list[Present]]:
    """All runs that are not deleted, by their tag ``rs.run``, oldest first."""
    found: dict[str, list[Present]] = {}
    for run in _from_sqlite(uri, experiment) or _searched(client, experiment):
        if RUN in run.tags:
            found.setdefault(run.tags[RUN], []).append(run)
    return found


def _from_sqlite(uri: str, experiment: str) -> list[Present]:
    """The runs of a SQLite store. Empty where the store is no SQLite file, or has an unknown layout."""
    file, told = sqlite_file(uri), list[tuple[str, str, str, str]]()
    if file:
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(file)) as db:
            told = db.execute(_QUERY, (int(experiment),)).fetchall()
    tags: dict[tuple[str, str], dict[str, str]] = {}
    for run, artifacts, key, value in told:
        tags.setdefault((run, artifacts), {})[key] = value
    return [Present(run, artifacts, mine) for (run, artifacts), mine in tags.items()]


def _searched(client: MlflowClient, experiment: str) -> Iterator[Present]:
    token = None
    while True:
        page = client.search_runs(
            [experiment], max_results=1000, order_by=["start_time ASC"], page_token=token
        )
        yield from (Present(run.info.run_id, run.info.artifact_uri, run.data.tags) for run in page)
        token = page.token
        if not token:
            return
