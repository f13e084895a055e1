"""How many images a draw file should hold so that jobs take minutes: a size to write into a study. No torch.

A job costs Snakemake about 50 ms, a cluster 4 s, and a process with torch another 4 s before its first vote.
The size is not part of a run's id, and counts do not depend on it. But a draw file holds whole shards, so no
size is proposed for runs that have draws.
"""

from __future__ import annotations

from collections import defaultdict
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


def proposed(plan: Plan, jobs: Iterable[Job], machine: Machine) -> Size | None:
    """The size for the jobs that draw for runs without draws, set by the slowest network among them.

    None where these jobs are few or already take minutes, and where the cost of a network is unknown.
    """
    folders: dict[Path, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.stage == "sample":
            folders[job.target.parent].append(job)
    alike = [group for folder, group in folders.items() if not folder.parent.is_dir()]
    try:
        taking = [_seconds(plan, group[0], machine) for group in alike]
    except NotPriced:
        return None
    count = sum(map(len, alike))
    if not count or SHORT <= max(taking) <= LONG or (max(taking) < SHORT and count <= FEW):
        return None
    held = [len(range(*group[0].spec["images"])) for group in alike]
    in_all = [images * len(group) for images, group in zip(held, alike, strict=True)]
    each = max(seconds / images for seconds, images in zip(taking, held, strict=True))
    least = -(-max(in_all) // MOST_IN_FOLDER)  # a folder with more files is refused
    size = min(max(_rounded(MINUTES * 60 / each), least), max(in_all))
    if not (size > max(held) if max(taking) < SHORT else size < max(held)):  # a folder cannot hold more files
        return None
    then = sum(-(-images // size) for images in in_all)
    return Size(machine.name, max(taking), count, size, size * each, then)


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
