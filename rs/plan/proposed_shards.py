"""How many images a draw file should hold so that jobs take minutes: a size to write into a study. No torch.

A job costs Snakemake about 50 ms, a cluster 4 s, and a process with torch another 4 s before its first vote.
The size is not part of a run's id, and counts do not depend on it. But a draw file holds whole shards, so no
size is proposed for runs that have draws.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rs.errors import plural
from rs.plan.jobs import Job
from rs.plan.passes import NotPriced, singly
from rs.plan.plan import Plan
from rs.plan.rates import Machine
from rs.plan.work import work_of
from rs.settings.limits import MOST_IN_FOLDER

MINUTES = 10.0
SHORT, LONG = 60.0, 4 * 3600.0  # seconds; the size is left alone where jobs take a time between these
FEW = 200  # number of jobs that is acceptable however short they are


@dataclass(frozen=True)
class Size:
    """`jobs` jobs of votes take `seconds` each on a machine. With `images_per_shard` images they become
    `then` jobs of `becomes` seconds: about MINUTES, or as near as the limit of files in a folder allows.
    """

    machine: str
    seconds: float
    jobs: int
    images_per_shard: int
    becomes: float
    then: int

    def __str__(self) -> str:
        now, then = map(_in_words, (self.seconds, self.becomes))
        advice = f"sampling: {{images_per_shard: {self.images_per_shard}}} makes it {then}"
        counts = f"{plural(self.then, 'sampling job', spec=',')} instead of {self.jobs:,}"
        return f"{self.machine}: a sampling job takes about {now}; {advice}, {counts}"


@dataclass(frozen=True)
class _Undrawn:
    """Draws of a run under one noise: the images of all shards and of one, the jobs of one shard (its
    selection votes, then one for each block), and the seconds of the longest of them.
    """

    images: int
    held: int
    jobs: int
    seconds: float

    def count(self, size: int) -> int:
        """How many jobs draw them in shards of `size` images."""
        return -(-self.images // size) * self.jobs

    @property
    def least(self) -> int:
        """The smallest shards of which a folder holds the files; with smaller ones a study is refused."""
        return -(-self.images // max(MOST_IN_FOLDER // (self.jobs - 1), 1))


def proposed(plan: Plan, jobs: Iterable[Job], machine: Machine) -> Size | None:
    """The size for the jobs that draw for runs without draws, set by the slowest network among them.

    None where these jobs are few or already take minutes, and where the cost of a network is unknown.
    """
    by_folder: dict[Path, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.stage == "sample":
            by_folder[job.target.parents[1]].append(job)
    try:
        runs = [_undrawn(plan, own, machine) for folder, own in by_folder.items() if not folder.is_dir()]
    except NotPriced:
        return None
    count, seconds = sum(run.count(run.held) for run in runs), max((run.seconds for run in runs), default=0)
    if not runs or SHORT <= seconds <= LONG or (seconds < SHORT and count <= FEW):
        return None
    each, held = max(run.seconds / run.held for run in runs), max(run.held for run in runs)
    size = max(_rounded(MINUTES * 60 / each), *(run.least for run in runs))
    size = min(size, max(run.images for run in runs))
    if not (size > held if seconds < SHORT else size < held):  # a folder cannot hold more files
        return None
    then = sum(run.count(size) for run in runs)
    return Size(machine.name, seconds, count, size, size * each, then)


def _undrawn(plan: Plan, jobs: list[Job], machine: Machine) -> _Undrawn:
    shards = Counter(tuple(job.spec["images"]) for job in jobs)
    images = [len(range(*shard)) for shard in shards]
    alike = {job.spec["purpose"]: job for job in reversed(jobs)}  # the first shard is a whole one
    seconds = max(_seconds(plan, job, machine) for job in alike.values())
    return _Undrawn(sum(images), max(images), max(shards.values()), seconds)


def _seconds(plan: Plan, job: Job, machine: Machine) -> float:
    """Seconds of the job's votes; its start-up is no reason for another size."""
    parts = (part for work in work_of(plan, job) for part in singly(work))
    return sum(machine.rate(part).seconds(part.passes, part.copies) for part in parts)


def _in_words(seconds: float) -> str:
    for unit, length in (("h", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _rounded(images: float) -> int:
    """Rounds down to one significant digit, at least 1: 1,234 becomes 1,000."""
    whole = max(int(images), 1)
    return int(str(whole)[0] + "0" * (len(str(whole)) - 1))
