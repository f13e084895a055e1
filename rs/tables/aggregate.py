"""The aggregate stage: a study's Parquet tables from the files of its runs. Everything is derived, nothing
drawn.

TABLES lists the tables. A new one is a module that ends in a `Table` (rs.tables.table), its entry in TABLES
behind the tables that it derives from, and its name in rs.plan.plan.TABLES, its columns in columns.toml.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rs.errors import UserError
from rs.plan import tables_state
from rs.plan.plan import Plan
from rs.plan.tables_state import Kind
from rs.provenance.files import ADVICE, provenance, read_table, write_table
from rs.tables import (
    attack_checks,
    bound_checks,
    calibration,
    certified,
    claims,
    comparisons,
    distributional,
    empirical_accuracy,
    examples,
    images,
    over_seeds,
    published,
    runs,
    training,
    worst_cases,
)
from rs.tables.columns import typed
from rs.tables.provenance import TABLE as PROVENANCE
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        runs.TABLE,
        training.TABLE,
        certified.ACCURACY,
        certified.CURVE,
        certified.AVERAGE,
        over_seeds.ACCURACY,
        over_seeds.RADIUS,
        empirical_accuracy.TABLE,
        attack_checks.TABLE,
        calibration.TABLE,
        distributional.TABLE,
        worst_cases.TABLE,
        bound_checks.TABLE,
        published.TABLE,
        claims.TABLE,
        examples.TABLE,
        images.IMAGES,
        images.THUMBNAILS,
        comparisons.TABLE,
        PROVENANCE,
    )
}


def aggregate(plan: Plan, folder: Path, code: str) -> None:
    """Writes every table of TABLES into `folder`; a table without rows keeps its columns."""
    for name, rows in rows_of(plan).items():
        spec = {"study": plan.study.name, "table": name}
        sources: Row = {"files": [str(file) for file in plan.study.files]}  # rs clean keeps their results
        sources |= {"overrides": plan.study.overrides} if plan.study.overrides else {}
        sources |= {tables_state.KEY: tables_state.settings(plan)} if name == tables_state.RECORD else {}
        metadata = provenance(spec, code, **sources)
        write_table(folder / f"{name}.parquet", typed(TABLES[name], rows), metadata)


def rows_of(plan: Plan) -> dict[str, list[Row]]:
    """The rows of every table. Raises UserError for an invalid file."""
    stored = Stored(plan)
    rows: dict[str, list[Row]] = {}
    for name, table in TABLES.items():
        rows[name] = list(table.rows(stored, *(rows[source] for source in table.of)))
    return rows


def check_tables(plan: Plan, only_shown: bool = False) -> None:
    """Raises UserError unless each of the study's tables exists, is of this study as it is now and has its
    columns. Where they are `only_shown`, a line tells of results that they lack; other settings are refused.
    """
    for path in plan.table_files():
        metadata = read_table(plan.existing(path), TABLES[path.stem].columns)[1]
        if metadata.get("spec") != {"study": plan.study.name, "table": path.stem}:
            raise UserError(f"{path}: not the table {path.stem} of {plan.study.name}; {ADVICE}")
    if (differs := tables_state.difference(plan)) is None:
        return
    if differs.kind is Kind.OTHER or (differs.kind is not Kind.ALONE and not only_shown):
        raise UserError(differs.sentence)
    print(f"rs: {differs.sentence}", file=sys.stderr)
