"""The table `provenance`: one row per file of a run that other tables are counted from, and one for the draws
behind its radii: what made it, where it lies, how long that took.
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
from rs.settings.labels import label_of
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
    trained, manifest = planned.run.trained, planned.folder / "model.json"
    stage = plan.maker(manifest).stage
    made = read_model_manifest(manifest)["provenance"]
    seconds = {"seconds": made["train_seconds"]} if trained else {}  # of all that a training was continued
    what = planned.spec["objective"]["name"] if trained else "joined" if stage == "join" else "imported"
    yield _file(stage, what, manifest, {**made, **seconds})
    if planned.calibration:
        told = read_calibration(planned.calibration).get("provenance") or {}
        yield _file("calibrate", "epsilon", planned.calibration, told)
    for observation in planned.observations:
        noise = {"smoothing": smoothed_with(observation.noise)["smoothing"]}
        if observation.certified:
            yield from ({**noise, **row} for row in _certified(plan, observation.certified))
        for path in observation.attacks:
            spec = plan.job("attack", str(path)).spec
            yield {**noise, **_file("attack", label_of(spec["attack"]), path, read_table(path)[1])}
        if moved := observation.distributional:
            yield {**noise, **_file("distributional", "moved images", moved, read_table(moved)[1])}


def _certified(plan: Plan, path: Path) -> Iterator[Row]:
    """Its draws, as far as the file tells of them, and the file."""
    job = plan.job("certify", str(path))
    made = read_table(path)[1]
    drawn = made.get("drawn") or {}
    told = {**drawn, **{key: ", ".join(drawn.get(key) or ()) for key in ("commit", "device")}}
    many = {key: drawn.get(key) for key in ("files", "votes", "passes")}
    yield {**_file("sample", f"n = {job.spec['n']}", job.inputs["folder"], told), **many}
    certificates = ", ".join(label_of(method) for method in job.spec["certificates"])
    yield _file("certify", certificates, path, made)


def _file(stage: str, what: str, path: Path, made: Mapping[str, Any]) -> Row:
    told = {key: made.get(key) or None for key in ("commit", "device", "seconds")}
    return {"stage": stage, "what": what, "file": path.as_posix(), "files": 1, **told}


TABLE = Table("provenance", COLUMNS, rows)
