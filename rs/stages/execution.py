"""One job of any stage, run in this process."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.machine import gpu_slots, launching
from rs.machine.worker import log_to
from rs.plan import extras
from rs.plan.jobs import Job
from rs.plan.stages import Stage, StudyStage, stage_named
from rs.plan.staleness import inputs_digest
from rs.provenance.files import made_from, timed
from rs.settings.plugins import plug_ins

CONTRACT = "`pytest tests/methods/test_contracts.py` in a checkout"
HANDED_OVER = ("spec", "methods", "inputs", "outputs", "data_dir")
WHERE = ("device", "threads", "processes", "workers", "device_class")


def as_json(job: Job) -> str:
    """A job as text, the format of `--job`."""
    described = {"code": job.code} | {key: getattr(job, key) for key in (*HANDED_OVER, *WHERE)}
    return json.dumps(described, default=str)


def as_dict(job: Job) -> dict[str, Any]:
    """A job as JSON values."""
    plain: dict[str, Any] = json.loads(as_json(job))
    return plain


def from_dict(stage: str, described: dict[str, Any]) -> Job:
    """The job that `as_dict` described. Optional: where it runs, and the names of its methods' classes;
    without the latter, `code` is taken as given.
    """
    inputs = {key: _paths(value) for key, value in described["inputs"].items()}
    outputs = {key: Path(value) for key, value in described["outputs"].items()}
    where = {"device": "auto"} | {key: described[key] for key in WHERE if key in described}
    methods = tuple(described.get("methods", ()))
    job = Job(stage, described["spec"], methods, inputs=inputs, outputs=outputs, **where)
    job.data_dir = described.get("data_dir")
    job.check_files()
    if "methods" not in described:
        job.digest_code = lambda _: str(described["code"])
    return job


def _paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: Path(path) for key, path in value.items()}
    return Path(value) if isinstance(value, str) else value


def execute(stage: str, job: dict[str, Any], data_dir: str | None = None) -> None:
    """Runs one job in this process. Raises UserError for bad input; every file that it wrote is complete."""
    declared = stage_named(stage)
    if launching.launched():
        if "RS_LOG" in os.environ:
            log_to(Path(os.environ["RS_LOG"]))
        with launching.member():
            _execute(declared, job, data_dir)
    elif job.get("processes", 1) > 1:
        launching.torchrun(stage, job)
    else:
        _execute(declared, job, data_dir)


def _execute(stage: Stage, described: dict[str, Any], data_dir: str | None) -> None:
    """Runs the job. Files and checkpoints carry the digest of the code as it is just before its import: the
    code may have been edited since the job was planned.
    """
    job = from_dict(stage.name, described)
    job.data_dir = data_dir or job.data_dir
    with made_from(inputs_digest(job.reads())), timed(), _naming_plug_ins(job):
        code = job.code
        run_job = function_of(stage)
        if not stage.device:
            run_job(job, None, code)
            return
        extras.check(job)
        if job.device != "cpu" and not launching.launched():
            gpu_slots.take_one()
        from rs.machine.devices import use_device

        with use_device(job.device, job.threads) as device:
            run_job(job, device, code)


@contextlib.contextmanager
def _naming_plug_ins(job: Job) -> Iterator[None]:
    """Adds the methods of plug-ins that a job executes to its errors: they are to be looked at first."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if foreign := ", ".join(str(p) for p in plug_ins() if p.path in job.executes):
            error.add_note(f"rs: {job.stage} ran {foreign}; {CONTRACT} tests it")
        raise


def function_of(stage: Stage | StudyStage) -> Callable[..., None]:
    """The function that runs its jobs. Raises UserError where the stage's record names nothing."""
    module, _, name = stage.function.partition(":")
    try:
        found: Callable[..., None] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"stage {stage.name} = {stage.function}: {error}") from error
    return found
