"""Why a study lacks networks or holds stale files, as far as finished files and Snakemake's records of them
tell: settings that were edited, and code.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from rs.cli.acceptance import made_by_other_code
from rs.errors import UserError, plural
from rs.plan import logged, records
from rs.plan.jobs import RESULTS, Job
from rs.plan.plan import Plan
from rs.plan.staleness import provenance_of, table_inputs
from rs.provenance.digests import canonical
from rs.provenance.files import read_provenance
from rs.tables.reading import read, rows_of

MOST = 4  # settings of one file that are named
FORMER = 20  # finished files that one missing file is compared with
DEFAULT = "the default"
REPLACED = ("calibrate", "certify", "attack")  # stages whose files are named by a digest of their settings


def reasons(
    plan: Plan, counts: Mapping[str, int], files: list[Path], stale: Collection[str] = ()
) -> list[str]:
    """Sentences for the reader of `counts`, a study's files of each kind; `stale` are the paths of one."""
    sentences = [*edited(plan), *replaced(plan)] if counts.get("lacks") else []
    if counts.get("stale"):
        sentences += [*of_the_study(plan, stale), *of_the_store(plan), *of_other_code(plan, files)]
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


def of_the_study(plan: Plan, stale: Collection[str] = ()) -> Iterator[str]:
    """At most one sentence: settings of the study itself that were edited since its tables or page; or, where
    its tables are among the `stale` files, the files that they lack or are older than.
    """
    table = plan.table_files()[0]
    if keys := _edited_keys(table, plan.summary):
        yield f"stale: tables and page, made with another value of {keys}"
    elif str(table) in stale and (others := _other_files(plan, table)):
        yield f"stale: tables and page, {others}"
    elif keys := _edited_keys(plan.folder / "report.html", plan.described):
        yield f"stale: the page, made with another value of {keys}"


def of_the_store(plan: Plan) -> Iterator[str]:
    """At most one sentence: why the study is to be logged to its MLflow store again."""
    with contextlib.suppress(UserError):  # the next logging replaces a damaged file
        if why := logged.unlogged(plan):
            yield f"stale: {logged.record_file(plan)}: {why}"


def _other_files(plan: Plan, table: Path) -> str:
    """How the files that a table is to be made from differ from those that it was made from; empty where they
    do not, or where the table does not tell.
    """
    makers = {job.target: job.stage for job in plan.all_jobs()}
    if missing := Counter(makers[p] for p in plan.aggregated_files() if p in makers and not p.exists()):
        return f"which wait for {_by_stage(missing)}, missing"
    with contextlib.suppress(UserError):
        former = read_provenance(table).get("inputs")
        if former is not None and former != table_inputs(plan):
            return "older than files that they are made from"
    return ""


def _by_stage(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{stage} {number:,}" for stage, number in numbers.items())


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
            study = " ".join(map(str, files))
            accept = f"what has changed, and how to keep them: rs accept --study {study}"
            return [f"stale: made by other code: {_by_stage(counts)}, and what is made from these; {accept}"]
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
    """A text per leaf in which two settings differ. Lists of entries are compared one by one if as many, else
    by the names of their entries.
    """
    if isinstance(was, Mapping) or isinstance(now, Mapping):
        former, later = (each if isinstance(each, Mapping) else {} for each in (was, now))
        for key in sorted({*former, *later}):
            head = f"{place}.{key}" if place else key
            yield from _differences(former.get(key, DEFAULT), later.get(key, DEFAULT), head)
    elif isinstance(was, list) and isinstance(now, list) and _entries([*was, *now]):
        if len(was) == len(now):
            for i, (former, later) in enumerate(zip(was, now, strict=True)):
                yield from _differences(former, later, f"{place}[{i}]")
        else:
            yield from _by_name(was, now, place)
    elif was != now:
        yield f"{place} is {_in_words(now)}, was {_in_words(was)}"


def _by_name(was: list[Any], now: list[Any], place: str) -> Iterator[str]:
    """A text per entry that one list has and the other has not, and those of entries that both have."""
    former, later = ({_called(entry): entry for entry in each} for each in (was, now))
    if (len(former), len(later)) != (len(was), len(now)):  # several of one name
        yield f"{place} has {plural(len(now), 'entry', 'entries')}, had {len(was)}"
        return
    for name in dict.fromkeys([*later, *former]):
        if name in former and name in later:
            yield from _differences(former[name], later[name], f"{place}[{name}]")
        else:
            yield f"{place}: {name} is {'new' if name in later else 'gone'}"


def _called(entry: Mapping[str, Any]) -> str:
    """The label or the name of an entry of a list, else its values."""
    return str(entry.get("label") or entry.get("name") or ", ".join(map(_in_words, entry.values())))


def _in_words(value: Any) -> str:
    """A value as a reader would say it: of entries their names."""
    if isinstance(value, list) and value and _entries(value):
        return ", ".join(map(_called, value))
    return _called(value) if isinstance(value, Mapping) else str(value)


def _entries(values: list[Any]) -> bool:
    return all(isinstance(value, Mapping) for value in values)
