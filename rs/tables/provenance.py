"""The table `provenance`: what made the files of a run, where they are, and how long it took. One row per
file that other tables are counted from, and one for the draws behind its radii.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rs.plan.calibrated import read_calibration
from rs.plan.jobs import PlannedRun
from rs.plan.plan import Plan
from rs.provenance.files import read_table
from rs.provenance.run_files import read_model_manifest
from rs.settings.labels import attack_label, certificate_label
from rs.tables.noise import smoothed_with
from rs.tables.stored import Stored, head
from rs.tables.table import Row, Table

COLUMNS = (
    "run",
    "label",
    "smoothing",
    "stage",
    "what",
    "file",
    "files",
    "votes",
    "passes",
    "commit",
    "device",
    "seconds",
)


def rows(stored: Stored) -> Iterator[Row]:
    for planned in stored.plan.runs:
        yield from ({**head(planned), **row} for row in _of_run(stored.plan, planned))
    for log in stored.plan.logs:
        yield {"run": log.id, "label": log.label, **_file("log", log.claim["certificate"], log.path, {})}


def _of_run(plan: Plan, planned: PlannedRun) -> Iterator[Row]:
    trained, manifest = planned.run.trained, planned.manifest
    stage = plan.maker(manifest).stage
    provenance = read_model_manifest(manifest)["provenance"]
    # of all parts of a continued training
    seconds = {"seconds": provenance["train_seconds"]} if trained else {}
    what = planned.spec["objective"]["name"] if trained else "joined" if stage == "join" else "imported"
    yield _file(stage, what, manifest, {**provenance, **seconds})
    if planned.calibration:
        calibration = read_calibration(planned.calibration).get("provenance") or {}
        yield _file("calibrate", "epsilon", planned.calibration, calibration)
    for observation in planned.observations:
        noise = {"smoothing": smoothed_with(observation.noise)["smoothing"]}
        if observation.certified:
            yield from ({**noise, **row} for row in _certified(plan, observation.certified))
        for path, use in zip(observation.attacks, planned.run.sections["attacks"], strict=True):
            yield {**noise, **_file("attack", attack_label(use), path, read_table(path)[1])}
        if moved := observation.distributional:
            yield {**noise, **_file("distributional", "moved images", moved, read_table(moved)[1])}


def _certified(plan: Plan, path: Path) -> Iterator[Row]:
    """A row for the draws, as far as the file describes them, and one for the file."""
    job = plan.maker(path)
    provenance = read_table(path)[1]
    drawn = provenance.get("drawn") or {}
    facts = {**drawn, **{key: ", ".join(drawn.get(key) or ()) for key in ("commit", "device")}}
    counts = {key: drawn.get(key) for key in ("files", "votes", "passes")}
    yield {**_file("sample", f"n = {job.spec['n']}", job.inputs["folder"], facts), **counts}
    certificates = ", ".join(certificate_label(method) for method in job.spec["certificates"])
    yield _file("certify", certificates, path, provenance)


def _file(stage: str, what: str, path: Path, provenance: Mapping[str, Any]) -> Row:
    facts = {key: provenance.get(key) or None for key in ("commit", "device", "seconds")}
    return {"stage": stage, "what": what, "file": path.as_posix(), "files": 1, **facts}


TABLE = Table("provenance", COLUMNS, rows)
