"""How many images a draw file should hold for jobs of minutes: a size to write into a study. No torch.

A job costs Snakemake some 50 ms, a cluster 4 s, and a process with torch another 4 s before its first vote.
The size is no part of a run's id, and counts do not depend on it; but a draw file holds whole shards, so for
runs that have draws none is proposed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rs.plan.jobs import Job
from rs.plan.plan import Plan
from rs.plan.rates import Machine
from rs.plan.work import NotPriced, singly, work_of
from rs.settings.limits import MOST_IN_FOLDER

MINUTES = 10.0
SHORT, LONG = 60.0, 4 * 3600.0  # seconds: jobs between them are left alone
FEW = 200  # jobs that nobody minds, however short


@dataclass(frozen=True)
class Size:
    """Jobs of votes that take `seconds` on a machine, `jobs` in all; with `images_per_shard` images each they
    are `then` and take `becomes` seconds: about MINUTES, or as near to it as a folder's files allow.
    """

    machine: str
    seconds: float
    jobs: int
    images_per_shard: int
    becomes: float
    then: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        now, then = map(_in_words, (self.seconds, self.becomes))
        advice = f"sampling: {{images_per_shard: {self.images_per_shard}}} makes it {then}"
        counts = f"{self.then:,} jobs of votes instead of {self.jobs:,}"
        return f"{self.machine}: a job of votes takes about {now}; {advice}, {counts}"


def proposed(plan: Plan, jobs: Iterable[Job], machine: Machine) -> Size | None:
    """The size for those of these jobs that draw for runs without draws, by the slowest network among them.

    None where they are few or take minutes as they are, and where nothing is known of a network.
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
    least = -(-max(in_all) // MOST_IN_FOLDER)  # more files in a folder are refused
    size = min(max(_rounded(MINUTES * 60 / each), least), max(in_all))
    if not (size > max(held) if max(taking) < SHORT else size < max(held)):  # folders hold no more files
        return None
    then = sum(-(-images // size) for images in in_all)
    return Size(machine.name, max(taking), count, size, size * each, then)


def _seconds(plan: Plan, job: Job, machine: Machine) -> float:
    """Of its votes; what a job takes before them is no reason for another size."""
    parts = (part for work in work_of(plan, job) for part in singly(work))
    return sum(machine.rate(part).seconds(part.passes, part.copies) for part in parts)


def _in_words(seconds: float) -> str:
    for unit, length in (("h", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _rounded(images: float) -> int:
    """Down to one digit, at least 1: 1,234 becomes 1,000."""
    whole = max(int(images), 1)
    return int(str(whole)[0] + "0" * (len(str(whole)) - 1))
