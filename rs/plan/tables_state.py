"""Whether the tables in results/ are of a study as its files are now, for whoever shows them or builds on
them. No torch.

Tables record a digest of all that they are made from (rs.plan.staleness.table_inputs), which says that
something differs. What differs is told by `settings`, which they record too: a study that gained a run still
has all settings of its tables, a study with another alpha does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from rs.errors import plural
from rs.plan.plan import Plan
from rs.plan.staleness import table_inputs
from rs.provenance.digests import digest
from rs.provenance.files import read_provenance
from rs.study.rerun import command

MOST = 3  # settings that a sentence names
KEY = "settings"  # in the provenance of the table RECORD
RECORD = "provenance"


class Kind(Enum):
    """How tables differ from what the study's files would make now."""

    OTHER = "some of their rows are of settings that the study no longer has"
    FEWER = "the study has gained runs, attacks or the like since"
    CHANGED = "files that they are made from have other content since"
    ALONE = "files that they are made from are not here, so nobody can tell"


@dataclass(frozen=True)
class Difference:
    """How a study's tables differ from it, and a line that says so and what mends it."""

    kind: Kind
    sentence: str


def settings(plan: Plan) -> list[tuple[str, str]]:
    """What the tables show, part by part: a name for the reader and a digest. A run or an attack that joins
    the study changes no other part.
    """
    parts = [tuple(part.split("=", 1)) for part in plan.summary.split()]
    return [(name, value) for name, value in parts if name != "runs"] + [*_of_runs(plan)]


def _of_runs(plan: Plan) -> Iterator[tuple[str, str]]:
    for planned in plan.runs:
        id, label, attacks, *more = plan.shown(planned)
        yield f"run {planned.title}", digest([id, label, *more], 12)
        uses: dict[Path, list[Any]] = {}
        for observation in planned.observations:
            for path, use in zip(observation.attacks, attacks, strict=True):
                uses.setdefault(path, []).append(use)
        for path in plan.tabled_files(planned.id):
            name = "network" if path.parent == planned.folder else path.parent.name
            yield from (
                (f"{name} of {planned.title}", digest([str(path), use], 12)) for use in uses.get(path, [None])
            )


def difference(plan: Plan) -> Difference | None:
    """How the study's tables differ from it; None where they do not, or are of a version that did not record
    what they were made from. Raises UserError for a damaged file.
    """
    inputs = {read_provenance(path).get("inputs") for path in plan.table_files()} - {None}
    if inputs <= {table_inputs(plan)}:
        return None
    now = settings(plan)
    recorded = read_provenance(plan.tables / f"{RECORD}.parquet").get(KEY)
    former = [(str(name), str(value)) for name, value in recorded] if recorded else []
    lost = [name for name, value in former if (name, value) not in {*now}]
    gained = [name for name, value in now if (name, value) not in {*former}]
    missing = [path for path in plan.aggregated_files() if not path.is_file()]
    again = command(plan.study.files, plan.study.overrides)
    if not missing and not plan.study.overrides:
        again = f"rs aggregate --study {' '.join(map(str, plan.study.files))}"
    kind = Kind.OTHER if lost or not former else Kind.FEWER if gained else Kind.CHANGED
    what = {
        Kind.OTHER: f"of other settings than {plan.study.files[0]} has now ({_named(lost)})",
        Kind.FEWER: f"without {_named(gained)}, which {plan.study.files[0]} has now",
        Kind.CHANGED: "older than the files that they are made from",
    }
    if kind is Kind.CHANGED and missing:
        kind, lacks = Kind.ALONE, plural(len(missing), "file")
        what[kind] = f"perhaps not what would be made now: {lacks} behind them not here, {missing[0]} first"
    return Difference(kind, f"{plan.tables}: {what[kind]}; run {again}")


def _named(names: Iterable[str]) -> str:
    """The first of these parts; a run whole instead of its files."""
    whole = {name.removeprefix("run ") for name in names if name.startswith("run ")}
    named = list(dict.fromkeys(name for name in names if name.partition(" of ")[2] not in whole))
    more = len(named) - MOST
    shown = ", ".join([*named[:MOST], f"and {more} more"] if more > 0 else named)
    return shown or "made by a version that did not record them"
