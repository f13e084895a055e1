"""`rs slice` is meant for a GPU that is lent for ten minutes. It needs neither Snakemake nor MLflow. QUEUE is
a YAML file, `queue: [{study: [FILE, OVERLAY, ...], stages: [...], runs: [LABEL, ...]}, ...]` (by default all
stages and runs). Its jobs start in that order as soon as their inputs exist, --slots at a time, each in a
process as Snakemake would start it. What a wanted run needs of other runs, such as a calibration, is made too
if it is not there. When time is up, or at Ctrl-C, running jobs are ended; trainings continue from their last
checkpoint in the next slice. The results are packed into a few archives of limited size, observations first.
The next slice, or a checkout with Snakemake, unpacks them into its results.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs.cli.slice_archives import pack, unpack
from rs.cli.slice_jobs import Jobs, Waiting
from rs.cli.slice_queue import cost, jobs_of, read_queue, unmade
from rs.errors import UserError, plural
from rs.plan.jobs import RESULTS
from rs.provenance.files import make_folder, write_json
from rs.settings.limits import LARGEST

PACKING = 12.0  # seconds kept for packing
LOOKS = 0.05  # seconds between looks at the running jobs
AGAIN = 1.0  # seconds between looks for jobs that can start
TELLS = 30.0  # seconds between lines on how far the slice is, at least: ten times in all
NAMED = 3  # files named that did not fit
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(text: str) -> None:
    """Prints a line. Where nobody reads any more, the work goes on."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def work(jobs: Jobs, seconds: float, slots: int) -> None:
    """Runs what it can for `seconds`; afterwards, also after Ctrl-C, every worker has ended."""
    began = last_report = time.monotonic()
    looked = -AGAIN
    running: list[Waiting] = []
    try:
        while (now := time.monotonic()) < began + seconds:
            ended = [job for job in running if job.look()]
            for job in ended:
                jobs.done(job)
                say(f"{job.seconds:6.1f} s  {job.state}  {job.name}{_why(job)}")
            running = [job for job in running if job not in ended]
            if len(running) < slots and (ended or now >= looked + AGAIN):
                looked = now
                ready = jobs.startable()
                for job in ready:
                    if len(running) < slots and job.start():
                        running.append(job)
                if not running and not ready:
                    break
            if now >= last_report + max(TELLS, seconds / 10):
                last_report = now
                say(_so_far(jobs, running, now - began, seconds))
            time.sleep(LOOKS)
    finally:
        for job in jobs.jobs:
            job.end()
            if job.state == "cut off" and _progress(job):
                say(f"{job.seconds:6.1f} s  cut off  {job.job.stage} {_progress(job)}")


def _why(job: Waiting) -> str:
    return f": {job.failure()}" if job.state == "failed" else ""


def _progress(job: Waiting) -> str:
    """The last line of a job if it says how far the job is."""
    last = job.last()
    return last if last.endswith(" left") else ""


def _so_far(jobs: Jobs, running: list[Waiting], spent: float, seconds: float) -> str:
    counts = _counted(Counter(state for _, state in jobs.states()))
    lines = [f"{spent / 60:.1f} of {seconds / 60:.1f} min: {counts}"]
    return "\n".join(lines + [f"    {job.job.stage} {_progress(job)}" for job in running if _progress(job)])


def _counted(states: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items())


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and a terminal that closes are Ctrl-C; a second one does not stop the packing."""
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def interrupt(*_: Any) -> None:
        _ignore()
        raise KeyboardInterrupt

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as with nohup
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _pack(folder: Path, since: float, rows: list[dict[str, Any]]) -> None:
    """Packs, and says in a line what did not fit; slice.json lists it whole."""
    _, left = pack(folder, since)
    write_json(folder / "slice.json", {"jobs": rows, "not_packed": list(map(str, left))})
    if not left:
        return
    size = sum(path.stat().st_size for path in left if path.exists()) / 1e6
    if len(left) > NAMED:
        kinds = Counter(map(_kind, left))
        named = ", ".join(plural(count, kind) for kind, count in kinds.items())
        named += f"; {folder / 'slice.json'} lists them"
    else:
        named = ", ".join(map(str, left))
    problem = f"the archives are full: {plural(len(left), 'file')} not packed ({size:.1f} MB): {named}"
    print(f"rs: {problem}", file=sys.stderr)


def _kind(path: Path) -> str:
    if path.name.startswith("resume-"):
        return "checkpoint"
    if path.suffix == ".safetensors":
        return "network"
    return "log" if path.suffix == ".txt" else "observation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "queue", type=Path, metavar="QUEUE", help="YAML file: queue: [{study: [FILE, ...]}, ...]"
    )
    parser.add_argument("--minutes", type=float, required=True, help="time limit, packing included")
    parser.add_argument("--slots", type=int, default=4, help="jobs at a time (default: 4)")
    parser.add_argument(
        "--unpack", type=Path, metavar="FOLDER", help="first unpack the archives of an earlier slice"
    )
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="write archives of the results here")


@_interruptible()
def run(args: argparse.Namespace) -> None:
    started, since = time.monotonic(), time.time()
    if not 0 < args.minutes <= LARGEST or args.slots < 1:  # false for nan
        must = f"must be above 0 and at most {LARGEST}, and --slots at least 1"
        raise UserError(f"slice: --minutes {args.minutes:g}: {must}")
    if args.pack and 60 * args.minutes <= PACKING:
        problem = f"must be above {PACKING / 60:g}, the time that is kept for packing"
        raise UserError(f"slice: --minutes {args.minutes:g}: {problem}")
    if importlib.util.find_spec("torch") is None:  # each job would fail
        raise UserError(
            f"slice: {sys.executable} has no torch; run it, or make gpu PYTHON=..., with one that has"
        )
    queue = read_queue(args.queue)
    if args.unpack:
        unpack(args.unpack)
    jobs = Jobs(jobs_of(queue))
    if args.pack:
        make_folder(args.pack, "runs-0.tar")
    for line in (*cost(jobs.jobs), *unmade(jobs.jobs)):
        print(f"rs: {line}", file=sys.stderr)
    interrupted = False
    try:
        work(jobs, 60 * args.minutes - PACKING * bool(args.pack) - (time.monotonic() - started), args.slots)
    except KeyboardInterrupt:
        interrupted = True
    _ignore()
    states = jobs.states()
    rows: list[dict[str, Any]] = [
        {"stage": j.job.stage, "target": str(j.target), "state": state, "seconds": round(j.seconds, 1)}
        for j, state in states
    ]
    write_json(RESULTS / "slice.json", {"jobs": rows})
    if args.pack:
        _pack(args.pack, since, rows)
    say(_counted(Counter(state for _, state in states)))
    if interrupted:
        raise KeyboardInterrupt
    if failed := [job for job, state in states if state == "failed"]:
        problem = f"{failed[0].name}: {failed[0].failure()}; its log: {failed[0].job.log}"
        raise UserError(f"slice: {plural(len(failed), 'job')} failed: {problem}")
