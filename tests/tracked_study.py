"""An MLflow store in a test's folder, and everything that it holds, as MLflow's own client reads it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import study_tables

from rs.report.tracking import store
from rs.tables import reading

ONE_CERTIFICATE, AND_AN_ESTIMATE = 0, 2  # of the made-up runs


def empty_store(path: Path) -> bytes:
    """A migrated database without experiments: creating one takes seconds, copying it none."""
    with store.open_store(f"sqlite:///{path}") as client:
        client.search_experiments()
    return path.read_bytes()


def tables(folder: Path, runs: tuple[int, ...] = (ONE_CERTIFICATE, AND_AN_ESTIMATE)) -> Path:
    frames = study_tables.frames()
    keep = list(frames["runs"].run[list(runs)])
    return study_tables.write(
        folder, {k: f[f.run.isin(keep)].drop(columns=["noisy"], errors="ignore") for k, f in frames.items()}
    )


def edit(folder: Path, name: str, column: str, value: Any, row: int = 0) -> None:
    frame = reading.read(folder, name)
    frame.loc[row, column] = value
    study_tables.write(folder, {name: frame})


def everything(uri: str, study: str = "demo") -> dict[str, Any]:
    """MLflow run id -> parameters, tags and all values of all metrics; deleted runs are not among them."""
    with store.open_store(uri) as client:
        experiment = client.get_experiment_by_name(study)
        assert experiment is not None
        found = {}
        for run in client.search_runs([experiment.experiment_id]):
            metrics = {
                k: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, k)]
                for k in run.data.metrics
            }
            found[run.info.run_id] = (run.data.params, run.data.tags, metrics)
        return found


def of_kind(found: dict[str, Any], *kinds: str) -> set[str]:
    return {run for run, (_, tags, _) in found.items() if tags.get("rs.kind") in kinds}
