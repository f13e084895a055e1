"""A study's results in MLflow: one experiment per study and one run per training, however often it is logged.

A run is found again by its tag ``rs.run``. Runs that the study no longer names stay for comparison, with the
tag ``rs.in_study`` = false. Seeds of one label are nested in a run of their means. A further run, named as
the study, holds the common parts: page, figures, tables, study files, verdicts and claims.
`rs.report.tracking.numbers` describes the names of the numbers. Parameters are grouped by their subject, as
``training.optimizer.name`` and ``certificate.cohen.alpha``.

Logs of other people's models are runs too. No part of MLflow runs in a training, whose node may not reach the
store. The training's speed (``training/images_per_second``) replaces system metrics.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs.report.tracking import notes, view
from rs.report.tracking.notes import Ids
from rs.report.tracking.present import Present, present_models, present_runs
from rs.report.tracking.records import Record, records
from rs.report.tracking.sources import Sources
from rs.report.tracking.store import experiment_of, open_store, set_experiment_tags
from rs.report.tracking.verdicts import Verdicts
from rs.report.tracking.writing import DIGEST, MODEL, PARENT, delete, mend, upload, write
from rs.study.tracking_place import without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_study(study: str, tables: Path, uri: str, sources: Sources | None = None) -> dict[str, Any]:
    """Makes the experiment `study` agree with ``<tables>/*.parquet``; existing content that agrees is not
    touched.

    `uri`: ``sqlite:///results/mlflow.db`` or a server. Returns ``experiment_id``, ``uri``, ``fragment`` (of
    the UI's address: the saved view), ``runs`` (run id -> MLflow run id), ``written`` (the run ids that were
    new, or whose MLflow run was replaced) and ``updated`` (those that were changed in place; the study's own
    run may be among them). Raises StoreError for a store that is locked, unreachable or not a store.
    """
    sources = sources or Sources()
    own = Record(f"study {study}", study, "study", artifacts=dict(sources.artifacts))
    entries = records(tables, sources)
    verdicts = Verdicts(tables)
    with open_store(uri) as client:
        experiment = experiment_of(client, uri, study)
        runs, written = _settle(client, uri, experiment, [own, *entries])
        ids = Ids(
            experiment,
            {key: run.id for key, run in runs.items()},
            {key: run.tags[MODEL] for key, run in runs.items() if MODEL in run.tags},
            own.key,
        )
        note = notes.of_study(sources.description, entries, ids, verdicts)
        changed = []
        for record in [*entries, own]:
            tags = verdicts.tags() if record is own else verdicts.tags(record.params.get("label", ""))
            text = note if record is own else notes.of_run(record, ids, verdicts)
            run = runs[record.key]
            mended = mend(client, run, record.name, _tags(record, ids) | tags, text)
            if upload(client, uri, run, record.artifacts) or mended:
                changed.append(record.key)
        set_experiment_tags(client, uri, study, _experiment_tags(entries, note))
    return {
        "experiment_id": experiment,
        "uri": without_password(uri),
        "fragment": view.fragment(experiment),
        "runs": {r.key: ids.runs[r.key] for r in entries},
        "written": [key for key in written if key != own.key],
        "updated": [key for key in changed if key not in written],
    }


def _settle(
    client: MlflowClient, uri: str, experiment: str, entries: list[Record]
) -> tuple[dict[str, Present], list[str]]:
    """Every record's MLflow run, by key, and the keys of those written. No run exists twice."""
    present = present_runs(client, uri, experiment)
    have_models = any(MODEL in run.tags for there in present.values() for run in there)
    models = present_models(client, uri, experiment) if have_models else set()
    runs: dict[str, Present] = {}
    written = []
    for record in entries:
        there = present.pop(record.key, [])
        same = [run for run in there if run.tags.get(DIGEST) == record.digest]
        whole = [run for run in same if not record.network or run.tags.get(MODEL) in models]
        if not whole:
            written.append(record.key)
        runs[record.key] = whole[-1] if whole else write(client, experiment, record)
        for run in there:
            if run.id != runs[record.key].id:
                delete(client, uri, run)
    for there in present.values():
        _leave(client, uri, there, models)
    return runs, written


def _leave(client: MlflowClient, uri: str, there: list[Present], models: set[str]) -> None:
    """Keeps the last finished one of the runs of a record that the study no longer has, if possible one with
    its model.
    """
    finished = [run for run in there if DIGEST in run.tags]
    whole = [run for run in finished if MODEL not in run.tags or run.tags[MODEL] in models]
    kept = (whole or finished)[-1:]
    for run in there:
        if run not in kept:
            delete(client, uri, run)
        elif run.tags.get("rs.in_study") != "false":
            client.set_tag(run.id, "rs.in_study", "false")


def _tags(record: Record, ids: Ids) -> dict[str, str]:
    tags = {"rs.kind": record.kind, "rs.in_study": "true"}
    tags["rs.headline"] = str(record.kind != "study" and not record.parent).lower()
    if "label" in record.params:
        tags["rs.label"] = record.params["label"]
    if record.parent:
        tags[PARENT] = ids.runs[record.parent]
    return tags


def _experiment_tags(entries: list[Record], note: str) -> dict[str, str]:
    # opens MLflow's page of runs and curves instead of its page for language models
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return {**kind, "mlflow.note.content": note[:20_000], view.TAG: view.saved_view(entries)}
