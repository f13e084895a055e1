"""The verbs that the rules call: `rs <stage> --job JSON`, one job with its spec, inputs and outputs.

For a person, `rs <stage> --study FILE ... --run LABEL` runs the same code and takes specs and files from the
plan. As in the workflow, what is current is not made again. `--job` runs its job in any case: the workflow
has decided already.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs.errors import UserError, plural
from rs.machine import device_class
from rs.machine.worker import become_worker
from rs.provenance.reading import parse_json

if TYPE_CHECKING:
    from rs.plan.jobs import Job
    from rs.plan.stages import Stage


def gpus(job: Job, elsewhere: bool) -> int:
    """How many GPUs a job asks for: one per process if it will compute on them.

    A job with device `auto` asks for them where this machine has one, or where the job runs `elsewhere`: the
    head of a cluster cannot know what its nodes have.
    """
    on_gpus = job.device == "cuda" or (job.device == "auto" and (elsewhere or device_class.has_gpu()))
    return job.processes * int(on_gpus)


def cpus(job: Job, decodes: bool) -> int:
    """How many processors a job asks for: threads and, for a training that `decodes` images, its workers."""
    workers = job.workers if decodes and job.stage == "train" else 0
    return job.processes * (job.threads + workers)


def add_arguments(parser: argparse.ArgumentParser, stage: Stage) -> None:
    parser.add_argument("--study", nargs="+", type=Path, metavar="FILE", help="study file and overlays")
    parser.add_argument("--run", metavar="LABEL", help="with --study: only this run's jobs")
    text = "with --study: run jobs whose files are current, too"
    parser.add_argument("--again", action="store_true", help=text)
    text = "one job: its spec, inputs and outputs as JSON (-: read from standard input)"
    parser.add_argument("--job", metavar="JSON", help=text)
    parser.add_argument(
        "--worker", type=Path, metavar="LOG", help="run as a job of the workflow, with this log file"
    )
    if stage.data_dir:
        text = "folder of the data set's files (default: RS_DATA_DIR, then ./data)"
        parser.add_argument("--data-dir", metavar="FOLDER", help=text)


def run(args: argparse.Namespace) -> None:
    from rs.stages.execution import as_dict, execute

    data_dir = getattr(args, "data_dir", None)
    if args.worker:
        become_worker(args.worker)
    if args.job:
        if args.study or args.run or args.again:
            raise UserError(f"{args.stage}: --job is one job as it is; leave out --study, --run and --again")
        text = sys.stdin.read() if args.job == "-" else args.job
        execute(args.stage, described(args.stage, text), data_dir)
        return
    if not args.study:
        raise UserError(f"{args.stage}: give --study FILE (or --job, as the workflow does)")
    from rs.plan import extras, running_plans, started_studies
    from rs.plan.plan import Plan
    from rs.study.study import Study

    with running_plans.in_turn(args.stage == "sample") as record:
        plan = Plan(Study(args.study))
        record(plan.observer.kept)
    of_run = (job for p in plan.runs if p.run.label == args.run for job in plan.of_run(p.id))
    every = of_run if args.run else plan.jobs[args.stage].values()
    chosen = [job for job in every if job.stage == args.stage]
    if not chosen:
        advice = f" for run {args.run!r}; runs: {', '.join(plan.labels)}" if args.run else ""
        raise UserError(f"{args.study[0]}: no {args.stage} job{advice}")
    for job in chosen:  # before the first of them has computed for hours
        if args.again or not _is_current(job):
            extras.check(job)
    if args.stage != "data" and any(all(path.exists() for path in job.needs()) for job in chosen):
        started_studies.record(plan)  # one that is refused leaves nothing
        if args.stage != "sample":
            running_plans.hold()
    done = 0
    for job in chosen:
        if not args.again and _is_current(job):  # asked again: it may read what a job before it has made
            done += 1
        else:
            execute(args.stage, as_dict(job), data_dir)
    if done:
        count = plural(done, "job is", "jobs are", spec=",")
        print(f"rs: {args.stage}: {count} current and did not run; --again runs all", file=sys.stderr)


def _is_current(job: Job) -> bool:
    """Whether the job's files are what it would make. A damaged file is made again."""
    from rs.plan.staleness import job_is_current

    with contextlib.suppress(UserError):
        return job_is_current(job)
    return False


def _texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _from(least: int) -> tuple[Callable[[Any], bool], str]:
    return lambda value: type(value) is int and value >= least, f"a whole number, {least} or more"


# What a job states: whether a value fits, and which do. (pydantic takes longer to load than some jobs run.)
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "code": (lambda code: isinstance(code, str), "a text"),
    "spec": (lambda spec: isinstance(spec, dict), "a mapping"),
    "inputs": (lambda files: isinstance(files, dict), "a mapping"),
    "outputs": (lambda files: isinstance(files, dict) and _texts(files.values()), "a mapping of texts"),
    "methods": (lambda names: isinstance(names, list) and _texts(names), "a list of texts"),
    "device": (lambda name: isinstance(name, str), "a text"),
    "threads": _from(1),
    "processes": _from(1),
    "workers": _from(0),
}


def described(stage: str, text: str) -> dict[str, Any]:
    """A job as JSON states it. Raises UserError for another text."""
    job = parse_json(text, f"{stage}: --job is not JSON")
    if not isinstance(job, dict) or not {"spec", "code", "inputs", "outputs"} <= job.keys():
        raise UserError(f"{stage}: --job needs spec, code, inputs and outputs")
    for key, (fits, allowed) in _FIELDS.items():
        if key in job and not fits(job[key]):
            raise UserError(f"{stage}: --job: {key} must be {allowed}")
    return job
