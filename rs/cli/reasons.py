"""Why a study lacks networks or holds stale files, as far as finished files and Snakemake's records of them
tell: settings that were edited since its last tables, and code.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rs.cli.acceptance import made_by_other_code
from rs.errors import UserError
from rs.plan import records
from rs.plan.jobs import RESULTS, Job, PlannedRun
from rs.plan.plan import Plan
from rs.plan.staleness import provenance_of
from rs.tables.reading import read, rows_of

MOST = 4  # settings of one network that are named
DEFAULT = "the default"


def reasons(plan: Plan, counts: Mapping[str, int], files: list[Path]) -> list[str]:
    """Sentences for the reader of `counts`, a study's files of each kind."""
    sentences = list(edited(plan)) if counts.get("lacks") else []
    if counts.get("stale"):
        sentences += [*of_the_study(plan), *of_other_code(plan, files)]
    return sentences


def edited(plan: Plan) -> Iterator[str]:
    """A sentence per change of settings between the networks in the study's last tables and those that it now
    asks for and lacks; runs with the same changes share it.
    """
    former, makers = _last_networks(plan), {job.target: job for job in plan.all_jobs()}
    runs: dict[str, list[str]] = {}
    for planned in plan.runs:
        was = former.get(_name(planned))
        job = makers.get(planned.manifest)
        if was in (None, planned.network) or job is None or job.target.is_file():
            continue
        if changes := _changes(RESULTS / "runs" / str(was) / "model.json", job):
            runs.setdefault(changes, []).append(_name(planned))
    for changes, names in runs.items():
        yield f"{', '.join(names)}: other settings than in the last tables: {changes}"


def of_the_study(plan: Plan) -> Iterator[str]:
    """At most one sentence: settings of the study itself that were edited since its tables or page."""
    if _made_with_others(plan.table_files()[0], plan.summary):
        keys = "runs, labels, report.radii, published, papers, agreement, claims, comparisons or logs"
        yield f"stale: tables and page, made with another value of {keys}"
    elif _made_with_others(plan.folder / "report.html", plan.described + plan.summary):
        yield "stale: the page, made with another value of description or report"


def _made_with_others(path: Path, digest: str) -> bool:
    """Whether Snakemake recorded that it made a file with another digest of settings."""
    params = (records.read(path) or {}).get("params")
    return isinstance(params, list) and repr(digest) not in params


def of_other_code(plan: Plan, files: list[Path]) -> list[str]:
    """At most one sentence: how many finished files count as made by other code, by stage."""
    with contextlib.suppress(UserError):  # the stage that reads a damaged file reports it
        counts = Counter[str]()
        for other in made_by_other_code(plan, None, []):
            counts[other.stage] += len(other.jobs)
        if counts:
            stages = ", ".join(f"{stage} {number:,}" for stage, number in counts.items())
            study = " ".join(map(str, files))
            accept = f"what has changed, and how to keep them: rs accept --study {study}"
            return [f"stale: made by other code: {stages}, and what is made from these; {accept}"]
    return []


def _name(planned: PlannedRun) -> str:
    return f"{planned.run.label} seed {planned.run.seed}"


def _last_networks(plan: Plan) -> dict[str, str]:
    """Label and seed -> folder of the network, as the tables of the study have them; empty without tables."""
    with contextlib.suppress(UserError):
        rows = read(plan.folder / "tables", "runs")
        if {"label", "seed", "network"} <= set(rows):
            return {f"{r['label']} seed {r['seed']}": str(r["network"]) for r in rows_of(rows)}
    return {}


def _changes(manifest: Path, job: Job) -> str:
    """The settings in which a finished network's differ from a job's; empty if they are not known."""
    with contextlib.suppress(UserError, OSError):
        spec = provenance_of(manifest).get("spec")
        if isinstance(spec, dict):
            was, now = _flat(spec), _flat(job.spec)
            keys = sorted(k for k in {*was, *now} if was.get(k, DEFAULT) != now.get(k, DEFAULT))
            changes = [f"{k} is {now.get(k, DEFAULT)}, was {was.get(k, DEFAULT)}" for k in keys[:MOST]]
            return "; ".join([*changes, f"and {len(keys) - MOST} more"] if len(keys) > MOST else changes)
    return ""


def _flat(spec: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in spec.items():
        flat |= _flat(value, f"{head}{key}.") if isinstance(value, Mapping) else {f"{head}{key}": value}
    return flat
