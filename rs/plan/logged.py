"""Whether a study's MLflow store has it, by its ``mlflow.json`` and the places that this names. No MLflow.

No server is asked, and a SQLite file only whether it is the store that the study was logged to: where results
of two folders meet, one store replaces the other, or meets the ``mlflow.json`` of the other. What somebody
deleted in the UI is noticed only by the next logging.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from rs.plan.plan import Plan
from rs.provenance.files import read_json
from rs.study.tracking_place import artifact_root, sqlite_file, without_password

NOT_LOGGED = "not_logged"  # key in mlflow.json: why the store did not take the study


def record_file(plan: Plan) -> Path:
    return plan.folder / "mlflow.json"


def unlogged(plan: Plan) -> str:
    """Why the study is to be logged again; empty if it is in its store, or nothing has logged it yet. Raises
    UserError for a damaged file.
    """
    path = record_file(plan)
    record = read_json(path) if path.is_file() else {}
    if not isinstance(record, dict):
        return ""
    uri = plan.study.tracking["uri"]
    here = without_password(uri)
    if NOT_LOGGED in record:
        return f"not logged yet: {record[NOT_LOGGED]}; run the study again"
    if (there := record.get("uri", here)) != here:
        return f"logged to {there}; run again to log to {here}"
    if record and (lost := _lost(uri, record)):
        return f"{lost}: not there, though the study was logged to it; run the study again"
    if (file := sqlite_file(uri)) and record and not _knows(file, plan.study.name, record):
        return f"{file}: another store than the one that the study was logged to; run the study again"
    return ""


def _lost(uri: str, record: dict[str, Any]) -> Path | None:
    """The file of a SQLite store, or the folder with the study's artifacts, if it is not there."""
    file, root = sqlite_file(uri), artifact_root(uri)
    if file is None or root is None:
        return None
    experiment = record.get("experiment_id")
    places = [file, *([root / experiment] if isinstance(experiment, str) else [])]
    return next((place for place in places if not place.exists()), None)


def _knows(file: Path, study: str, record: dict[str, Any]) -> bool:
    """Whether the store has the experiment that `record` names, as the study's, and one of its runs, deleted
    or not. True where the file cannot be asked: the logging itself says why.
    """
    experiment, runs = record.get("experiment_id"), record.get("runs")
    if not isinstance(experiment, str) or not isinstance(runs, dict):
        return True
    with contextlib.suppress(sqlite3.Error):
        database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)
        with contextlib.closing(database):
            named = database.execute("SELECT name FROM experiments WHERE experiment_id = ?", (experiment,))
            if named.fetchone() != (study,):
                return False
            among = "SELECT COUNT(*) FROM runs WHERE run_uuid IN (SELECT value FROM json_each(?))"
            (present,) = database.execute(among, (json.dumps([*runs.values()]),)).fetchone()
            return not runs or present > 0
    return True
