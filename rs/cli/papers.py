"""`rs papers`: a page per paper, with its tables of published and reproduced numbers, and an index page."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs.cli.verdicts import CLAIMS_SAYING_MOST, Told, claims_of, everything, numbers_of
from rs.errors import UserError
from rs.plan.jobs import RESULTS
from rs.plan.plan import Plan
from rs.report.claims import rests_on
from rs.report.papers import MACHINE, write_papers
from rs.report.verdict_words import verdict_words
from rs.study.study import Study

NAMES = ("NAL", "STN", "Soap Bubbles", "MACER", "ADRE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "papers", metavar="FOLDER", help="default: results/papers"
    )


def run(args: argparse.Namespace) -> None:
    if args.out.exists() and not args.out.is_dir():
        raise UserError(f"papers: --out {args.out}: must be a folder")
    told = list(everything())
    numbers = [{**row, "study": _study(row), "told": verdict_words(row)} for row in numbers_of(told)]
    claims = sorted(
        map(_claim, claims_of(told)), key=lambda claim: CLAIMS_SAYING_MOST.index(claim["verdict"])
    )
    left = {_study({"files": [str(f) for f in one.files]}): _left(one) for one in told}
    commands = {study: one.command for study, one in left.items()}
    hours = {study: one.hours for study, one in left.items() if one.hours}
    pages = {study: os.path.relpath(one.page, args.out) for study, one in left.items() if one.page}
    args.out.mkdir(parents=True, exist_ok=True)
    for path in write_papers(args.out, numbers, claims, NAMES, commands, hours, pages):
        print(path)


def _study(row: dict[str, Any]) -> str:
    """A study's name on a page: its file and its overlays."""
    return " + ".join(Path(file).stem for file in row["files"])


@dataclass(frozen=True)
class _Left:
    """The command that runs a study, its remaining hours where the plan knows them, and its page."""

    command: str
    hours: float | None = None
    page: Path | None = None


def _left(told: Told) -> _Left:
    from rs.plan import price, rates

    command = f"snakemake --cores 2 --configfile {' '.join(str(file) for file in told.files)}"
    try:
        plan = Plan(Study(told.files))
    except UserError:
        return _Left(command)
    found = price.hours(plan, price.missing(plan), rates.card(MACHINE))
    page = plan.folder / "report.html"
    hours = found.hours if found else None
    priced = f"   # about {price.in_words(hours)} {MACHINE} hours" if hours else ""
    return _Left(command + priced, hours, page if page.is_file() else None)


def _claim(row: dict[str, Any]) -> dict[str, Any]:
    decides = _deciding(row)
    said = row["settings"] or (rests_on([decides], row["verdict"]) if decides else "")
    ends = [decides[key] for key in ("low", "value", "high")] if decides else None
    return {**row, "study": _study(row), "evidence": said[:200], "interval": ends}


def _deciding(row: dict[str, Any]) -> dict[str, Any] | None:
    """The condition that decides the verdict: of those with this verdict, the least certain one, by its
    distance from 0 in widths of its interval.
    """
    same = [c for c in row["conditions"] if c["evidence"] and c["condition_verdict"] == row["verdict"]]
    found = same or [c for c in row["conditions"] if c["evidence"]]

    def sure(condition: dict[str, Any]) -> float:
        low, value, high = (condition[key] for key in ("low", "value", "high"))
        return abs(value) / (high - low) if None not in (low, value, high) and high > low else math.inf

    return min(found, key=sure, default=None)
