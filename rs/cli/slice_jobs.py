"""The jobs of `rs slice`: which of them can start, their processes, and what became of them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from rs.cli.slice_archives import take_manifest
from rs.errors import UserError
from rs.plan.jobs import RESULTS, Job
from rs.plan.plan import Plan
from rs.plan.staleness import inputs_digest, is_current
from rs.provenance.files import PART
from rs.stages.execution import as_dict

ELSEWHERE = "in another slice"
WAITS = ("not started", ELSEWHERE)  # states of a job that may still start here
MADE = ("there", "done")


@dataclass
class Waiting:
    """A job of the queue and its state. One that is not `requested` runs only if another needs its files."""

    job: Job
    place: str = ""  # of the entry that asks for it
    requested: bool = True
    plan: Plan | None = field(default=None, repr=False)
    state: str = "not started"
    seconds: float = 0.0
    stale: bool = False  # its files are there, but this job did not make them
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    started: float = 0.0
    _lock: IO[bytes] | None = field(default=None, repr=False)
    _stderr: IO[bytes] | None = field(default=None, repr=False)  # what its process writes, while it runs
    _last: str = ""  # the last line of that, afterwards

    @property
    def target(self) -> Path:
        return self.job.target

    @property
    def name(self) -> str:
        return f"{self.job.stage} {self.target.relative_to(RESULTS)}"

    def whole(self) -> bool:
        """Whether all its files are there."""
        return all(path.is_file() for path in self.job.outputs.values())

    def kept(self) -> list[Path]:
        """The files that are asked for: those that tables are made from, else all. Weights are made again
        only for a job that needs them: with others, nothing that was observed would hold.
        """
        tabled = [self.job.outputs[key] for key in self.job.declared.tabled]
        return tabled or list(self.job.outputs.values())

    def vouches(self) -> bool:
        """Whether its first file says that this code made it from these inputs; a network's also without the
        weights.
        """
        job, needed = self.job, [self.target] if self.job.declared.tabled else self.kept()
        with contextlib.suppress(UserError):
            return all(path.is_file() for path in needed) and is_current(
                self.target, job.spec, job.code, inputs_digest(job.reads())
            )
        return False

    def there(self) -> bool:
        """Whether its files are whole and made by this code from these inputs."""
        return self.whole() and self.vouches()

    def start(self) -> bool:
        """Whether it runs now. Not where another slice here runs it, or has just made its files."""
        if not self._take():
            return False
        if self.there():
            self._leave("there")
            return False
        command = [sys.executable, "-m", "rs", self.job.stage, "--worker", str(self.job.log)]
        command += ["--job", "-"]  # a command line cannot hold it
        environment = {**os.environ, "RS_PARENT": str(os.getpid()), "OMP_NUM_THREADS": "1"}
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        with tempfile.TemporaryFile() as job:
            job.write(json.dumps(as_dict(self.job)).encode())
            job.seek(0)
            self.started = time.monotonic()
            self.process = subprocess.Popen(command, env=environment, stdin=job, stderr=self._stderr)
        self.state = "running"
        return True

    def look(self) -> bool:
        """Whether it has ended since the last look."""
        assert self.process is not None
        code = self.process.poll()
        self.seconds = time.monotonic() - self.started
        if code is None:
            return False
        if code == 0 and self.job.stage == "data":
            take_manifest(self.target)
        self._leave("done" if code == 0 and self.there() else "failed")
        return True

    def end(self) -> None:
        """Ends its process, if any, and removes what this has half-written."""
        if self.process is None or self.state not in ("running", *WAITS):
            return
        if self.process.poll() == 0 and self.look():
            return
        self.process.kill()
        self.process.wait()
        self.seconds = time.monotonic() - self.started
        self._leave("cut off")
        for path in self.job.outputs.values():
            for part in (*path.parent.glob(f".{path.name}.*{PART}"), *path.parent.glob(f".resume-*{PART}")):
                part.unlink(missing_ok=True)

    def failure(self) -> str:
        """Why it failed: the last line that its process wrote, and the signal that ended it."""
        assert self.process is not None
        code, last = self.process.returncode, self.last()
        if code < 0:
            return f"ended by {signal.Signals(-code).name}{last and f'; its last line: {last}'}"
        if code == 0:
            return "made other files than planned: code or inputs were edited meanwhile; run it again"
        return last or f"no word, exit code {code}"

    def last(self) -> str:
        """The last line that its process wrote."""
        if self._stderr is None:
            return self._last
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), 4000, max(0, size - 4000))  # does not move the writer's place
        lines = tail.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _take(self) -> bool:
        """Whether no other slice runs the job: one that does keeps the log locked. True where there are no
        locks.
        """
        try:
            self.job.log.parent.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.job.log, "ab")  # noqa: SIM115
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._leave(ELSEWHERE)
            return False
        except OSError:
            pass  # the process says what cannot be written
        return True

    def _leave(self, state: str) -> None:
        """Its state from now on. Its files are closed: a queue may have more jobs than open files."""
        self.state, self._last = state, self.last()
        for opened in (self._lock, self._stderr):
            if opened is not None:
                opened.close()
        self._lock = self._stderr = None


class Jobs:
    """The jobs of a queue in order, and which of them make what others need."""

    def __init__(self, jobs: list[Waiting]) -> None:
        self.jobs = jobs
        self._makers = {path: waiting for waiting in jobs for path in waiting.job.outputs.values()}
        self._answers: dict[Path, bool] = {}  # targets whose first file answers for the job's other files
        self._runs: set[Path] = set()  # targets of the jobs that have to run
        self._reached: set[tuple[Path, bool]] = set()

    def startable(self) -> list[Waiting]:
        """The jobs that can start now, in order, what a job needs before it. Marks those that are there."""
        self._runs, self._reached = set(), set()
        ready: list[Waiting] = []
        for waiting in self.jobs:
            if waiting.requested:
                self._visit(waiting, waiting.kept(), ready)
        return ready

    def done(self, maker: Waiting) -> None:
        """Has the jobs judged again that read what `maker` has made."""
        self._answers = {}
        paths = set(maker.job.outputs.values())
        for waiting in self.jobs:
            if waiting.state == "there" and not paths.isdisjoint(waiting.job.reads()):
                waiting.state = "not started"

    def states(self) -> list[tuple[Waiting, str]]:
        """The jobs that were asked for or had to run, with their states. What tables need may be there
        although the weights are not.
        """
        return [
            (w, "there" if w.state == "not started" and self._answers.get(w.target) else w.state)
            for w in self.jobs
            if w.requested or w.state not in WAITS or w.target in self._runs
        ]

    def _visit(self, waiting: Waiting, paths: list[Path], ready: list[Waiting]) -> None:
        """Adds the job to `ready`, or the jobs that make what it lacks, unless its files at `paths` are
        there and current. They are judged once all that they were made from is there.
        """
        exist = all(path.is_file() for path in paths)
        if waiting.state not in WAITS or (waiting.target, exist) in self._reached:
            return
        self._reached.add((waiting.target, exist))
        if exist and not waiting.stale:
            if self._lacks(waiting.job.reads(), ready):
                return
            if self._answer(waiting):
                waiting.state = "there" if waiting.whole() else waiting.state
                return
            waiting.stale = True
        if waiting.target not in self._runs:
            self._runs.add(waiting.target)
            if not self._lacks(waiting.job.needs(), ready):
                ready.append(waiting)

    def _lacks(self, paths: list[Path], ready: list[Waiting]) -> bool:
        """Whether one of the files is not there as it will be; visits the jobs that make it."""
        lacks = False
        for path in paths:
            maker = self._makers.get(path)
            if maker is not None and not self._is_made(path):
                self._visit(maker, [path], ready)
            lacks |= not self._is_made(path)
        return lacks

    def _is_made(self, path: Path) -> bool:
        """Whether a file is what its job makes, or is there and no job makes it. The manifest of a network
        that is not here is taken as it is, as Snakemake takes it: what was observed says with which one.
        """
        maker = self._makers.get(path)
        if maker is None or maker.state in MADE:
            return path.exists()
        if maker.state not in WAITS or maker.target in self._runs or not path.exists():
            return False
        if maker.job.declared.tabled and not maker.requested and not maker.whole():
            return True
        return all(self._is_made(read) for read in maker.job.reads()) and self._answer(maker)

    def _answer(self, waiting: Waiting) -> bool:
        if waiting.target not in self._answers:
            self._answers[waiting.target] = waiting.vouches()
        return self._answers[waiting.target]
