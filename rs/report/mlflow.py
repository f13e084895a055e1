"""A study's results in MLflow: one experiment per study, one run per training, however often it is logged.

A run is found again by its tag ``rs.run``; its tag ``rs.digest`` covers everything that is logged and is
set last, so a run without it was interrupted. MLflow can neither change nor remove a logged metric: changed
results become a new run, and the one they replace is marked deleted (``mlflow gc`` frees its space). Runs
that the study no longer names stay for comparison, with the tag ``rs.in_study`` = false.

Metrics (radii are steps in thousandths: radius 0.25 is step 250, since MLflow's steps are integers)::

    training/<column>                                    per epoch
    certified_accuracy/<certificate>/<smoothing>         per radius
    average_certified_radius/<certificate>/<smoothing>   with .../low and .../high
    empirical_accuracy/<attack>/<smoothing>              per radius

The second and third are called ``..._estimate`` for a certificate that is not rigorous.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from rs.errors import UserError
from rs.provenance.digests import digest
from rs.provenance.files import cannot_write
from rs.report.metric_keys import metric_key
from rs.tables.reading import read

if TYPE_CHECKING:
    from mlflow import MlflowClient

# One request per batch; MLflow takes at most 1,000 metrics, 100 parameters and 100 tags in one.
_METRICS, _PARAMS, _TAGS = 1000, 100, 90

_LOCK_SECONDS = 20.0

_SUMMARY = ("dataset", "model", "objective", "noise", "noise_level", "seed", "epochs", "precision", "device")


@dataclass
class _Record:
    """What one MLflow run holds. A metric is (key, value, step, seconds after the start)."""

    run: str
    name: str
    seconds: float
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int, float]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, value: Any, step: int = 0, after: float | None = None) -> None:
        if isinstance(value, (int, float)) and math.isfinite(value):
            self.metrics.append((key, float(value), step, self.seconds if after is None else after))

    def digest(self) -> str:
        return digest([self.name, self.params, self.metrics, self.tags], 16)


def _rows(frame: pd.DataFrame, run: str) -> list[dict[str, Any]]:
    if frame.empty:
        return []
    return [{str(k): v for k, v in row.items()} for row in frame[frame["run"] == run].to_dict("records")]


def _records(tables: Path, links: Mapping[str, Mapping[str, str]]) -> list[_Record]:
    runs, training = read(tables, "runs"), read(tables, "training")
    certified, average = read(tables, "certified_accuracy"), read(tables, "average_certified_radius")
    empirical = read(tables, "empirical_accuracy")
    records = []
    for row in [] if runs.empty else runs.to_dict("records"):
        run = str(row["run"])
        seconds = row.get("train_seconds")
        name = f"{row.get('label', run)} seed {row.get('seed', 0)}"
        record = _Record(run, name, float(seconds) if pd.notna(seconds) else 0.0)
        taken: dict[str, tuple[str, ...]] = {}
        for column, value in row.items():
            named = str(column).startswith(("model.", "objective.", "noise.", "training.", "resolved."))
            if (named or column in _SUMMARY) and pd.notna(value):
                whole = isinstance(value, float) and value.is_integer()
                record.params[metric_key(str(column))] = str(int(value) if whole else value)
        for column in ("train_seconds", "train_accuracy"):
            record.add(column, row.get(column))
        after = 0.0
        for epoch in sorted(_rows(training, run), key=lambda r: r["epoch"]):
            after += epoch["seconds"] if pd.notna(epoch.get("seconds")) else 0.0
            for column in [c for c in epoch if c not in ("run", "label", "epoch")]:
                record.add(metric_key("training", column), epoch[column], int(epoch["epoch"]), after)
        for r in _rows(certified, run):
            kind = "certified_accuracy" if r["rigorous"] else "certified_accuracy_estimate"
            key = metric_key(kind, r["certificate"], r["smoothing"], taken=taken)
            record.add(key, r["certified_accuracy"], round(1000 * r["radius"]))
        for r in _rows(average, run):
            kind = "average_certified_radius" if r["rigorous"] else "average_certified_radius_estimate"
            key = metric_key(kind, r["certificate"], r["smoothing"], taken=taken)
            for name, column in ((key, "acr"), (f"{key}/low", "low"), (f"{key}/high", "high")):
                record.add(name, r[column])
        for r in _rows(empirical, run):
            key = metric_key("empirical_accuracy", r["attack"], r["smoothing"], taken=taken)
            record.add(key, r["accuracy"], round(1000 * r["radius"]))
        record.tags = {
            "rs.run": run,
            "rs.label": str(row.get("label", run)),
            **_link_tags(links.get(run, {})),
        }
        records.append(record)
    return records


def _link_tags(links: Mapping[str, str]) -> dict[str, str]:
    """Each link as a tag, and all of them as the note that MLflow shows on top."""
    tags = {f"rs.link.{name}": str(path) for name, path in sorted(links.items())}
    if tags:
        tags["mlflow.note.content"] = "\n".join(f"- {name}: `{path}`" for name, path in sorted(links.items()))
    return tags


@contextlib.contextmanager
def _store(uri: str) -> Iterator[MlflowClient]:
    """A client. What keeps the store from being read or written becomes one line; SQLite has one writer."""
    # set before mlflow is imported: no telemetry, no list of migrations, an absent server found so in seconds
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_LOGGING_LEVEL", "WARNING"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"),
    ):
        os.environ.setdefault(name, value)
    try:
        if uri.startswith("sqlite:"):
            with _only_writer(Path(uri.removeprefix("sqlite:").removeprefix("///"))):
                from mlflow import MlflowClient

                yield MlflowClient(tracking_uri=uri)
        else:
            from mlflow import MlflowClient

            yield MlflowClient(tracking_uri=uri)
    except UserError:
        raise
    except Exception as error:
        # the store's own errors are of many libraries; anything else is a fault here and keeps its traceback
        if not (isinstance(error, OSError) or type(error).__module__.startswith(("mlflow", "sqlalchemy"))):
            raise
        reason = " ".join(str(error).split())[:300]
        message = f"{uri}: cannot log to this MLflow store: {reason}"
        raise UserError(re.sub(r"//[^/@\s]*@", "//", message)) from error  # without credentials


@contextlib.contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Waits for other writers of this project, since processes that create one database at once break it."""
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
                    raise UserError(
                        f"{path}: another process is logging to it; run again when it is done"
                    ) from error
                time.sleep(0.1)
        # a lock held by a foreign program, or a file that is no database, costs mlflow a minute of retries
        try:
            probe = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
            with contextlib.closing(probe):
                probe.execute("BEGIN IMMEDIATE")
                probe.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise UserError(f"{path}: cannot be used as an MLflow store: {error}") from error
        yield


def _experiment(client: MlflowClient, study: str, tags: Mapping[str, str]) -> str:
    # the kind opens MLflow's page on the runs and their curves instead of its page for language models
    tags = {"mlflow.experimentKind": "custom_model_development", **tags}
    found = client.get_experiment_by_name(study)
    if found is None:
        return client.create_experiment(study, tags=tags)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    for key, value in tags.items():
        if found.tags.get(key) != value:
            client.set_experiment_tag(found.experiment_id, key, value)
    return found.experiment_id


def _write(client: MlflowClient, experiment: str, record: _Record) -> str:
    """A new MLflow run that holds the record, its digest last. It lasts as long as the training."""
    from mlflow.entities import Metric, Param, RunTag

    end = int(time.time() * 1000)
    start = end - int(record.seconds * 1000)
    created = client.create_run(
        experiment, start_time=start, run_name=record.name, tags={"rs.run": record.run}
    )
    run = created.info.run_id
    metrics = [Metric(k, v, start + int(after * 1000), step) for k, v, step, after in record.metrics]
    params = [Param(k, v) for k, v in record.params.items()]
    tags = [RunTag(k, v) for k, v in record.tags.items()]
    for i in range(0, len(params), _PARAMS):
        client.log_batch(run, params=params[i : i + _PARAMS])
    for i in range(0, len(tags), _TAGS):
        client.log_batch(run, tags=tags[i : i + _TAGS])
    for i in range(0, len(metrics), _METRICS):
        client.log_batch(run, metrics=metrics[i : i + _METRICS])
    client.set_terminated(run, end_time=end)
    client.log_batch(run, tags=[RunTag("rs.in_study", "true"), RunTag("rs.digest", record.digest())])
    return run


def _active(client: MlflowClient, experiment: str) -> dict[str, list[Any]]:
    """Every run that is not deleted, by its tag ``rs.run``, oldest first."""
    found: dict[str, list[Any]] = {}
    token = None
    while True:
        page = client.search_runs(
            [experiment], max_results=1000, order_by=["start_time ASC"], page_token=token
        )
        for run in page:
            if "rs.run" in run.data.tags:
                found.setdefault(run.data.tags["rs.run"], []).append(run)
        token = page.token
        if not token:
            return found


def log_study(
    study: str,
    tables: Path,
    tracking_uri: str,
    artifacts: Sequence[Path] = (),
    links: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Brings the experiment `study` in line with ``<tables>/*.parquet``; what is already there is left alone.

    `artifacts`: files and folders of the study (report, tables), the experiment's tags ``rs.link.<name>``;
    `links`: those of each run, run id -> name -> path or address, as tags of its MLflow run. `tracking_uri`:
    ``sqlite:///results/mlflow.db`` or a server. Returns ``experiment_id``, ``uri``, ``fragment`` (of the UI's
    address: the page with the runs), ``runs`` (run id -> MLflow run id) and ``written`` (the run ids that
    were new or changed). Raises UserError for a store that is locked, unreachable or no store.
    """
    records = _records(tables, links or {})
    with _store(tracking_uri) as client:
        experiment = _experiment(client, study, _link_tags({p.name: str(p) for p in artifacts}))
        present, runs, written = _active(client, experiment), {}, []
        for record in records:
            same: list[Any] = []
            superseded: list[Any] = []
            for run in present.pop(record.run, []):
                (same if run.data.tags.get("rs.digest") == record.digest() else superseded).append(run)
            if same:
                runs[record.run] = same[0].info.run_id
                if same[0].data.tags.get("rs.in_study") != "true":
                    client.set_tag(runs[record.run], "rs.in_study", "true")
            else:
                runs[record.run] = _write(client, experiment, record)
                written.append(record.run)
            for run in superseded + same[1:]:
                client.delete_run(run.info.run_id)
        for left in [run for others in present.values() for run in others]:
            if "rs.digest" not in left.data.tags:
                client.delete_run(left.info.run_id)
            elif left.data.tags.get("rs.in_study") != "false":
                client.set_tag(left.info.run_id, "rs.in_study", "false")
    return {
        "experiment_id": experiment,
        "uri": tracking_uri,
        "fragment": f"#/experiments/{experiment}/runs?workflowType=machine_learning",
        "runs": runs,
        "written": written,
    }
