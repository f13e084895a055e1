"""The table `claims`: the papers' claims compared with the tables. It has a row for each condition at each
radius, with its evidence, and the verdict on the claim. A study states its claims under `claims`.

| verdict | when |
|---|---|
| holds, fails | the conditions do, all of them or any (`join`) |
| undecided | the data leave it open |
| zero by construction | it would be decided by certified accuracies that are 0 for any network |
| other settings | a run that the claim reads differs from the paper's settings for it |
| not run | a run that could decide it does not exist |

`all` fails where one condition fails, `any` holds where one does, whatever the others are. Before that, a
condition at several radii, or of curves that cross, holds where all of its rows do. One of many rows would
decide by chance, so it must be surer: rs.tables.families derives by how much. The intervals shown are those
of a single row. Claims decided by theory have no settings.

At a radius that no side certifies with unanimous votes all values are 0, and the condition comes out the same
for any networks. Such a row has no verdict, and a claim has only one that is the same without these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NoReturn

from rs.study.claims import METRICS, sides_of
from rs.study.paper_settings import METHOD, differences, instrument_of, stated
from rs.study.published import labels_of
from rs.study.study import Study
from rs.tables.conditions import decide
from rs.tables.contestants import every
from rs.tables.families import Sure, sure
from rs.tables.pairs import between
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

ZERO = "zero by construction"
VERDICTS = ("holds", "fails", "undecided", ZERO, "other settings", "not run")
COLUMNS = (
    *("address", "id", "paper", "place", "claim", "verdict", "settings", "join", "condition", "radius"),
    *("condition_verdict", "value", "low", "high", "counted", "machines", "evidence"),
)
_OF = (
    *dict.fromkeys(table for table, _ in METRICS.values()),
    *("distributional", "worst_cases", "bound_checks", "radius_accuracy", "training", "attack_checks"),
)


def judged(study: Study, tables: dict[str, Sequence[Row]]) -> list[Row]:
    """Rows of COLUMNS. Raises UserError where a condition does not say which of several rows it means."""
    out = []
    for i, claim in enumerate(study.claims):
        conditions: list[list[Row]] = []
        levels = sure(claim, float(study.agreement["confidence"]))
        for j, (condition, level) in enumerate(zip(claim["conditions"], levels, strict=True)):
            refuse = partial(study.fail, ("claims", i, "conditions", j))
            conditions.append(as_one_of_many(condition, tables, study.agreement, refuse, level))
        verdict = _verdict(claim["join"], conditions)
        other = other_settings(study, claim) if verdict in ("holds", "fails", "undecided") else []
        rows = [row for each in conditions for row in each]
        machines = [row["machines"] for row in rows if ", " in (row["machines"] or "")]
        other += [f"machines: {machines[0]}"] if machines else []
        head = {"address": f"{study.name}/claims/{claim['id']}", "join": claim["join"]}
        head |= {key: claim[key] for key in ("id", "paper", "place", "claim")}
        head |= {"verdict": "other settings" if other else verdict, "settings": ". ".join(other) or None}
        for row in rows:
            own = ZERO if "by_construction" in row else row["verdict"]
            columns = {**row, "condition_verdict": own} | head
            out.append({key: columns[key] for key in COLUMNS})
    return out


def as_one_of_many(
    condition: Row,
    tables: dict[str, Sequence[Row]],
    agreed: Row,
    refuse: Callable[[str], NoReturn],
    level: Sure,
) -> list[Row]:
    """The rows of one condition, with the verdicts that they have among the claim's other rows."""
    alone, holding, failing = (
        list(decide(condition, tables, {**agreed, "confidence": confidence}, refuse))
        for confidence in (level.alone, level.holds, level.fails)
    )
    for row, surely_holds, surely_fails in zip(alone, holding, failing, strict=True):
        verdict = row["verdict"]
        if "by_construction" in row:
            continue
        if verdict in ("holds", "fails", "undecided"):
            holds, fails = surely_holds["verdict"] == "holds", surely_fails["verdict"] == "fails"
            # `better` fails by equivalence too: a higher confidence must not turn one verdict into the other
            row["verdict"] = "holds" if holds else "fails" if fails else "undecided"
        if row["verdict"] != verdict:
            number = level.holding if verdict == "holds" else level.failing
            row["counted"] += f"; {verdict} alone, not as one of {number}"
    return alone


def _verdict(join: str, conditions: Sequence[Sequence[Row]]) -> str:
    """The joint verdict on the rows of each condition."""

    def of(*parts: Sequence[Row]) -> str:
        return joined(join, [joined("all", [row["verdict"] for row in rows]) for rows in parts])

    counting = [[row for row in rows if "by_construction" not in row] for rows in conditions]
    counting = [rows for rows in counting if rows]
    verdict = of(*counting) if counting else ZERO
    return verdict if verdict == of(*conditions) else ZERO


def joined(join: str, verdicts: Sequence[str]) -> str:
    """The joint verdict on all conditions, or on any."""
    decisive, other = ("fails", "holds") if join == "all" else ("holds", "fails")
    if decisive in verdicts:
        return decisive
    if all(verdict == other for verdict in verdicts):
        return other
    return "not run" if "not run" in verdicts else "undecided"


def other_settings(study: Study, claim: Row) -> list[str]:
    """How the claim's runs differ, by runs, from the paper's settings of its runs or of a printed row.

    For a run in no printed row, an objective or noise of another name is no difference: the run is a
    baseline, and the paper's settings of its own method do not apply to it. Nor is a certificate or an attack
    of another name: the sentence is about it.
    """
    read = {
        (side["run"], instrument_of(condition["metric"], side))
        for condition in claim["conditions"]
        for side in sides_of(condition)
    }
    runs = [*dict.fromkeys(run.label for run in study.all_runs), *study.logs]
    by_difference: dict[str, list[str]] = {}  # the runs of each difference
    for label, by in sorted(read, key=lambda one: (runs.index(one[0]), str(one[1]))):
        rows = [e for e in study.published if e["paper"] == claim["paper"] and label in labels_of(e)]
        settings = [row["settings"] for row in rows] or [None]
        of = [stated(study, claim["paper"], own) for own in settings]
        others = ("certificate", "attack", *(() if rows else METHOD))
        options = [differences(study, label, one, by, others) for one in of]
        for one in min(options, key=len):
            if label not in by_difference.setdefault(one, []):
                by_difference[one].append(label)
    shared: dict[str, list[str]] = {}
    for one, labels in by_difference.items():
        shared.setdefault(", ".join(labels), []).append(one)
    return [f"{labels}: {'; '.join(ones)}" for labels, ones in shared.items()]


def rows(stored: Stored, *sources: Iterable[Row]) -> list[Row]:
    tables: dict[str, Sequence[Row]] = {name: list(s) for name, s in zip(_OF, sources, strict=True)}
    study = stored.plan.study
    return judged(study, {**tables, "comparisons": between(study, stored.once(every))})


TABLE = Table("claims", COLUMNS, rows, of=_OF)
