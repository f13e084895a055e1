"""Curves of trainings in progress, logged by a separate process that only reads.

A training writes a checkpoint with its records after each epoch. `Live` reads new checkpoints from time to
time and appends their epochs to a run of kind ``live``. No training waits for it: a slow or missing store
delays only the curves. When the study is logged, the run with its results replaces the live one, which has no
digest.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs.errors import UserError
from rs.report.tracking.numbers import metric_key
from rs.report.tracking.present import RUN, Present, present_runs
from rs.report.tracking.store import StoreError, experiment_of, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND = "live"
STEP = "training/loss"  # logged by every training


class Live:
    """The live curves of a study's runs; `runs` maps ids to labels and folders."""

    def __init__(self, study: str, uri: str, runs: Mapping[str, tuple[str, Path]]) -> None:
        self.study, self.uri, self.runs = study, uri, runs
        self._seen: dict[Path, int] = {}  # checkpoint -> its time when it was logged
        self._begun: set[str] = set()  # runs that this process has logged

    def look(self) -> int:
        """Logs what is new; returns how many trainings have not ended. A missing store gives one line."""
        open_ones = [run for run, (_, folder) in self.runs.items() if not (folder / "model.json").is_file()]
        found = ((run, self.runs[run][1].glob("resume-*.pt")) for run in open_ones)
        newest = {run: max(paths, key=_time, default=None) for run, paths in found}
        new = {run: path for run, path in newest.items() if path and self._seen.get(path) != _time(path)}
        ended = self._begun - set(open_ones)
        if new or ended:
            try:
                with open_store(self.uri) as client:
                    self._log(client, new, ended)
            except StoreError as error:
                print(f"rs: curves are not logged yet: {error}", file=sys.stderr)
        return len(open_ones)

    def _log(self, client: MlflowClient, new: Mapping[str, Path], ended: set[str]) -> None:
        from mlflow.entities import Metric

        experiment = experiment_of(client, self.uri, self.study)
        present = present_runs(client, self.uri, experiment)
        for run, path in new.items():
            seen, rows = _time(path), _rows(path)
            there = [r for r in present.get(run, []) if _is_live(r)]
            mine = there[0].id if there else self._begin(client, experiment, run)
            history = client.get_metric_history(mine, STEP) if there else []
            done, now = max((m.step for m in history), default=-1), int(time.time() * 1000)
            metrics = [
                Metric(metric_key("training", name), float(value), now, int(row["epoch"]))
                for row in rows
                if row["epoch"] > done
                for name, value in row.items()
                if name != "epoch" and math.isfinite(value)
            ]
            for i in range(0, len(metrics), 1000):
                client.log_batch(mine, metrics=metrics[i : i + 1000])
            self._seen[path] = seen
            self._begun.add(run)
        for run in ended:
            for left in present.get(run, []):
                if _is_live(left):
                    client.set_terminated(left.id)
            self._begun.discard(run)

    def _begin(self, client: MlflowClient, experiment: str, run: str) -> str:
        label = self.runs[run][0]
        tags = {RUN: run, "rs.kind": KIND, "rs.label": label, "rs.in_study": "true"}
        tags |= {"rs.headline": "true", "mlflow.note.content": "This training is under way."}
        created = client.create_run(experiment, tags=tags, run_name=f"{label}, training")
        return str(created.info.run_id)


def _is_live(run: Present) -> bool:
    """And no run with results, whose writing or deletion may have been interrupted."""
    return run.tags.get("rs.kind") == KIND


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # the training has ended since
        return 0


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of the finished epochs; empty where the checkpoint is gone."""
    from rs.networks.checkpoints import load_resume

    with contextlib.suppress(UserError):
        return list(load_resume(path)["rows"])
    return []
