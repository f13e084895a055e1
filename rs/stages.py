"""The verbs that the rules call: `rs <stage> --job JSON`, one job with its spec, inputs and outputs.

The same code runs for a person: `rs <stage> --study FILE ... --run LABEL` looks specs and files up in the
plan.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from rs import launching, mixed_draws
from rs.code_digest import code_digest
from rs.interfaces import UserError
from rs.plan import Job, Plan
from rs.provenance import cannot_write, made_from
from rs.reading import parse_json
from rs.staleness import input_files, inputs_digest
from rs.study import Study

STAGES = {
    "data": "load a data set, check it, store it as tensors",
    "train": "train one run",
    "import": "turn somebody else's checkpoint into a model of ours",
    "calibrate": "measure rho and epsilon of a trained run (NAL eq. 8)",
    "distributional": "move test images for the distributional certificate (NAL Thm. 1)",
    "form": "try out the compiled inference form of a run, and fix it",
    "sample": "draw votes under noise for a range of images",
    "certify": "turn draws into certified radii",
    "attack": "attack a smoothed classifier",
}


class Tee:
    """Standard error that also goes into the rule's log."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        self._log.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._log.flush()
        self._stream.flush()

    def isatty(self) -> bool:
        return False


def become_worker(log: Path) -> None:
    """For a job of the workflow: die with the process that started it, write a log, tell no progress bar."""
    launching.die_with_parent(int(os.environ.get("RS_PARENT", os.getppid())))
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        log_to(log)
    except OSError as error:
        raise cannot_write(log, error) from error
    os.environ["RS_LOG"] = str(log)  # for the processes that this one launches


def log_to(log: Path) -> None:
    sys.stderr = Tee(sys.stderr, open(log, "a", buffering=1))  # noqa: SIM115


def gpu_here() -> bool:
    """Whether this machine has an NVIDIA GPU, asked without torch."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def gpus(job: Job, elsewhere: bool) -> int:
    """How many GPUs a job asks for: one per process where it will compute on them.

    `auto` asks where this machine has one, or where the job runs `elsewhere`: the head of a cluster cannot
    know what its nodes have.
    """
    return job.processes * int(job.device == "cuda" or (job.device == "auto" and (elsewhere or gpu_here())))


def add_arguments(parser: argparse.ArgumentParser, stage: str) -> None:
    parser.add_argument("--study", nargs="+", type=Path, metavar="FILE", help="study file and overlays")
    parser.add_argument("--run", metavar="LABEL", help="with --study: only this run's jobs")
    told = "one job as the workflow gives it: spec, inputs, outputs (- reads it from standard input)"
    parser.add_argument("--job", metavar="JSON", help=told)
    parser.add_argument("--worker", type=Path, metavar="LOG", help="run as a job of the workflow: log here")
    if stage == "data":
        parser.add_argument(
            "--data-dir", help="where the data set's files are (default: RS_DATA_DIR, then ./data)"
        )


def run(args: argparse.Namespace) -> None:
    if args.worker:
        become_worker(args.worker)
    if args.job:
        text = sys.stdin.read() if args.job == "-" else args.job
        given = parse_json(text, f"rs {args.stage}: --job is not JSON")
        if not isinstance(given, dict) or not {"spec", "code", "inputs", "outputs"} <= given.keys():
            raise UserError(f"rs {args.stage}: --job needs spec, code, inputs and outputs")
        execute(args.stage, given, getattr(args, "data_dir", None))
        return
    if not args.study:
        raise UserError(f"rs {args.stage}: give --study FILE (or --job, as the workflow does)")
    plan = Plan(Study(args.study))
    labels = {p.id: p.run.label for p in plan.runs}
    chosen = [j for j in plan.jobs[args.stage].values() if not args.run or labels.get(j.run) == args.run]
    if not chosen:
        runs = ", ".join(dict.fromkeys(labels.values()))
        wanted = f" for run {args.run!r}; runs: {runs}" if args.run else ""
        raise UserError(f"{args.study[0]}: no {args.stage} job{wanted}")
    for job in chosen:
        execute(args.stage, as_dict(job), getattr(args, "data_dir", None) or plan.study.data_dir)


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
    from rs.devices import device_class

    target = Path(job["outputs"]["draws"])
    mixed_draws.check(target, code, device_class(device), job.get("device_class"))


def _carry_out(stage: str, job: dict[str, Any], data_dir: str | None) -> None:
    spec, inputs = job["spec"], job["inputs"]
    code = code_digest(job["executes"]) if job.get("executes") else job["code"]
    outputs = {k: Path(v) for k, v in job["outputs"].items()}
    if stage == "data":
        from rs import catalog, preparation

        data_dir = data_dir or os.environ.get("RS_DATA_DIR")
        preparation.prepare(spec, catalog.build("datasets", spec["data"]), data_dir, outputs, code)
        return
    if stage == "certify":
        from rs import evaluation
        from rs.draws import files_of

        sizes = (spec["n0"], spec["n"], spec["block"], spec.get("stop"))
        files = files_of(Path(inputs["folder"]), inputs["shards"], *sizes)
        model = Path(inputs["model"]) if "model" in inputs else None
        evaluation.certify(spec, *files, outputs["certified"], code, model)
        return
    if stage == "import":
        from rs import imports

        imports.convert(spec, Path(inputs["weights"]), Path(inputs["data"]), outputs, code)
        return
    from rs.devices import use_device

    data, form = Path(inputs["data"]), Path(inputs["form"]) if "form" in inputs else None
    with use_device(job.get("device", "auto"), job.get("threads", 1)) as device:
        if stage == "train":
            from rs import distributed, training

            calibrations = {k: Path(v) for k, v in inputs.get("calibrations", {}).items()}
            with distributed.process_group(device):
                training.train(spec, data, calibrations, outputs, device, code, job.get("workers", 4))
        elif stage == "calibrate":
            from rs import calibration

            calibration.calibrate(spec, Path(inputs["model"]), data, outputs["calibration"], device, code)
        elif stage == "distributional":
            from rs import distributional

            distributional.observe(spec, Path(inputs["model"]), data, outputs["observed"], device, code)
        elif stage == "form":
            from rs import forms

            forms.fix(spec, Path(inputs["model"]), data, outputs["form"], device, code)
        elif stage == "sample" and "stop" in spec:
            from rs import sequential

            refuse_other_class(job, code, device)
            places = {key: Path(inputs[key]) for key in ("model", "data", "selection")}
            sequential.sample(spec, places, outputs["draws"], device, code, form)
        elif stage == "sample":
            from rs import sampling

            refuse_other_class(job, code, device)
            sampling.sample(spec, Path(inputs["model"]), data, outputs["draws"], device, code, form)
        elif stage == "attack":
            from rs import attacking

            model, source = Path(inputs["model"]), inputs.get("source")
            where = (outputs["attacks"], device, code, form, Path(source) if source else None)
            attacking.attack(spec, model, data, *where)
