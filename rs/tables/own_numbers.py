"""What a paper's own numbers say of its claims: each condition decided by what is printed, as if it were
measured, and by rounding alone. No torch.

Numbers that contradict a claim show that the sentence says more than the table does, or that the condition
here says more than the sentence. Images and seeds add no noise: it is about these very numbers. Margins
count for `equivalent` alone. A number that is printed for the best of several runs is no run's own, and is
left out.
"""

from __future__ import annotations

import math
from functools import partial

from rs.study.claims import THEORY, kind_of
from rs.study.study import Study
from rs.tables.claims import joined
from rs.tables.conditions import AGAINST, decide
from rs.tables.measured import TABLED
from rs.tables.printed import METRICS, Number, numbers_of
from rs.tables.table import Row

HOUR = 3600.0
MARGINS = ("accuracy", "acr", "epsilon")
# MOVER adds squares, where roundings add up; numbers one unit apart differ, so the ends are not reached
ROUNDED = math.sqrt(2) * (1 - 1e-9)


def by_own_numbers(study: Study) -> dict[str, tuple[str, list[Row]]]:
    """For each claim, by id, that printed numbers decide or leave open: the verdict (holds, fails, undecided)
    and its conditions' rows. Claims of theory, and those whose runs lack a printed number, have none.
    """
    decided = {}
    for i, claim in enumerate(study.claims):
        if all(kind_of(condition) in THEORY for condition in claim["conditions"]):
            continue
        tables = printed_tables(study, claim["paper"])
        rows: list[Row] = []
        verdicts = []
        for j, condition in enumerate(claim["conditions"]):
            adapted = {**condition, "about": "networks", "smoothing": None}
            refuse = partial(study.fail, ("claims", i, "conditions", j))
            margins = study.agreement if condition["equivalent"] is not None else dict.fromkeys(MARGINS, 0.0)
            mine = list(decide(adapted, tables, {**margins, "confidence": TABLED}, refuse))
            verdicts.append(joined("all", [row["verdict"] for row in mine]))
            rows += [_as_printed(row) for row in mine]
        verdict = joined(claim["join"], verdicts)
        if verdict != "not run":
            decided[claim["id"]] = (verdict, rows)
    return decided


def _as_printed(row: Row) -> Row:
    against = f"; {AGAINST}" if AGAINST in str(row["counted"]) else ""
    counted = row["counted"] if row["verdict"] == "not run" else f"as printed{against}"
    if row["counted"] == "theory":
        return row | {"condition_verdict": row["verdict"]}
    return row | {"condition_verdict": row["verdict"], "counted": counted, "evidence": None}


def printed_tables(study: Study, paper: str) -> dict[str, list[Row]]:
    """The paper's printed numbers of single runs as rows of the tables that the claims read."""
    tables: dict[str, list[Row]] = {}
    seen = set()
    for number in numbers_of(study):
        entry = number.entry
        if entry["paper"] != paper or len(number.labels) > 1 or entry["cost"] != "without_noise":
            continue
        row = _row(number)
        place = tuple(row.get(key) for key in ("label", "certificate", "attack", "radius", "metric"))
        if place not in seen:  # the same network in two tables of the paper
            seen.add(place)
            tables.setdefault(METRICS[number.metric][0], []).append(row)
    return tables


def _row(number: Number) -> Row:
    """The value, and ends that hold it before rounding."""
    column, scale = METRICS[number.metric][1], HOUR if number.metric == "train_hours" else 1.0
    half = ROUNDED * number.unit
    ends = {"": number.value, "_low": number.value - half, "_high": number.value + half}
    (label,) = number.labels
    row: Row = {
        "label": label,
        "run": label,
        "radius": number.radius,
        "metric": number.metric,
        "rounded": True,
    }
    row |= {f"{column}{end}": scale * value for end, value in ends.items()}
    if number.certificate is not None:
        row["certificate"] = number.certificate
    return row | {"attack": number.entry["attack"]}
