"""`rs papers`: a page per paper, its tables with published and reproduced numbers, and one for all."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rs.cli.verdicts import CLAIMS_SAYING_MOST, Told, claims_of, everything, numbers_of
from rs.errors import UserError
from rs.plan.jobs import RESULTS
from rs.plan.plan import Plan
from rs.report.claims import rests_on
from rs.report.papers import write_papers
from rs.report.verdict_words import verdict_words
from rs.study.study import Study

NAMES = ("NAL", "STN", "Soap Bubbles", "MACER", "ADRE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=RESULTS / "papers", metavar="FOLDER")


def run(args: argparse.Namespace) -> None:
    if args.out.exists() and not args.out.is_dir():
        raise UserError(f"papers: --out {args.out}: must be a folder")
    told = list(everything())
    numbers = [{**row, "study": _study(row), "told": verdict_words(row)} for row in numbers_of(told)]
    claims = sorted(
        map(_claim, claims_of(told)), key=lambda claim: CLAIMS_SAYING_MOST.index(claim["verdict"])
    )
    commands = {_study({"files": [str(f) for f in one.files]}): _command(one) for one in told}
    args.out.mkdir(parents=True, exist_ok=True)
    for path in write_papers(args.out, numbers, claims, NAMES, commands):
        print(path)


def _study(row: dict[str, Any]) -> str:
    """What a page calls a study: its file, and its overlays."""
    return " + ".join(Path(file).stem for file in row["files"])


def _command(told: Told) -> str:
    files = " ".join(str(file) for file in told.files)
    return f"snakemake --cores 2 --configfile {files}" + _price(told)


def _price(told: Told) -> str:
    """What is still to be run, in hours on a GPU where the plan can say it; nothing where all is there."""
    from rs.plan import price, rates

    try:
        plan = Plan(Study(told.files))
        left = price.hours(plan, price.missing(plan), rates.card("H100"))
    except UserError:
        return ""
    return f"   # about {left.hours:.2g} H100 hours" if left is not None and left.hours > 0 else ""


def _claim(row: dict[str, Any]) -> dict[str, Any]:
    rests = [rests_on(c) for c in row["conditions"] if c["evidence"]]
    evidence = row["settings"] or "; ".join(dict.fromkeys(rests))
    return {**row, "study": _study(row), "evidence": evidence[:200]}
