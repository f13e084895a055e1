"""Memory and disk that the jobs of a plan need, about, from shapes and weights. No torch.

Memory is that of the hungriest job: a process with torch, its images where they are resident, weights with
gradients and what the optimizer keeps, and what the layers put out for all copies of a batch (kept for the
backward pass, or the two widest of a forward pass, taken as a tenth). Disk is what stays: prepared images,
weights, draws and attacks; `checkpoint` is what the largest training keeps beside its weights until it ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from rs.plan.jobs import Job
from rs.plan.plan import Plan
from rs.plan.rates import costs_of
from rs.plan.work import RESIDENT, NotPriced, Work, attacked_images, image_bytes, work_of
from rs.study.schema import defaults, section

PROCESS = 0.8e9  # bytes of Python with torch and what it loads
PER_IMAGE = {"sample": 16, "attack": 240}  # bytes on disk of an image's votes, and of an attack at one radius
KEPT = {"sgd": 2, "adam": 3}  # weights of a checkpoint: its own and what the optimizer keeps


@dataclass(frozen=True)
class Space:
    """Bytes."""

    memory: float
    disk: float
    checkpoint: float

    def as_json(self) -> dict[str, float]:
        return asdict(self)


def space(plan: Plan, jobs: Iterable[Job]) -> Space:
    """Of these jobs, without those of which nothing is known (rs.plan.price tells of them)."""
    memory, disk, checkpoint = 0.0, 0.0, 0.0
    for job in jobs:
        resident = image_bytes(plan) if image_bytes(plan) <= RESIDENT else 0
        if job.stage == "data":
            disk += resident
            memory = max(memory, PROCESS + 2 * resident)
        elif job.stage == "sample":
            disk += len(range(*job.spec["images"])) * PER_IMAGE["sample"]
        try:
            works = list(work_of(plan, job))
            weights = 4.0 * max((costs_of(w.network)["weights"] for w in works), default=0)
            needed = [PROCESS + resident + n for n in _batches(job, works)]
        except NotPriced:
            continue
        if job.stage == "attack":
            disk += PER_IMAGE["attack"] * len(job.spec["attack"]["radii"]) * attacked_images(plan, job)
        kept = 1
        if job.stage == "train":
            kept = KEPT[defaults(section("training"), job.spec["training"])["optimizer"]["name"]]
            disk, checkpoint = disk + weights, max(checkpoint, kept * weights)
        memory = max([memory, *(n + (kept + 1) * weights for n in needed)])
    return Space(memory, disk, checkpoint)


def _batches(job: Job, works: list[Work]) -> Iterator[float]:
    """Bytes of what the layers put out in one pass of each kind."""
    for work in works:
        share = 1.0 if work.kind in ("update", "ascent", "gradient") else 0.1
        width = 2 if work.network.precision == "bfloat16" else 4
        copies = math.ceil(work.copies / max(work.passes, 1))
        yield share * copies * costs_of(work.network)["outputs"] * width / job.processes
