"""Which files Snakemake would make again, found without starting it: its start and graph take seconds.

The module judges as Snakemake does, by Snakemake's own records (times, content, parameters, inputs, command);
tests/workflow/test_pending.py compares the two over many states. What was not compared (an edited workflow,
another release, records of another format, a missing file of the user) is left to Snakemake. No torch.

From snakemake/dag.py, `update_needrun`: a job runs if it has a reason of its own or if a job upstream runs; a
job whose output is missing runs only if a job that runs needs that output.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rs.plan import file_times, records, rules
from rs.plan.data_elsewhere import left_out
from rs.plan.jobs import Job
from rs.plan.plan import Plan
from rs.plan.rules import Rule
from rs.plan.stages import STUDY_STAGES
from rs.plan.staleness import page_parts

SERIES = "9.27."  # the Snakemake releases that this module was compared with
PROFILE = Path("workflow/profiles/default/profile.v9+.yaml")
# Keys of a profile that do not affect what is stale.
HARMLESS = {"cores", "jobs", "resources", "retries", "scheduler", "show-failed-logs", "keep-going"}
NO_ENVIRONMENT = hashlib.md5(usedforsecurity=False).hexdigest()  # no conda, no container: Snakemake's digest


class NotJudged(Exception):
    """Why Snakemake has to be asked."""


@dataclass(eq=False)
class Task:
    """A job as Snakemake sees it. `inputs` are paths, each with whether it only has to exist."""

    rule: Rule | None  # None for the task that stands for the whole study and has no outputs
    outputs: list[str]
    inputs: list[tuple[str, bool]]
    params: set[str] = field(default_factory=set)  # as records hold them
    above: dict[Task, list[str]] = field(default_factory=dict)  # makers of its inputs, and which they make
    below: dict[Task, list[tuple[str, bool]]] = field(
        default_factory=dict
    )  # tasks that read its outputs, and which


def judged(plan: Plan) -> Iterator[tuple[str, str]]:
    """Each file of a study with "has", "lacks" or "stale". Raises NotJudged."""
    limit = _limit()
    tasks = in_order(plan, rules.read())
    again = Judge(tasks, limit).again()
    for task in tasks:
        for path in task.outputs:
            yield path, kind(path, task in again)


def kind(path: str, again: bool) -> str:
    """ "has", "lacks" or "stale", for a file that Snakemake would make `again` or not."""
    return "lacks" if not os.path.exists(path) else "stale" if again else "has"


def files(plan: Plan) -> list[str]:
    """All files that a study makes."""
    of_study = [*plan.table_files(), plan.folder / "report.html", plan.folder / "figures"]
    of_jobs = (path for job in plan.all_jobs() for path in job.outputs.values())
    return _texts([*of_jobs, *of_study, plan.folder / "mlflow.json"])


def _limit() -> int:
    """The size in bytes up to which files are compared by content. Raises NotJudged where workflow, Snakemake
    or profile differ from those that this module was compared with.
    """
    if rules.digest_here() != rules.COMPARED:
        raise NotJudged("the workflow here is not the one that rs came with")
    release = importlib.metadata.version("snakemake")
    if not release.startswith(SERIES):
        raise NotJudged(f"Snakemake is {release}, not {SERIES}x")
    if (records.RECORDS.parent / "metadata.db").exists():
        raise NotJudged("its records are in a database")
    try:
        profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
        limit = int(str(profile.pop("max-checksum-file-size")).removesuffix("MB")) * 1_000_000
        known = profile.pop("rerun-incomplete") is True and profile.keys() <= HARMLESS
    except (OSError, ValueError, KeyError, AttributeError, yaml.YAMLError):
        known = False
    if not known or "SNAKEMAKE_PROFILE" in os.environ:
        raise NotJudged("the profile says more than how to run jobs")
    return limit


# --- the graph ---


def in_order(plan: Plan, known: dict[str, Rule]) -> list[Task]:
    """The tasks that lead to the study's page, MLflow runs, figures and tables, in the order in which
    Snakemake finishes them; the task of the whole study is last.
    """
    targets = [plan.folder / name for name in ("report.html", "mlflow.json", "figures")]
    whole = Task(None, [], [(path, False) for path in _texts([*targets, *plan.table_files()])])
    makers = {path: task for task in _tasks(plan, known) for path in task.outputs}
    ordered: dict[Task, None] = {}

    def visit(task: Task) -> None:
        for path, _ in task.inputs:
            maker = makers.get(path)
            if maker is None and not os.path.exists(path):
                raise NotJudged(f"{path}: is missing")
            if maker is not None and maker not in task.above:
                task.above[maker] = []
                if maker not in ordered:
                    visit(maker)
        for path, ancient in dict(reversed(task.inputs)).items():  # of an input named twice, the first counts
            if path in makers:
                task.above[makers[path]].append(path)
                makers[path].below.setdefault(task, []).append((path, ancient))
        ordered[task] = None

    visit(whole)
    return list(ordered)


def _tasks(plan: Plan, known: dict[str, Rule]) -> Iterator[Task]:
    for job in plan.all_jobs():
        rule = known[job.declared.rule]
        out = left_out(plan, job)
        named = ((path, ancient) for name, ancient in rule.inputs for path in _named(job, name))
        inputs = [(str(path), ancient) for path, ancient in named if path != out]
        yield Task(rule, _texts(job.outputs.values()), inputs, {repr(job.params), repr(plan.lineage(job))})
    tables, page = plan.table_files(), plan.folder / "report.html"
    description = plan.described
    shared = {
        "aggregate": (tables, plan.aggregated_files(), [plan.summary]),
        "report": ([page, plan.folder / "figures"], tables, [description, page_parts()]),
        "track": ([plan.folder / "mlflow.json"], [*tables, page], [description, plan.study.tracking["uri"]]),
    }
    for stage in STUDY_STAGES:
        outputs, read, more = shared[stage]
        params = {repr(value) for value in (*more, plan.tables_lineage, plan.code(stage))}
        yield Task(known[stage], _texts(outputs), [(path, False) for path in _texts(read)], params)


def _named(job: Job, name: str) -> list[Path]:
    """The files of one input; all files that the job reads where its rule gives the input no name."""
    value = job.inputs.get(name)
    files = value.values() if isinstance(value, dict) else [value]
    return [path for path in files if isinstance(path, Path)] if name else job.reads()


def _texts(paths: Iterable[Path]) -> list[str]:
    return list(map(str, paths))


# --- the judgement ---


class Judge:
    """Judges tasks in an order where each follows the tasks whose files it reads."""

    def __init__(self, tasks: list[Task], limit: int) -> None:
        self.tasks, self.limit = tasks, limit
        self._began = records.unfinished()
        self._digests: dict[tuple[str, str], str] = {}

    def again(self) -> set[Task]:
        """The tasks that Snakemake would run."""
        since = self._oldest()
        reruns: dict[Task, None] = {}
        below: set[Task] = set()  # tasks below one that runs; their own reasons are not asked for
        for task in self.tasks:
            if not below.isdisjoint(task.above) or any(above in reruns for above in task.above):
                below.add(task)
            elif self._has_reason(task, since[task]):
                reruns[task] = None
        queue = list(reruns)
        for task in queue:
            lacking = [a for a, paths in task.above.items() if not all(map(os.path.exists, paths))]
            following = [b for b, inputs in task.below.items() if not all(map(_only_there, inputs))]

            for other in (*lacking, *following):
                if other not in reruns:
                    reruns[other] = None
                    queue.append(other)
        return set(reruns)

    def _oldest(self) -> dict[Task, float | None]:
        """The time of each task's oldest output; without outputs, that of a task that needs them."""
        since: dict[Task, float | None] = {}
        for task in reversed(self.tasks):
            own = [file_times.of_output(path) for path in task.outputs if os.path.exists(path)]
            later = (since[below] for below in task.below if since[below] is not None)
            since[task] = min(own) if own else next(later, None)
        return since

    def _has_reason(self, task: Task, since: float | None) -> bool:
        if self._began and any(records.is_unfinished(p) and os.path.exists(p) for p in task.outputs):
            return True
        if task.rule is None:
            return not all(os.path.exists(path) for path, _ in task.inputs)
        known = {path: records.read(path) for path in task.outputs}
        if since and any(self._is_new(path, since, known) for path, ancient in task.inputs if not ancient):
            return True
        kept = [record for record in known.values() if record is not None]
        formats = [record.get("record_format_version") or 0 for record in kept]
        if max(formats, default=0) > records.FORMAT:
            raise NotJudged("records are of a later Snakemake")
        if len(kept) < len(known) or min(formats) < records.FORMAT:
            return False
        inputs = sorted(path for path, _ in task.inputs)
        return any(_differs(record, task, task.rule.shell, inputs) for record in kept)

    def _is_new(self, path: str, since: float, known: dict[str, dict[str, Any] | None]) -> bool:
        """Whether an input is newer than the files made from it and not known to be unchanged since."""
        if not os.path.exists(path) or file_times.of_input(path) <= since:
            return False
        how = os.stat(path)
        if stat.S_ISDIR(how.st_mode) or stat.S_ISFIFO(how.st_mode) or how.st_size > self.limit:
            return True
        sums = {((record or {}).get("input_checksums") or {}).get(path) for record in known.values()}
        if len(sums) != 1 or (then := sums.pop()) is None:
            return True
        algorithm, _, value = str(then).rpartition(":")
        return self._digest(path, algorithm or "sha256") != value

    def _digest(self, path: str, algorithm: str) -> str:
        if (path, algorithm) not in self._digests:
            with open(path, "rb") as file:
                self._digests[path, algorithm] = hashlib.file_digest(file, algorithm).hexdigest()
        return self._digests[path, algorithm]


def _only_there(entry: tuple[str, bool]) -> bool:
    """Whether a file only has to exist, and exists."""
    path, ancient = entry
    return ancient and os.path.exists(path)


def _differs(record: dict[str, Any], task: Task, shell: str, inputs: list[str]) -> bool:
    """Whether a file was made with other parameters, inputs, command or environment than now."""
    now = {"input": inputs, "code": shell, "software_stack_hash": NO_ENVIRONMENT}
    if (then := record.get("params")) is not None and set(then) != task.params:
        return True
    return any(record.get(key) not in (None, value) for key, value in now.items())
