"""Why a study lacks networks or holds stale files, as far as finished files and Snakemake's records of them
tell: settings that were edited, and code.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rs.cli.acceptance import made_by_other_code
from rs.errors import UserError
from rs.plan import logged, records
from rs.plan.jobs import RESULTS, Job
from rs.plan.plan import Plan
from rs.plan.staleness import provenance_of
from rs.provenance.digests import canonical
from rs.tables.reading import read, rows_of

MOST = 4  # settings of one file that are named
FORMER = 20  # finished files that one missing file is compared with
DEFAULT = "the default"
REPLACED = ("calibrate", "certify", "attack")  # stages whose files are named by a digest of their settings


def reasons(plan: Plan, counts: Mapping[str, int], files: list[Path]) -> list[str]:
    """Sentences for the reader of `counts`, a study's files of each kind."""
    sentences = [*edited(plan), *replaced(plan)] if counts.get("lacks") else []
    if counts.get("stale"):
        sentences += [*of_the_study(plan), *of_the_store(plan), *of_other_code(plan, files)]
    return sentences


def edited(plan: Plan) -> Iterator[str]:
    """A sentence per change of settings between the networks in the study's last tables and those that it now
    asks for and lacks; runs with the same changes share it.
    """
    former, makers = _last_networks(plan), {job.target: job for job in plan.all_jobs()}
    runs: dict[str, list[str]] = {}
    for planned in plan.runs:
        was = former.get(planned.title)
        job = makers.get(planned.manifest)
        if was in (None, planned.network) or job is None or job.target.is_file():
            continue
        if changes := _changes(RESULTS / "runs" / str(was) / "model.json", job):
            runs.setdefault(_named(changes), []).append(planned.title)
    for named, names in runs.items():
        yield f"{', '.join(names)}: other settings than in the last tables: {named}"


def replaced(plan: Plan) -> Iterator[str]:
    """A sentence per stage and change of settings between missing files and finished ones of the same folder
    that the study no longer asks for: of these, the one whose settings differ least.
    """
    planned, numbers = {job.target for job in plan.all_jobs()}, Counter[tuple[str, str]]()
    for job in plan.all_jobs():
        if job.stage in REPLACED and not job.target.is_file():
            former = sorted(set(job.target.parent.glob(f"*{job.target.suffix}")) - planned)
            if changes := [one for path in former[:FORMER] if (one := _changes(path, job))]:
                numbers[job.stage, _named(min(changes, key=len))] += 1
    for (stage, named), number in numbers.items():
        yield f"{stage} {number:,}: other settings than those of finished files: {named}"


def of_the_study(plan: Plan) -> Iterator[str]:
    """At most one sentence: settings of the study itself that were edited since its tables or page."""
    if keys := _edited_keys(plan.table_files()[0], plan.summary):
        yield f"stale: tables and page, made with another value of {keys}"
    elif keys := _edited_keys(plan.folder / "report.html", plan.described):
        yield f"stale: the page, made with another value of {keys}"


def of_the_store(plan: Plan) -> Iterator[str]:
    """At most one sentence: why the study is to be logged to its MLflow store again."""
    with contextlib.suppress(UserError):  # the next logging replaces a damaged file
        if why := logged.unlogged(plan):
            yield f"stale: {logged.record_file(plan)}: {why}"


def _edited_keys(path: Path, digests: str) -> str:
    """The keys of `digests` (`digests_by_key`) whose digest is not the one with which Snakemake recorded that
    it made a file; empty without such a record.
    """
    params = (records.read(path) or {}).get("params")
    texts = [str(param).strip("'").split() for param in params] if isinstance(params, list) else []
    now = dict(each.split("=") for each in digests.split())
    for text in texts:
        former = dict(each.split("=", 1) for each in text if "=" in each)
        if former.keys() == now.keys():
            return ", ".join(key for key in now if former[key] != now[key])
    return ""


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


def _last_networks(plan: Plan) -> dict[str, str]:
    """Label and seed -> folder of the network, as the tables of the study have them; empty without tables."""
    with contextlib.suppress(UserError):
        rows = read(plan.folder / "tables", "runs")
        if {"label", "seed", "network"} <= set(rows):
            return {f"{r['label']} seed {r['seed']}": str(r["network"]) for r in rows_of(rows)}
    return {}


def _changes(path: Path, job: Job) -> list[str]:
    """The settings in which a finished file's differ from a job's; empty if they are not known."""
    with contextlib.suppress(UserError, OSError):
        spec = provenance_of(path).get("spec")
        return list(_differences(spec, canonical(job.spec))) if isinstance(spec, dict) else []
    return []


def _named(changes: list[str]) -> str:
    more = len(changes) - MOST
    return "; ".join([*changes[:MOST], f"and {more} more"] if more > 0 else changes)


def _differences(was: Any, now: Any, place: str = "") -> Iterator[str]:
    """A text per leaf in which two settings differ. Lists of entries are compared one by one if as many."""
    if isinstance(was, Mapping) or isinstance(now, Mapping):
        former, later = (each if isinstance(each, Mapping) else {} for each in (was, now))
        for key in sorted({*former, *later}):
            head = f"{place}.{key}" if place else key
            yield from _differences(former.get(key, DEFAULT), later.get(key, DEFAULT), head)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now) and _entries([*was, *now]):
        for i, (former, later) in enumerate(zip(was, now, strict=True)):
            yield from _differences(former, later, f"{place}[{i}]")
    elif was != now:
        yield f"{place} is {now}, was {was}"


def _entries(values: list[Any]) -> bool:
    return all(isinstance(value, Mapping) for value in values)
