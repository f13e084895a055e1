"""What a study costs, for its missing jobs or for all: hours by stage, memory and disk. No torch.

    from rs.plan import price

    found = price.price(plan, price.missing(plan))           # on this machine
    found.hours, found.unit, found.assumed, found.stages     # 1.3, core-hours, True, {"train": 1.2, ...}

For many calls, pass the machine (`rates.here()`, `rates.card("H100")`). Tables, pages and certificates
(seconds) and the decoding of streamed images are not counted.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs.errors import plural
from rs.plan import rates
from rs.plan.jobs import Job
from rs.plan.passes import NotPriced, Work, compiled_kinds, singly, taken
from rs.plan.plan import Plan
from rs.plan.stages import STAGES
from rs.plan.staleness import in_order
from rs.plan.work import work_of


@dataclass(frozen=True)
class Price:
    """Hours by stage on one machine, as expected, and at most (where votes may stop early).

    `assumed` where a rate was not measured there. `unpriced` names work of unknown cost, which the hours
    lack.
    """

    machine: str
    unit: str
    jobs: int
    stages: dict[str, float]
    most: float
    assumed: bool
    unpriced: tuple[str, ...]

    @property
    def hours(self) -> float:
        return sum(self.stages.values())

    def as_json(self) -> dict[str, Any]:
        fields = {"machine": self.machine, "unit": self.unit, "assumed": self.assumed, "jobs": self.jobs}
        fields |= {"hours": self.hours, "most_hours": self.most, "stages": self.stages}
        return fields | {"unpriced": list(self.unpriced)}


def price(plan: Plan, jobs: Iterable[Job], machine: rates.Machine | None = None) -> Price:
    """What `jobs` of a plan cost, one after another, on a machine (by default this one)."""
    on = machine or rates.here()
    known: dict[tuple[Any, ...], rates.Rate] = {}
    seconds: dict[str, float] = defaultdict(float)
    most, assumed, count, unpriced = 0.0, False, 0, dict[str, None]()
    for job in jobs:
        count += 1
        if not job.declared.device:
            continue
        try:
            parts = [taken(part, on.gpu) for work in work_of(plan, job) for part in singly(work)]
            for work in parts:
                key = (work.network, work.kind, work.recorded)
                if key not in known:
                    known[key] = on.rate(work)
        except NotPriced as reason:
            unpriced[str(reason)] = None
            continue
        compiled = {"vote"} if job.stage == "form" else compiled_kinds(parts)
        likely = longest = rates.START + sum(rates.COMPILING[kind] for kind in compiled)
        for work in parts:
            rate = known[work.network, work.kind, work.recorded]
            assumed |= rate.assumed
            likely += rate.seconds(work.passes, work.copies)
            longest += _longest(work, rate)
        seconds[job.stage] += likely
        most += longest
    hours = {stage: seconds[stage] / 3600 for stage in STAGES if stage in seconds}
    return Price(on.name, on.unit, count, hours, most / 3600, assumed, tuple(unpriced))


def _longest(work: Work, rate: rates.Rate) -> float:
    grown = 1.0 if work.most is None else work.most / work.copies
    return rate.seconds(work.passes * grown, work.copies * grown)


def hours(plan: Plan, jobs: Iterable[Job], machine: rates.Machine | None = None) -> Price | None:
    """`price`, or None where the cost of some of the work is unknown."""
    found = price(plan, jobs, machine)
    return None if found.unpriced else found


def whole(plan: Plan) -> list[Job]:
    """All jobs of a study."""
    return list(in_order(plan))


def missing(plan: Plan) -> list[Job]:
    """The jobs that the study's tables still wait for, in order: jobs without their files that a needed file
    is made from, and the jobs downstream of them. Stale files that exist are not counted.
    """
    todo = [path for path in plan.aggregated_files() if not path.exists()]
    if not todo:
        return []
    jobs = whole(plan)
    makers = plan.makers()
    needed: dict[int, Job] = {}
    while todo:
        job = makers.get(todo.pop())
        if job is not None and id(job) not in needed:
            needed[id(job)] = job
            todo += [path for path in job.needs() if not path.exists()]
    anew: set[Path] = set()
    waiting = []
    for job in jobs:
        if id(job) in needed or not anew.isdisjoint(job.needs()):
            anew.update(job.outputs.values())
            waiting.append(job)
    return waiting


def sentence(plan: Plan) -> str | None:
    """One line on the missing jobs and their price here; None where no job is missing."""
    jobs = missing(plan)
    cost = price(plan, jobs)
    if not jobs:
        return None
    if not cost.stages and not cost.unpriced:
        stages = ", ".join(f"{stage} {n:,}" for stage, n in Counter(job.stage for job in jobs).items())
        return f"{plural(len(jobs), 'job')} missing: {stages}, which train and draw nothing"
    if not cost.stages:
        return f"{plural(len(jobs), 'job')} missing; cost unknown: {'; '.join(cost.unpriced)}"
    parts = ", ".join(f"{stage} {in_words(h)}" for stage, h in cost.stages.items())
    assumed = "assumed; `rs price` measures" if cost.assumed else "measured"
    hours = f"about {in_words(cost.hours)} {cost.unit} here ({assumed})"
    text = f"{plural(len(jobs), 'job')} missing: {hours}: {parts}"
    if cost.most > 1.05 * cost.hours:
        text += f"; at most {in_words(cost.most)}"
    return text + (f"; not included: {'; '.join(cost.unpriced)}" if cost.unpriced else "")


def in_words(value: float) -> str:
    """Hours with two digits: 0.12, 3.4, 120."""
    if value < 0.005:
        return "0"
    digits = 1 - math.floor(math.log10(value))
    return f"{round(value, digits):,.{min(max(digits, 0), 2)}f}"
