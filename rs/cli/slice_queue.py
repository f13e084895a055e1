"""The queue of `rs slice`: its entries, and the jobs that they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rs.cli.plans import tell_extras
from rs.cli.slice_jobs import Waiting
from rs.errors import UserError, plural
from rs.methods import catalog
from rs.plan import extras, price, rates, running_plans, started_studies
from rs.plan.jobs import Job
from rs.plan.plan import Plan
from rs.plan.shard_sizes import Kept
from rs.study.study import Study
from rs.study.yaml_file import read_yaml

EXPECTED = "{study: [FILE, ...], stages: [...], runs: [LABEL, ...]}"


@dataclass(frozen=True)
class Entry:
    """A study of the queue. `stages` and `runs` (labels) are the wanted ones, None for all; `place` is its
    place in the queue's file.
    """

    place: str
    study: list[Path]
    stages: list[str] | None
    runs: list[str] | None

    def jobs(self, plan: Plan) -> list[tuple[Job, bool]]:
        """The jobs of the wanted runs and of the data set, each with True; and with False those of other runs
        whose files they need, which run only where these files are not there. Raises UserError where there
        is none.
        """
        self._check(set(plan.jobs), {planned.run.label for planned in plan.runs})
        runs = [p.id for p in plan.runs if self.runs is None or p.run.label in self.runs]
        requested = {job.target: job for run in ("", *runs) for job in plan.of_run(run)}
        needed = {job.target for job in _above(plan, requested.values())}
        marked = [
            (job, job.target in requested)
            for job in plan.all_jobs()
            if job.target in needed and (self.stages is None or job.stage in self.stages)
        ]
        if not any(is_requested for _, is_requested in marked):
            problem = f"{self.study[0]} has no job of stages {', '.join(self.stages or [])}"
            raise UserError(f"{self.place}: {problem}{' for these runs' if self.runs else ''}")
        return marked

    def _check(self, stages: set[str], labels: set[str]) -> None:
        for key, named, there in (("stages", self.stages, stages), ("runs", self.runs, labels)):
            unknown = [name for name in named or [] if name not in there]
            if unknown:
                no = f"{key}: {self.study[0]} has no {unknown[0]!r}"
                raise UserError(f"{self.place}: {no}; allowed: {', '.join(sorted(there))}")


def _above(plan: Plan, jobs: Iterable[Job]) -> Iterator[Job]:
    """These jobs and all that their files come from."""
    makers, todo, seen = plan.makers(), list(jobs), set[Path]()
    while todo:
        job = todo.pop()
        if job.target not in seen:
            seen.add(job.target)
            yield job
            todo += [makers[path] for path in job.needs() if path in makers]


def read_queue(path: Path) -> list[Entry]:
    """The entries of a queue. Raises UserError for an invalid entry."""
    document = read_yaml(path)
    queue = document.get("queue")
    if not isinstance(queue, list) or not queue:
        raise UserError(f"{path}: queue: must be a list of {{study: [FILE, ...]}}")
    if unknown := [key for key in document if key != "queue"]:
        raise UserError(f"{path}: unknown key {unknown[0]!r}; allowed: queue")
    entries = []
    for i, entry in enumerate(queue):
        place = f"{path}: queue: entry {i}"
        known = isinstance(entry, dict) and not entry.keys() - {"study", "stages", "runs"}
        if not known or "study" not in entry:
            raise UserError(f"{place}: must be {EXPECTED}")
        for key, value in entry.items():
            if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
                raise UserError(f"{place}: {key}: must be a list of at least one text")
        study = [Path(f) for f in entry["study"]]
        entries.append(Entry(place, study, entry.get("stages"), entry.get("runs")))
    return entries


def jobs_of(queue: list[Entry]) -> list[Waiting]:
    """The jobs of all entries in order, each target once, at the first entry that asks for it. The first
    entry sets the shards of shared draws, which other processes take from now on.
    """
    by_target: dict[Path, Waiting] = {}
    kept: Kept = {}
    with running_plans.in_turn() as record:
        for entry in queue:
            plan = Plan(Study(entry.study), kept)
            catalog.build_plug_ins(plan.study)
            started_studies.record(plan)
            own = [Waiting(job, entry.place, requested, plan) for job, requested in entry.jobs(plan)]
            tell_extras(plan, (w.job for w in own if w.requested and extras.lacking(w.job) and not w.there()))
            for waiting in own:
                before = by_target.get(waiting.target)
                if before is None or (waiting.requested and not before.requested):
                    by_target.pop(waiting.target, None)
                    by_target[waiting.target] = waiting
        drawn = {w.target.parent.parent for w in by_target.values() if w.job.stage == "sample"}
        record({key: shards for key, shards in kept.items() if key[0] in drawn})
    return list(by_target.values())


def cost(jobs: list[Waiting]) -> Iterator[str]:
    """A line on what the jobs without their files cost on this machine, as far as that is known."""
    todo: dict[int, tuple[Plan, list[Job]]] = {}
    for waiting in jobs:
        if (
            waiting.requested
            and waiting.plan is not None
            and not all(path.is_file() for path in waiting.kept())
        ):
            todo.setdefault(id(waiting.plan), (waiting.plan, []))[1].append(waiting.job)
    here = rates.here()
    prices = [price.price(plan, some, here) for plan, some in todo.values()]
    if prices:
        hours, unpriced = sum(p.hours for p in prices), sum(bool(p.unpriced) for p in prices)
        known = "assumed; `rs price` measures" if any(p.assumed for p in prices) else "measured"
        minutes = f"{price.in_words(60 * hours)} {here.unit.replace('hours', 'minutes')}"
        estimate = f"about {minutes} here if run one after another ({known})"
        more = f"; {plural(unpriced, 'study', 'studies')} not priced whole" if unpriced else ""
        yield f"{plural(sum(p.jobs for p in prices), 'job')} missing: {estimate}{more}"


def unmade(jobs: list[Waiting]) -> Iterator[str]:
    """A line for each entry some of whose jobs cannot start: files that they need are neither here nor made
    by a job of the queue.
    """
    products = {path for waiting in jobs for path in waiting.job.outputs.values()}
    lacks: dict[str, list[Path]] = {}
    for waiting in jobs:
        lacking = [p for p in waiting.job.needs() if p not in products and not p.exists()]
        if waiting.requested and lacking and not all(path.is_file() for path in waiting.kept()):
            lacks.setdefault(waiting.place, []).append(lacking[0])
    for place, files in lacks.items():
        count = f"{plural(len(files), 'job')} cannot start"
        yield f"{place}: {count}: {files[0]} is not there, and no entry makes it"
