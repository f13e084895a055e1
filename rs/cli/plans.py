"""The study of a verb: its argument, its plan (imported when it is made), and the packages that it lacks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rs.errors import UserError
from rs.provenance.reading import parse_json

if TYPE_CHECKING:
    from rs.plan.jobs import Job
    from rs.plan.plan import Plan


def add_study(parser: argparse.ArgumentParser) -> None:
    default = [Path("config/config.yaml")]
    help_text = f"study file and its overlays (default: {default[0]})"
    parser.add_argument("--study", nargs="+", type=Path, default=default, metavar="FILE", help=help_text)


def plan_of(args: argparse.Namespace) -> Plan:
    """The plan of `args.study`, with the keys of `args.overrides` where the verb takes them."""
    overrides = parse_json(getattr(args, "overrides", "{}"), "--overrides is not JSON")
    if not isinstance(overrides, dict):
        raise UserError("--overrides: must be a mapping of keys")
    from rs.plan.plan import Plan
    from rs.study.study import Study

    return Plan(Study(args.study, overrides))


def tell_extras(plan: Plan, jobs: Iterable[Job]) -> None:
    """Prints which packages `jobs` need that are not installed here."""
    from rs.plan import extras

    for sentence in extras.sentences(plan, jobs):
        print(f"rs: {sentence}", file=sys.stderr)
