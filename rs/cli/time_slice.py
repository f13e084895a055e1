"""`rs slice` is meant for a GPU that is lent for ten minutes. It needs neither Snakemake nor MLflow. QUEUE is
a YAML file, `queue: [{study: [FILE, OVERLAY, ...], stages: [...], runs: [LABEL, ...]}, ...]` (by default all
stages and runs). Its jobs start in that order as soon as their inputs exist, --slots at a time, each in a
process as Snakemake would start it. When time is up, running jobs are ended; trainings continue from their
last checkpoint in the next slice. The results are packed into a few archives of limited size, observations
first. The next slice, or a checkout with Snakemake, unpacks them into its results.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rs.cli.plans import tell_extras
from rs.errors import UserError, plural
from rs.plan import extras, running_plans
from rs.plan.jobs import RESULTS, Job
from rs.plan.plan import Plan
from rs.plan.shard_sizes import Kept
from rs.plan.staleness import job_is_current
from rs.provenance.files import make_folder, whole_file, write_json
from rs.provenance.run_files import DIVERGED
from rs.stages.execution import as_dict
from rs.study.study import Study
from rs.study.yaml_file import read_yaml

PACKING = 12.0  # seconds kept for packing
LARGEST = 15_000_000  # bytes of an archive
MOST = 7  # archives


@dataclass(frozen=True)
class Entry:
    """A study of the queue. `stages` and `runs` (labels) are the wanted ones, None for all; `place` is its
    place in the queue's file.
    """

    place: str
    study: list[Path]
    stages: list[str] | None
    runs: list[str] | None

    def check(self, stages: set[str], labels: set[str]) -> None:
        for key, named, there in (("stages", self.stages, stages), ("runs", self.runs, labels)):
            unknown = [name for name in named or [] if name not in there]
            if unknown:
                no = f"{key}: {self.study[0]} has no {unknown[0]!r}"
                raise UserError(f"{self.place}: {no}; allowed: {', '.join(sorted(there))}")

    def names(self, stage: str, labels: set[str]) -> bool:
        """Whether a job is wanted; `labels` are those of its runs, empty for a job of all runs."""
        return (self.stages is None or stage in self.stages) and (
            self.runs is None or not labels or not labels.isdisjoint(self.runs)
        )


@dataclass
class Waiting:
    """A job of the queue and its state."""

    job: Job
    state: str = "not started"
    seconds: float = 0.0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    started: float = 0.0

    @property
    def target(self) -> Path:
        return self.job.target

    @property
    def log(self) -> Path:
        return RESULTS / "log" / f"{self.job.stage}-{self.target.parent.parent.name}-{self.target.stem}.txt"

    def there(self) -> bool:
        """Whether its files are whole and made by this code from these inputs."""
        if not all(path.is_file() for path in self.job.outputs.values()):
            return False
        with contextlib.suppress(UserError):
            return job_is_current(self.job)
        return False

    def start(self) -> None:
        command = [sys.executable, "-m", "rs", self.job.stage, "--worker", str(self.log)]
        command += ["--job", "-"]  # a command line cannot hold it
        environment = {**os.environ, "RS_PARENT": str(os.getpid()), "OMP_NUM_THREADS": "1"}
        with tempfile.TemporaryFile() as job:
            job.write(json.dumps(as_dict(self.job)).encode())
            job.seek(0)
            self.process = subprocess.Popen(command, env=environment, stdin=job, stderr=subprocess.DEVNULL)
        self.started, self.state = time.monotonic(), "running"

    def look(self) -> None:
        """Updates its state if it has ended."""
        assert self.process is not None
        code = self.process.poll()
        self.seconds = time.monotonic() - self.started
        if code is not None:
            self.state = "done" if code == 0 and self.there() else "failed"

    def told(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text().strip().splitlines() if self.log.is_file() else []
        return lines[-1] if lines else "no log"


def read_queue(path: Path) -> list[Entry]:
    """The entries of a queue. Raises UserError for an invalid entry."""
    queue = read_yaml(path).get("queue")
    if not isinstance(queue, list) or not queue:
        raise UserError(f"{path}: queue: must be a list of {{study: [FILE, ...]}}")
    found = []
    for i, entry in enumerate(queue):
        place = f"{path}: queue: entry {i}"
        known = isinstance(entry, dict) and not entry.keys() - {"study", "stages", "runs"}
        if not known or "study" not in entry:
            expected = "{study: [FILE, ...], stages: [...], runs: [LABEL, ...]}"
            raise UserError(f"{place}: must be {expected}")
        for key, value in entry.items():
            if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
                raise UserError(f"{place}: {key}: must be a list of at least one text")
        study = [Path(f) for f in entry["study"]]
        found.append(Entry(place, study, entry.get("stages"), entry.get("runs")))
    return found


def jobs_of(queue: list[Entry]) -> list[Waiting]:
    """The jobs of all entries in order, each target once. The first entry sets the shards of shared draws,
    which other processes take from now on."""
    found: dict[Path, Waiting] = {}
    kept: Kept = {}
    with running_plans.in_turn() as record:
        for entry in queue:
            plan = Plan(Study(entry.study), kept)
            owners: dict[Path, set[str]] = defaultdict(set)
            for planned in plan.runs:
                for job in plan.of_run(planned.id):
                    owners[job.target].add(planned.run.label)
            entry.check(set(plan.jobs), {planned.run.label for planned in plan.runs})
            own = [Waiting(job) for job in plan.all_jobs() if entry.names(job.stage, owners[job.target])]
            tell_extras(plan, (w.job for w in own if extras.lacking(w.job) and not w.there()))
            found |= {waiting.target: waiting for waiting in own if waiting.target not in found}
        drawn = {w.target.parent.parent for w in found.values() if w.job.stage == "sample"}
        record({key: shards for key, shards in kept.items() if key[0] in drawn})
    return list(found.values())


def work(jobs: list[Waiting], seconds: float, slots: int) -> None:
    """Runs what it can for `seconds`; afterwards every worker has ended."""
    deadline = time.monotonic() + seconds
    for job in jobs:
        if job.there():
            job.state = "there"
    while time.monotonic() < deadline:
        running = [job for job in jobs if job.state == "running"]
        for job in running:
            job.look()
            if job.state != "running":
                name = f"{job.job.stage} {job.target.relative_to(RESULTS)}"
                told = f": {job.told()}" if job.state == "failed" else ""
                print(f"{job.seconds:6.1f} s  {job.state}  {name}{told}", flush=True)
        free = slots - sum(job.state == "running" for job in running)
        coming = {p for j in jobs if j.state not in ("there", "done") for p in j.job.outputs.values()}
        ready = (
            j
            for j in jobs
            if j.state == "not started"
            and all(path.exists() and path not in coming for path in j.job.needs())
        )
        for _, job in zip(range(free), ready, strict=False):
            job.start()
        if not any(job.state == "running" for job in jobs):
            break
        time.sleep(0.05)
    for job in jobs:
        if job.state == "running":
            assert job.process is not None
            job.process.kill()
            job.process.wait()
            job.state, job.seconds = "cut off", time.monotonic() - job.started


def pack(folder: Path, since: float = 0.0) -> list[Path]:
    """Packs results/runs into archives: observations, then networks, then checkpoints of trainings and the
    curves of those that diverged. Files older than `since` come last: an earlier slice has returned them.
    Archives of an earlier pack that are not replaced are removed; `unpack` would write them over newer files.
    """

    def rank(path: Path) -> tuple[bool, int, int, str]:
        kind = 2 if path.name.startswith(("resume-", DIVERGED)) else int(path.suffix == ".safetensors")
        return path.stat().st_mtime < since, kind, path.stat().st_size, str(path)

    whole = (p for p in (RESULTS / "runs").rglob("*") if p.is_file() and p.suffix != ".part")
    files = sorted(whole, key=rank)
    made: list[Path] = []
    left: list[Path] = []
    for number, part in enumerate(parts_of(files)):
        if number >= MOST:
            left += part
            continue
        made.append(folder / f"runs-{number}.tar")
        with whole_file(made[-1]) as temporary, tarfile.open(temporary, "w") as archive:
            for path in part:
                archive.add(path)
    for old in set(archives(folder)) - set(made) if made else ():
        old.unlink()
    if left:
        told = f"{plural(len(left), 'file')}: {', '.join(map(str, left))}"
        print(f"the {MOST} archives are full; not packed, {told}", file=sys.stderr)
    return made


def parts_of(files: list[Path]) -> Iterator[list[Path]]:
    """The files in order, in parts of at most LARGEST bytes (a larger file is a part of its own)."""
    part: list[Path] = []
    total = 0
    for path in files:
        size = path.stat().st_size + 2048
        if part and total + size > LARGEST:
            yield part
            part, total = [], 0
        part.append(path)
        total += size
    if part:
        yield part


def archives(folder: Path) -> list[Path]:
    """The archives of `pack`, in order."""
    return sorted(folder.glob("runs-[0-9].tar"))


def unpack(folder: Path) -> None:
    """Unpacks the archives of `pack`, if any, into results/runs and replaces files there."""
    if not folder.is_dir():
        raise UserError(f"{folder}: --unpack: must be a folder, empty or with the archives of a slice")
    for archive in archives(folder):
        try:
            with tarfile.open(archive) as opened:
                opened.extractall(".", filter="data")
        except (tarfile.TarError, OSError) as error:
            raise UserError(f"{archive}: cannot be unpacked: {error}") from error


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


def run(args: argparse.Namespace) -> None:
    started, since = time.monotonic(), time.time()
    if not args.minutes > 0 or args.slots < 1:  # both are false for nan
        raise UserError(f"slice: --minutes {args.minutes:g}: must be above 0, and --slots at least 1")
    queue = read_queue(args.queue)
    if args.unpack:
        unpack(args.unpack)
    jobs = jobs_of(queue)
    if args.pack:
        make_folder(args.pack, "runs-0.tar")
    left = 60 * args.minutes - PACKING * bool(args.pack) - (time.monotonic() - started)
    work(jobs, left, args.slots)
    rows: list[dict[str, Any]] = [
        {"stage": j.job.stage, "target": str(j.target), "state": j.state, "seconds": round(j.seconds, 1)}
        for j in jobs
    ]
    write_json(RESULTS / "slice.json", {"jobs": rows})
    if args.pack:
        pack(args.pack, since)
        write_json(args.pack / "slice.json", {"jobs": rows})
    states = [row["state"] for row in rows]
    print(", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)))
