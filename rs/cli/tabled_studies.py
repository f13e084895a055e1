"""The studies behind tables in results/, as their files are now, and those shipped in config/: which of them
count is decided here for the verbs that look at all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rs.errors import UserError
from rs.plan import tables_state
from rs.plan.plan import Plan
from rs.provenance.files import read_provenance
from rs.report.numerals import naturally
from rs.study.rerun import study_of
from rs.study.study import Study

SHIPPED = ("config/*.yaml", "config/papers/*.yaml")
DEMO = Path("config/config.yaml")  # its claims are not the papers'


def shipped() -> list[Path]:
    """The studies in config/ but the demo, as pages list them: k = 200 before k = 1000."""
    return naturally(path for pattern in SHIPPED for path in Path().glob(pattern) if not is_demo(path))


def is_demo(file: Path) -> bool:
    """Whether a file is the demo's, here or in another checkout."""
    return file.parts[-len(DEMO.parts) :] == DEMO.parts


def readable(files: list[Path]) -> Iterator[Study]:
    """The studies of these files. One that is invalid is left out with a line: it stops nobody else's."""
    for file in files:
        try:
            yield Study([file])
        except UserError as error:
            print(f"rs: left out: {error}", file=sys.stderr)


def study_behind(table: Path) -> Study:
    """The study that made a table, as its files are now. Raises UserError where they are gone or invalid, or
    have become a study of another name, whose tables these are not.
    """
    study = study_of(table, read_provenance(table))
    if study.name != table.parents[1].name:
        now = f"{study.files[0]} is now the study {study.name}"
        raise UserError(f"{table.parent}: of a former name: {now}; `rs clean` lists what is left of it")
    return study


def current(table: Path) -> Plan | None:
    """The plan of the study whose tables lie beside `table`. None, with a line, where the tables are not what
    the study's files would make now.
    """
    try:
        plan = Plan(study_behind(table))
        differs = tables_state.difference(plan)
    except UserError as error:
        place = "" if str(error).startswith(str(table.parent)) else f"{table.parent}: "
        print(f"rs: not counted: {place}{error}", file=sys.stderr)
        return None
    if differs is None:
        return plan
    counts = differs.kind is tables_state.Kind.ALONE
    print(f"rs: {'' if counts else 'not counted: '}{differs.sentence}", file=sys.stderr)
    return plan if counts else None
