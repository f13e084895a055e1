"""Writes one MLflow run, or makes an existing one agree with its record.

MLflow can neither change nor remove a metric, a parameter or an input that was logged. Where those differ
(`Record.digest`, kept as the tag ``rs.digest``, which is set last), the run is written anew, and the old one
is deleted with its artifacts. Names, tags, description and artifacts are changed in place.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rs.provenance.digests import digest, file_digest
from rs.report.tracking.networks import NAME, model_folder
from rs.report.tracking.present import RUN, Present
from rs.report.tracking.records import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

# One request per batch; MLflow takes at most 1,000 metrics, 100 parameters and 100 tags in one.
_METRICS, _PARAMS, _TAGS = 1000, 100, 90

DIGEST, MODEL, ARTIFACTS = "rs.digest", "rs.model", "rs.artifacts"
NOTE, NAMED, PARENT = "mlflow.note.content", "mlflow.runName", "mlflow.parentRunId"
OURS = ("rs.", "verdict.", "claim.")  # tags that the next logging may remove
KEPT = (RUN, DIGEST, MODEL, ARTIFACTS)  # those among them that do not come from a record
LONGEST_NOTE = 7500  # characters; MLflow takes 8,000


def write(client: MlflowClient, experiment: str, record: Record) -> Present:
    """A new MLflow run with the fixed content of the record. Its duration is that of the training."""
    from mlflow.entities import Metric, Param, RunTag

    end = int(time.time() * 1000)
    start = end - int(record.seconds * 1000)
    created = client.create_run(experiment, start, {RUN: record.key}, record.name)
    run = created.info.run_id
    params = [Param(k, v) for k, v in record.params.items()]
    metrics = [Metric(k, v, start + int(after * 1000), step) for k, v, step, after in record.metrics]
    for i in range(0, len(params), _PARAMS):
        client.log_batch(run, params=params[i : i + _PARAMS])
    for i in range(0, len(metrics), _METRICS):
        client.log_batch(run, metrics=metrics[i : i + _METRICS])
    _log_inputs(client, run, record)
    tags = {DIGEST: record.digest}
    if record.network:
        tags[MODEL] = _log_network(client, experiment, run, record)
    client.set_terminated(run, end_time=end)
    client.log_batch(run, tags=[RunTag(k, v) for k, v in sorted(tags.items(), reverse=True)])
    return Present(run, created.info.artifact_uri, {**created.data.tags, **tags})


def _log_inputs(client: MlflowClient, run: str, record: Record) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(i.name, i.digest, "local", i.source, profile=i.profile),
            [InputTag("mlflow.data.context", i.context)],
        )
        for i in record.inputs
    ]
    if inputs:
        client.log_inputs(run, inputs)


def _log_network(client: MlflowClient, experiment: str, run: str, record: Record) -> str:
    """Logs the network as a model of its own, the run's output. Returns its id."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    assert record.network
    parameters = {f"form.{k}": str(v) for k, v in record.network.voting["form"].items()}
    parameters |= {"noise": str(record.network.voting["noise"]), "weights": record.network.voting["weights"]}
    name = re.sub(r"[^\w \-]+", " ", record.name).strip() or NAME
    model = client.create_logged_model(experiment, name, run, params=parameters)
    with model_folder(record.network, run, model.model_id) as folder:
        client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run, [LoggedModelOutput(model.model_id, 0)])
    return str(model.model_id)


def mend(client: MlflowClient, run: Present, name: str, tags: Mapping[str, str], note: str) -> bool:
    """Sets name, tags and description; returns True where something differed."""
    if len(note) > LONGEST_NOTE:
        note = note[:LONGEST_NOTE].rpartition("\n")[0] + "\n\n(cut: see the study's page)"
    expected = {**tags, NAMED: name, NOTE: note}
    changed = {k: v for k, v in expected.items() if run.tags.get(k) != v}
    ours = [k for k in run.tags if (k.startswith(OURS) and k not in KEPT) or k == PARENT]
    gone = [k for k in ours if k not in expected]
    if changed:
        _set(client, run.id, changed)
    for key in gone:
        client.delete_tag(run.id, key)
    return bool(changed or gone)


def _set(client: MlflowClient, run: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    run_tags = [RunTag(k, v) for k, v in tags.items()]
    for i in range(0, len(run_tags), _TAGS):
        client.log_batch(run, tags=run_tags[i : i + _TAGS])


def upload(client: MlflowClient, uri: str, run: Present, artifacts: Mapping[Path, str]) -> bool:
    """Uploads files and folders as the run's artifacts where the content differs from the present one."""
    files = [(f, place) for path, folder in artifacts.items() for f, place in _files(path, folder)]
    expected = digest([(f.name, place, file_digest(f)) for f, place in files], 16) if files else ""
    if run.tags.get(ARTIFACTS, "") == expected:
        return False
    clear(uri, run)
    for file, place in files:
        client.log_artifact(run.id, str(file), place or None)
    client.set_tag(run.id, ARTIFACTS, expected)
    return True


def _files(path: Path, folder: str) -> list[tuple[Path, str]]:
    """A file, or the files in a folder that are not hidden, each with its folder in MLflow."""
    if path.is_file():
        return [(path, folder)]
    files = [(f, f.relative_to(path)) for f in sorted(path.rglob("*")) if f.is_file()]
    return [
        (f, "/".join([folder, *inside.parts[:-1]]))
        for f, inside in files
        if not any(part.startswith(".") for part in inside.parts)
    ]


def clear(uri: str, run: Present) -> None:
    """Removes a run's artifacts; runs of older stores have none."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    if ARTIFACTS in run.tags:
        get_artifact_repository(run.artifacts, tracking_uri=uri).delete_artifacts()


def delete(client: MlflowClient, uri: str, run: Present) -> None:
    """Deletes a run that another one replaces, with everything that takes space."""
    model = run.tags.get(MODEL)
    if model:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        location = client.get_logged_model(model).artifact_location
        get_artifact_repository(location, tracking_uri=uri).delete_artifacts()
        client.delete_logged_model(model)
    clear(uri, run)
    client.delete_run(run.id)
