"""Whether a study's MLflow store has it, by its ``mlflow.json`` and the places that this names. No MLflow.

No store is asked. So what somebody deleted in the UI is noticed only by the next logging.
"""

from __future__ import annotations

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
    return ""


def _lost(uri: str, record: dict[str, Any]) -> Path | None:
    """The file of a SQLite store, or the folder with the study's artifacts, if it is not there."""
    file, root = sqlite_file(uri), artifact_root(uri)
    if file is None or root is None:
        return None
    experiment = record.get("experiment_id")
    places = [file, *([root / experiment] if isinstance(experiment, str) else [])]
    return next((place for place in places if not place.exists()), None)
