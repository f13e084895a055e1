"""One job of any stage, run in this process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rs.machine import launching
from rs.machine.worker import log_to
from rs.plan import mixed_draws
from rs.plan.plan import Job
from rs.plan.staleness import input_files, inputs_digest
from rs.provenance.code import code_digest
from rs.provenance.files import made_from


def as_dict(job: Job) -> dict[str, Any]:
    """A job as JSON values: what `--job` takes."""
    described: dict[str, Any] = {
        "spec": job.spec,
        "code": job.code,
        "executes": job.executes,
        "inputs": job.inputs,
        "outputs": job.outputs,
    }
    described |= {
        key: getattr(job, key) for key in ("device", "threads", "processes", "workers", "device_class")
    }
    plain: dict[str, Any] = json.loads(json.dumps(described, default=str))
    return plain


def execute(stage: str, job: dict[str, Any], data_dir: str | None = None) -> None:
    """Runs one job in this process. Raises UserError for bad input; whatever it wrote is whole.

    Files and checkpoints carry the digest of the code as it is now, just before it is imported: it may have
    been edited since the job was planned.
    """
    if launching.launched():
        if "RS_LOG" in os.environ:
            log_to(Path(os.environ["RS_LOG"]))
        with launching.member():
            _execute(stage, job, data_dir)
    elif job.get("processes", 1) > 1:
        launching.torchrun(stage, job)
    else:
        _execute(stage, job, data_dir)


def _execute(stage: str, job: dict[str, Any], data_dir: str | None) -> None:
    with made_from(inputs_digest(input_files(stage, job["spec"], job["inputs"]))):
        _carry_out(stage, job, data_dir)


def refuse_other_class(job: dict[str, Any], code: str, device: Any) -> None:
    """Before the first vote: those of this device would merge with the ones that are there."""
    from rs.machine.devices import device_class

    target = Path(job["outputs"]["draws"])
    selection = Path(job["inputs"]["selection"]) if "selection" in job["inputs"] else None
    mixed_draws.check(target, code, device_class(device), job.get("device_class"), selection)


def _carry_out(stage: str, job: dict[str, Any], data_dir: str | None) -> None:
    spec, inputs = job["spec"], job["inputs"]
    code = code_digest(job["executes"]) if job.get("executes") else job["code"]
    outputs = {k: Path(v) for k, v in job["outputs"].items()}
    if stage == "data":
        from rs.methods import catalog
        from rs.stages import data as preparation

        data_dir = data_dir or os.environ.get("RS_DATA_DIR")
        preparation.prepare(spec, catalog.build("datasets", spec["data"]), data_dir, outputs, code)
        return
    if stage == "certify":
        from rs.plan.draw_paths import files_of
        from rs.stages import certify as evaluation

        sizes = (spec["n0"], spec["n"], spec["block"], spec.get("stop"))
        files = files_of(Path(inputs["folder"]), inputs["shards"], *sizes)
        model = Path(inputs["model"]) if "model" in inputs else None
        evaluation.certify(spec, *files, outputs["certified"], code, model)
        return
    if stage == "import":
        from rs.stages import import_weights as imports

        imports.convert(spec, Path(inputs["weights"]), Path(inputs["data"]), outputs, code)
        return
    from rs.machine.devices import use_device

    data, form = Path(inputs["data"]), Path(inputs["form"]) if "form" in inputs else None
    with use_device(job.get("device", "auto"), job.get("threads", 1)) as device:
        if stage == "train":
            from rs.networks import distributed
            from rs.stages import train as training

            calibrations = {k: Path(v) for k, v in inputs.get("calibrations", {}).items()}
            with distributed.process_group(device):
                training.train(spec, data, calibrations, outputs, device, code, job.get("workers", 4))
        elif stage == "calibrate":
            from rs.stages import calibrate as calibration

            calibration.calibrate(spec, Path(inputs["model"]), data, outputs["calibration"], device, code)
        elif stage == "distributional":
            from rs.stages import distributional

            distributional.observe(spec, Path(inputs["model"]), data, outputs["observed"], device, code)
        elif stage == "form":
            from rs.stages import form as forms

            forms.fix(spec, Path(inputs["model"]), data, outputs["form"], device, code)
        elif stage == "sample" and "stop" in spec:
            from rs.stages import sample_sequential as sequential

            refuse_other_class(job, code, device)
            places = {key: Path(inputs[key]) for key in ("model", "data", "selection")}
            sequential.sample(spec, places, outputs["draws"], device, code, form)
        elif stage == "sample":
            from rs.stages import sample as sampling

            refuse_other_class(job, code, device)
            sampling.sample(spec, Path(inputs["model"]), data, outputs["draws"], device, code, form)
        elif stage == "attack":
            from rs.stages import attack as attacking

            model, source = Path(inputs["model"]), inputs.get("source")
            where = (outputs["attacks"], device, code, form, Path(source) if source else None)
            attacking.attack(spec, model, data, *where)
