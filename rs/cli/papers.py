"""`rs papers`: a page per paper, with its tables of published and reproduced numbers, and an index page."""

from __future__ import annotations

import argparse
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs.cli.slice_queue import read_queue
from rs.cli.verdicts import CLAIMS_SAYING_MOST, StudyResults, by_key, claims_of, everything, key_of
from rs.errors import UserError
from rs.plan import rules
from rs.plan.jobs import RESULTS
from rs.plan.plan import Plan
from rs.provenance.files import make_folder
from rs.report.claims import rests_on
from rs.report.papers import MACHINE, write_papers
from rs.report.verdict_words import verdict_words
from rs.statistics.agreement import FEWEST_SEEDS
from rs.study.rerun import command, stated
from rs.study.study import Study
from rs.tables import within_reach
from rs.tables.table import Row

NAMES = ("NAL", "STN", "Soap Bubbles", "MACER", "ADRE")
SEEDS = Path("config/scales/three-seeds.yaml")
QUEUE = Path("config/gpu/queue.yaml")  # some of its studies are of several files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "papers", metavar="FOLDER", help="default: results/papers"
    )


def run(args: argparse.Namespace) -> None:
    rules.require("papers")
    if args.out.exists() and not args.out.is_dir():
        raise UserError(f"papers: --out {args.out}: must be a folder")
    make_folder(args.out, "index.html")
    results = list(everything())
    by_files = {tuple(files): _left(files, overrides) for files, overrides in _studies(results)}
    names = _names(by_files)
    studies = {names[files]: study for files, study in by_files.items()}
    numbers = by_key(results)
    claims = {f"{claim['paper']}/{claim['id']}": claim for claim in claims_of(results)}
    open_numbers = {key for key, row in numbers.items() if _waits(row)}
    open_claims = {key for key, claim in claims.items() if claim["verdict"] == "not run"}
    left = _left_to_decide(studies, open_numbers, open_claims)
    hours = {name: study.hours for name, study in studies.items() if study.hours}
    shown = [
        {**row, "study": _shown(row, key, studies, names), "words": verdict_words(row)}
        for key, row in numbers.items()
    ]
    claim_rows = [{**_claim(claim), "study": names[_files(claim)]} for claim in claims.values()]
    claim_rows.sort(key=lambda claim: CLAIMS_SAYING_MOST.index(claim["verdict"]))
    commands = {name: study.command for name, study in studies.items()}
    pages = {name: os.path.relpath(study.page, args.out) for name, study in studies.items() if study.page}
    for path in write_papers(args.out, shown, claim_rows, NAMES, commands, hours, pages, left):
        print(path)


def _files(row: Row) -> tuple[Path, ...]:
    return tuple(map(Path, row["files"]))


def _names(studies: Mapping[tuple[Path, ...], _Left]) -> dict[tuple[Path, ...], str]:
    """Names on a page: a study's own, or its file and overlays where several are of one name."""
    shared = Counter(study.name for study in studies.values())
    joined = {files: " + ".join(file.stem for file in files) for files in studies}
    return {
        files: study.name if study.name and shared[study.name] == 1 else joined[files]
        for files, study in studies.items()
    }


def _studies(results: Sequence[StudyResults]) -> Iterator[tuple[list[Path], Row]]:
    """The files of every study, the queue's too, and its values from the command line."""
    queued = read_queue(QUEUE) if QUEUE.is_file() else []
    seen = set()
    known = [(one.files, one.overrides) for one in results]
    for files, overrides in (*known, *((entry.study, {}) for entry in queued)):
        if tuple(files) not in seen:
            seen.add(tuple(files))
            yield files, overrides


def _waits(row: Row) -> bool:
    """Whether a number waits for a first run, or for the third training seed."""
    too_few = row["decides"] == "seeds" and (row["decides_count"] or 0) <= FEWEST_SEEDS
    return row["status"] == "not run" or (row["status"] == "undecided" and too_few)


@dataclass(frozen=True)
class _Left:
    """The command that runs a study with seeds enough, its name where its files are valid, its remaining
    hours where the plan knows them, its page, and the numbers (by rs.cli.verdicts.key_of) and claims
    (paper/id) within its reach.
    """

    command: str
    name: str = ""
    hours: float | None = None
    page: Path | None = None
    numbers: frozenset[str] = frozenset()
    claims: frozenset[str] = frozenset()


def _left(files: list[Path], overrides: Row) -> _Left:
    from rs.plan import price, rates

    files = stated(files)
    try:
        study = Study(files, overrides)
        seeds = Counter(run.label for run in study.runs)
        if SEEDS.is_file() and min(seeds.values(), default=FEWEST_SEEDS) < FEWEST_SEEDS:
            files = [*files, SEEDS]
            study = Study(files, overrides)
        plan = Plan(study)
    except UserError:
        return _Left(command(files, overrides, cores="2"))
    cost = price.hours(plan, price.missing(plan), rates.card(MACHINE))
    page = plan.folder / "report.html"
    hours = cost.hours if cost else None
    priced = f"   # about {price.in_words(hours)} {MACHINE} hours" if hours else ""
    data = str(study.data["name"])
    return _Left(
        command(files, overrides, cores="2") + priced,
        study.name,
        hours,
        page if page.is_file() else None,
        frozenset(key_of(data, address) for address in within_reach.numbers(study)),
        frozenset(within_reach.claims(study)),
    )


def _left_to_decide(
    studies: dict[str, _Left], numbers: set[str], claims: set[str]
) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """The open numbers and claims that each study decides, without studies of which another one decides as
    much in less time.
    """
    reach = {name: (study.numbers & numbers, study.claims & claims) for name, study in studies.items()}
    hours = {name: study.hours or math.inf for name, study in studies.items()}
    return {
        name: mine
        for name, mine in reach.items()
        if not any(
            mine[0] <= other[0] and mine[1] <= other[1] and hours[by] < hours[name]
            for by, other in reach.items()
        )
    }


def _shown(row: Row, key: str, studies: Mapping[str, _Left], names: Mapping[tuple[Path, ...], str]) -> str:
    """The study that a number stands for: its own; of one that is not run, the cheapest that decides it."""
    if row["status"] != "not run":
        return names[_files(row)]
    able = [name for name, study in studies.items() if key in study.numbers and study.hours]
    return min(able, key=lambda name: studies[name].hours or 0, default="")


def _claim(row: dict[str, Any]) -> dict[str, Any]:
    decides = _deciding(row)
    evidence = row["settings"] or (rests_on([decides], row["verdict"]) if decides else "")
    ends = [decides[key] for key in ("low", "value", "high")] if decides else None
    return {**row, "evidence": evidence[:200], "interval": ends}


def _deciding(row: dict[str, Any]) -> dict[str, Any] | None:
    """The condition that decides the verdict: of those with this verdict, the least certain one, by its
    distance from 0 in widths of its interval.
    """
    same = [c for c in row["conditions"] if c["evidence"] and c["condition_verdict"] == row["verdict"]]
    conditions = same or [c for c in row["conditions"] if c["evidence"]]

    def sure(condition: dict[str, Any]) -> float:
        low, value, high = (condition[key] for key in ("low", "value", "high"))
        return abs(value) / (high - low) if None not in (low, value, high) and high > low else math.inf

    return min(conditions, key=sure, default=None)
