"""An MLflow store in a test's folder, everything that it holds, as MLflow's own client reads it back, and a
study with the files of its runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import study_tables

from rs.provenance.files import write_json, write_table
from rs.report.tracking import store
from rs.report.tracking.records import Record, records
from rs.report.tracking.sources import RunFiles, Sources
from rs.tables import reading

ONE_CERTIFICATE, AND_AN_ESTIMATE = 0, 2  # of the made-up runs
NOTHING_NEW: dict[str, list[str]] = {"written": [], "updated": []}  # of what a logging returns
FORM = {"precision": "float32", "batch": 8}
SPEC = {"noise": {"name": "gaussian", "sigma": 0.5}, "seed": 0, "block": 1000}


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


class Study:
    """The tables and files of two runs with one data set."""

    def __init__(self, folder: Path) -> None:
        self.folder, whole = folder, study_tables.frames()
        self.runs = list(whole["runs"].run[:2])
        kept = {
            k: f[f.run.isin(self.runs)].drop(columns=["noisy"], errors="ignore") for k, f in whole.items()
        }
        self.tables = study_tables.write(folder / "tables", kept)
        self.data = folder / "data/manifest.json"
        self.prepare("0" * 64)
        for run in self.runs:
            self.train(run, "1" * 64)
            self.certify(run, {"spec": SPEC, "form": FORM})

    def prepare(self, sha256: str) -> None:
        splits = {s: {"file": f"{s}.safetensors", "sha256": sha256, "images": 5} for s in ("train", "test")}
        manifest = {"name": "digits", "shape": [1, 8, 8], "classes": 10, "mean": [0.0], "std": [1.0]}
        write_json(
            self.data, manifest | {"splits": splits, "provenance": {"spec": {"data": {"name": "digits"}}}}
        )

    def train(self, run: str, sha256: str) -> None:
        provenance = {"spec": {}, "versions": {}}
        model = self.folder / "runs" / run / "model.json"
        write_json(model, {"sha256": sha256, "run": run, "classes": 10, "provenance": provenance})
        model.with_suffix(".safetensors").write_bytes(b"weights")

    def certify(self, run: str, provenance: dict[str, Any]) -> None:
        rows = pa.Table.from_pandas(pd.DataFrame({"radius": [0.5]}))
        write_table(self.folder / "runs" / run / "certified.parquet", rows, provenance)

    def edit(self, name: str, column: str, value: Any) -> None:
        frame = reading.read(self.tables, name)
        frame.loc[frame.run == self.runs[0], column] = value
        study_tables.write(self.tables, {name: frame})

    def sources(self) -> Sources:
        folders = {run: self.folder / "runs" / run for run in self.runs}
        files = {
            run: RunFiles(at / "model.json", self.data, (at / "certified.parquet",))
            for run, at in folders.items()
        }
        return Sources(runs=files)

    def records(self) -> list[Record]:
        return records(self.tables, self.sources())
