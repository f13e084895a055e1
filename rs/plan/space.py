"""Estimates memory and disk that the jobs of a plan need, from shapes and weights. No torch.

Memory is that of the largest job: a process with torch, the images where they are resident, the weights with
gradients and optimizer state, and the layers' outputs for all copies of a batch. A backward pass keeps all
outputs; a forward pass needs the two widest, taken as a tenth. Disk is what stays: prepared images, weights,
draws and attacks. `checkpoint` is what the largest training keeps beside its weights until it ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rs.plan.jobs import Job
from rs.plan.passes import COMPILED_GRADIENT, NotPriced, Work
from rs.plan.plan import Plan
from rs.plan.rates import costs_of
from rs.plan.work import RESIDENT, attacked_images, image_bytes, work_of
from rs.study.schema import defaults, section

PROCESS = 0.8e9  # bytes of a Python process with torch and its libraries
PER_IMAGE = {"sample": 16, "attack": 240}  # bytes on disk of an image: its votes, its attack at one radius
KEPT = {"sgd": 2, "adam": 3}  # weights and optimizer state in a checkpoint, in units of the weights


@dataclass(frozen=True)
class Space:
    """Sizes in bytes."""

    memory: float
    disk: float
    checkpoint: float


def space(plan: Plan, jobs: Iterable[Job]) -> Space:
    """The space for these jobs, without those of unknown cost (rs.plan.price reports them)."""
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
    """Bytes of the layers' outputs in one pass of each kind."""
    for work in works:
        share = 1.0 if work.kind in ("update", "ascent", "gradient", COMPILED_GRADIENT) else 0.1
        width = 2 if work.network.precision == "bfloat16" else 4
        copies = math.ceil(work.copies / max(work.passes, 1))
        yield share * copies * costs_of(work.network)["outputs"] * width / job.processes
