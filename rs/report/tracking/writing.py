"""Writes one MLflow run, or makes an existing one agree with its record.

MLflow can neither change nor remove a metric, a parameter or an input that was logged. Where those differ
(`Record.digest`, kept as the tag ``rs.digest``), the run is written anew, and the old one is deleted with its
artifacts. Names, tags, description and artifacts are changed in place.

The digest is set last and removed first: a run without it may lack anything, be it that its writing was
interrupted, or its deletion, or that somebody restored it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rs.provenance.digests import digest, file_digest
from rs.report.tracking.networks import NAME, model_folder
from rs.report.tracking.present import RUN, Present, local_folder
from rs.report.tracking.records import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

# One request per batch; MLflow takes at most 1,000 metrics, 100 parameters and 100 tags in one.
_METRICS, _PARAMS, _TAGS = 1000, 100, 90

DIGEST, MODEL, ARTIFACTS = "rs.digest", "rs.model", "rs.artifacts"
NOTE, NAMED, PARENT = "mlflow.note.content", "mlflow.runName", "mlflow.parentRunId"
OURS = ("rs.", "verdict.", "claim.")  # tags that the next logging may remove
KEPT = (RUN, DIGEST, MODEL, ARTIFACTS)  # those among them that do not come from a record
UNFINISHED = "unfinished"  # as ARTIFACTS: may lack files, and hold others
LONGEST_NOTE = 7500  # characters; MLflow takes 8,000


def write(client: MlflowClient, experiment: str, record: Record) -> Present:
    """A new MLflow run with the fixed content of the record. Its duration is that of the training."""
    from mlflow.entities import Metric, Param

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
    tags = {MODEL: _log_network(client, experiment, run, record)} if record.network else {}
    client.set_terminated(run, end_time=end)
    client.set_tag(run, DIGEST, record.digest)
    return Present(run, created.info.artifact_uri, {**created.data.tags, **tags, DIGEST: record.digest})


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
    """Logs the network as a model of its own, the run's output. Returns its id, which the run's tag has
    before the model has files: if a kill comes between, the model is deleted with the run.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    assert record.network
    parameters = {f"form.{k}": str(v) for k, v in record.network.voting["form"].items()}
    parameters |= {"noise": str(record.network.voting["noise"]), "weights": record.network.voting["weights"]}
    name = re.sub(r"[^\w \-]+", " ", record.name).strip() or NAME
    model = client.create_logged_model(experiment, name, run, params=parameters)
    client.set_tag(run, MODEL, model.model_id)
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
    """Uploads files and folders as the run's artifacts where their content has changed, or where the
    artifacts lie on this machine and one is lost. Returns whether it did.
    """
    files = [(f, place) for path, folder in artifacts.items() for f, place in _files(path, folder)]
    expected = digest([(f.name, place, file_digest(f)) for f, place in files], 16) if files else ""
    if run.tags.get(ARTIFACTS, "") == expected and not _lost(run, files):
        return False
    if ARTIFACTS in run.tags:
        client.set_tag(run.id, ARTIFACTS, UNFINISHED)
        clear(uri, run)
    for file, place in files:
        client.log_artifact(run.id, str(file), place or None)
    client.set_tag(run.id, ARTIFACTS, expected)
    return True


def _lost(run: Present, files: list[tuple[Path, str]]) -> bool:
    folder = local_folder(run.artifacts)
    return folder is not None and not all((folder / place / file.name).is_file() for file, place in files)


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
    """Deletes a run that another one replaces, with everything that takes space. What is gone already counts
    as deleted, so that a deletion that was interrupted can be done again.
    """
    if DIGEST in run.tags:
        client.delete_tag(run.id, DIGEST)
    if MODEL in run.tags:
        _delete_model(client, uri, run.tags[MODEL])
    clear(uri, run)
    client.delete_run(run.id)


def _delete_model(client: MlflowClient, uri: str, model: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        location = client.get_logged_model(model).artifact_location
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return
    get_artifact_repository(location, tracking_uri=uri).delete_artifacts()
    client.delete_logged_model(model)
