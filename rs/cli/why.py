"""`rs why ADDRESS`: the chain from a sentence to the observations behind it, and the command that repeats it.

An address names a printed number (`nal/nal-table-1/nal-gamma=1.5/epsilon`), a claim (`STUDY/claims/ID`), as
`rs verdicts` prints them, or a row of a study's tables (`STUDY/certified_accuracy[3]`).
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rs.cli import verdicts
from rs.cli.rederive import certified
from rs.cli.tabled_studies import SHIPPED, readable, study_behind
from rs.cli.verdicts import OBSERVATIONS
from rs.cli.why_rows import places_text, rows_text
from rs.errors import UserError, plural
from rs.plan import diverged, price
from rs.plan.jobs import RESULTS, PlannedRun
from rs.plan.plan import Plan
from rs.provenance.files import read_table
from rs.provenance.run_files import read_model_manifest
from rs.report.numerals import naturally
from rs.report.verdict_words import verdict_words
from rs.study.rerun import command
from rs.study.study import Study
from rs.tables import within_reach
from rs.tables.aggregate import TABLES, check_tables, rows_of
from rs.tables.claims import judged
from rs.tables.own_numbers import by_own_numbers
from rs.tables.published import beside
from rs.tables.table import Row

PIXELS = ("examples", "thumbnails")  # tables of pictures
DISTRIBUTIONAL = ("distributional", "worst_cases", "bound_checks")
CELL = re.compile(r"(\w+)\[(\d+)\]")


def run(args: argparse.Namespace) -> None:
    print("\n".join(chain(args.address)))


def chain(address: str) -> Iterator[str]:
    """Lines from the sentence down to the command. Raises UserError for an unknown address."""
    name, _, rest = address.partition("/")
    plan, tables, folder = _study(name, address)
    named = [file.as_posix() for file in plan.study.files]
    if cell := CELL.fullmatch(rest):
        yield from _evidence(plan, tables, folder, [cell.groups()], address)
    else:
        rows = [row for key in ("published", "claims") for row in tables[key] if row["address"] == address]
        if not rows:
            known = list(
                dict.fromkeys(row["address"] for key in ("published", "claims") for row in tables[key])
            )
            near = difflib.get_close_matches(address, known, 3, 0.5) or sorted(set(known))[:3]
            hint = f"of its {len(set(known))}, near: {', '.join(near)}" if known else "it states none"
            raise UserError(f"{address}: {name} has no such number, claim or row TABLE[N]; {hint}")
        # what decides a claim, first
        rows.sort(key=lambda row: row.get("condition_verdict") != row.get("verdict"))
        yield from _sentence(plan.study, rows)
        if all(row.get("counted") == "theory" for row in rows):
            yield from _decided_by(rows)
            return
        not_run = "not run" in (rows[0].get("status"), rows[0].get("verdict"))
        if not_run and (obstacle := within_reach.obstacle(plan.study, address)):
            yield f"  running this study does not decide it: {obstacle}. Studies that do: rs papers"
        cells = CELL.findall(", ".join(str(row["evidence"] or "") for row in rows))
        yield from _evidence(plan, tables, folder, cells, address)
    if folder is None:
        yield from diverged.sentences(plan)
        yield f"not run: {price.sentence(plan) or 'only its tables are missing'}"
    elif folder == OBSERVATIONS:
        yield f"compute it again from kept observations: rs rederive --study {' '.join(named)}"
    yield f"run everything again: {command(plan.study.files, plan.study.overrides)}"


def _study(name: str, address: str) -> tuple[Plan, dict[str, Any], Path | None]:
    """Plan, tables and the folder of the runs: of results, of kept observations, or None."""
    table = RESULTS / name / "tables" / "published.parquet"
    if table.is_file():
        plan = Plan(study_behind(table))
        check_tables(plan, only_shown=True)
        kept = {
            t: read_table(table.with_name(f"{t}.parquet"))[0].to_pylist() for t in TABLES if t not in PIXELS
        }
        return plan, kept, RESULTS / "runs"
    for files in verdicts.kept():
        study = Study(files)
        if study.name == name:
            plan = Plan(study)
            with certified(plan, OBSERVATIONS, plan.runs):
                return plan, rows_of(plan), OBSERVATIONS
    names = [path.parents[1].name for path in RESULTS.glob("*/tables/published.parquet")]
    names += [Study(files).name for files in verdicts.kept()]
    for study in readable(naturally(path for pattern in SHIPPED for path in Path().glob(pattern))):
        names.append(study.name)
        if study.name == name:
            nothing: dict[str, Any] = {table: [] for table in TABLES}
            return Plan(study), {**nothing, "published": beside(study, {}), "claims": judged(study, {})}, None
    near = difflib.get_close_matches(name, names, 3, 0.5)
    hint = f"; near it: {', '.join(dict.fromkeys(near))}" if near else ""
    raise UserError(f"{address}: no study is named {name!r} here{hint}")


def _sentence(study: Study, rows: list[Row]) -> Iterator[str]:
    first = rows[0]
    if "claim" in first:
        yield f"{first['paper']}, {first['place']}: {first['claim']}"
        yield f"  verdict: {first['verdict']}" + (f" ({first['settings']})" if first["settings"] else "")
        yield from _conditions(rows)
        verdict, own = by_own_numbers(study).get(first["id"], ("", []))
        if verdict:
            yield f"  by the paper's own numbers: {verdict}"
            yield from _conditions(own)
        return
    at = "" if first["radius"] is None else f" at {first['radius']:g}"
    yield f"{first['paper']}, {first['table']}: {first['metric']}{at} is printed as {first['printed']}"
    yield f"  verdict: {verdict_words(first)}"
    if first["reproduced"] is not None:
        yield f"  reproduced: {first['reproduced']:.6g} {_ends(first)}"


def _conditions(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        at = "" if row["radius"] is None else f" at {row['radius']:g}"
        value = "" if row["value"] is None else f" = {row['value']:.4g} {_ends(row)}"
        by = str(row["evidence"] or "")
        found = f"  {row['condition_verdict']}: {row['condition']}{at}{value} ({row['counted']})"
        if CELL.search(by):
            yield from (found, f"    by {places_text(by)}")
        else:
            yield f"{found} {by}".rstrip()


def _decided_by(rows: list[Row]) -> Iterator[str]:
    """How a claim that no network decides is decided again; pages are read."""
    tests = [row["evidence"] for row in rows if ".py" in row["evidence"]]
    if tests:
        yield f"decide it again: python -m pytest {' '.join(dict.fromkeys(tests))}"


def _ends(row: Row) -> str:
    low, high = ("–" if row[end] is None else f"{round(row[end], 9) + 0.0:.4g}" for end in ("low", "high"))
    return f"[{low}, {high}]"


def _evidence(
    plan: Plan, tables: dict[str, Any], folder: Path | None, cells: Iterable[tuple[str, ...]], address: str
) -> Iterator[str]:
    """The rows of the tables, then each run of theirs once, with all files that these rows come from."""
    found = {(t, int(i)): _row(plan, tables, t, int(i), address) for t, i in cells}
    rows = [(table, row) for (table, _), row in found.items()]
    seeds = {planned.id: planned.run.seed for planned in plan.runs}
    yield from rows_text(((*place, row) for place, row in found.items()), seeds)
    nothing = dict.fromkeys(TABLES["provenance"].columns)  # rows that no file held lack empty columns
    for planned in plan.runs:
        own = [(table, row) for table, row in rows if _is_of(planned, row)]
        sources = [nothing | files for files in tables.get("provenance", []) if files["run"] == planned.id]
        if own:
            made_from = [files for files in sources if any(behind(*of, files) for of in own)]
            yield from _run(planned, folder, made_from)


def _row(plan: Plan, tables: dict[str, Any], table: str, index: int, address: str) -> Row:
    if table not in tables:
        raise UserError(
            f"{address}: {plan.study.name} has no table {table}; allowed: {', '.join(sorted(tables))}"
        )
    if not 0 <= index < len(tables[table]):
        rows = len(tables[table])
        raise UserError(f"{address}: table {table} has {plural(rows, 'row')}, numbered from 0")
    found: Row = tables[table][index]
    return found


def _is_of(planned: PlannedRun, row: Row) -> bool:
    """Whether a row is about this run: it names the run, or only its label, as rows over seeds do."""
    labels = {row.get(key) for key in ("label", "a", "b")} - {None}
    return planned.id == row.get("run") or ("run" not in row and planned.run.label in labels)


def behind(table: str, row: Row, files: Row) -> bool:
    """Whether the row of `table` comes from these files, a row of the table `provenance` of the same run."""
    stages: tuple[str, ...] = ()  # the network alone
    if table in DISTRIBUTIONAL:
        stages = ("distributional",)
    elif table == "calibration":
        stages = ("calibrate",)
    elif row.get("attack"):
        stages = ("attack", "sample", "certify") if row.get("check") == "certificate" else ("attack",)
    elif row.get("certificate"):
        stages = ("sample", "certify")
    same_noise = not row.get("smoothing") or files["smoothing"] in (None, row["smoothing"])
    same_attack = files["stage"] != "attack" or files["what"] == row.get("attack")
    return files["stage"] in stages and same_noise and same_attack


def _run(planned: PlannedRun, folder: Path | None, made_from: list[Row]) -> Iterator[str]:
    """The files behind a row, the network, its commit and machine."""
    if folder is None:
        return
    at = folder / planned.network
    yield f"  run {planned.run.label}, seed {planned.run.seed}: {at}"
    for files in made_from:
        file = Path(files["file"]).relative_to(planned.folder)
        if (at / file).exists():  # radii are derived again from kept votes, and not kept
            count = f", {int(files['files'])} files" if (files["files"] or 1) > 1 else ""
            yield f"    {files['stage']}, {files['what']}: {file}{count}"
    manifest = read_model_manifest(at / "model.json")
    provenance = manifest["provenance"]
    facts = [f"sha256 {manifest['sha256'][:12]}"]
    for key in ("epochs", "device", "precision", "commit", "code_digest"):
        facts += [f"{key} {provenance[key]}"] if provenance.get(key) is not None else []
    yield f"    network: {', '.join(facts)}"
    if (source := planned.source) is not None:
        at = folder / source.network / "draws"
        yield f"    its votes start from the answers of run {source.run.label}, seed {source.run.seed}: {at}"
