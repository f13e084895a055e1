"""The pairs of runs and logs of a study's claims, compared image by image (rs.tables.comparisons).

Each row stands for itself, at each confidence that a condition asks for (rs.tables.families): what conditions
make of several rows is their own affair, so that a row is the same whichever condition reads it. Margins of
equivalence are the study's (`agreement`), of an average certified radius as a share of the second run's. Runs
under different noise, certificates or votes are no pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rs.plan.plan import Plan
from rs.study.claims import ATTACKED, BESIDE, CERTIFIED, kind_of, sides_of
from rs.tables.comparisons import Asked, compare
from rs.tables.contestants import Contestant, of_logs, of_runs
from rs.tables.families import sure
from rs.tables.table import Row

KEY = ("a", "b", "about", "metric", "certificate", "attack", "smoothing", "radius", "level")


def paired(plan: Plan) -> list[Row]:
    """Rows of rs.tables.comparisons, and their confidence `level`, for every condition `better`, `worse` or
    `equivalent` of two runs that are there.

    Raises UserError for files that are not what they should be.
    """
    present = {planned.run.label for planned in plan.runs} | {log.label for log in plan.logs}
    asked = []
    for claim in plan.study.claims:
        each = sure(claim, float(plan.study.agreement["confidence"]))
        for condition, level in zip(claim["conditions"], each, strict=True):
            if kind_of(condition) in BESIDE and condition["metric"] in (*CERTIFIED, ATTACKED):
                sides = sides_of(condition)
                if present.issuperset(side["run"] for side in sides) and sides[0]["run"] != sides[1]["run"]:
                    asked.append((condition, sides, {level.alone, level.holds, level.fails}))
    if not asked:
        return []
    labels = {side["run"] for _, sides, _ in asked for side in sides}
    contestants = [*of_runs(plan, labels), *of_logs(plan, labels)]
    found: dict[tuple[Any, ...], Row] = {}
    for condition, (first, second), levels in asked:
        for a in _meant(contestants, condition["metric"], first):
            for b in _meant(contestants, condition["metric"], second):
                if a.conditions == b.conditions and a.noise == b.noise:
                    pairs = [(a, b, _asked(plan, condition, b, level)) for level in levels]
                    for pair in pairs:
                        for row in compare([pair], adjusted=False):
                            if row["metric"] == condition["metric"]:
                                row["level"] = pair[2].level
                                found.setdefault(tuple(row[key] for key in KEY), row)
    return list(found.values())


def _meant(contestants: list[Contestant], metric: str, side: Row) -> Iterator[Contestant]:
    for one in contestants:
        told = {"certificate": side["certificate"]} if metric in CERTIFIED else {}
        told |= {"smoothing": side["smoothing"]} if side["smoothing"] is not None else {}
        if one.name == side["run"] and all(one.conditions.get(k) == v for k, v in told.items()):
            meant = {key: found for key, found in one.attacked.items() if key[0] == side["attack"]}
            yield replace(one, attacked=meant)


def _asked(plan: Plan, condition: Row, beside: Contestant, level: float) -> Asked:
    agreed = plan.study.agreement
    margins = {metric: float(agreed["accuracy"]) for metric in ("certified_accuracy", ATTACKED)}
    if beside.certified is not None:
        margins["acr"] = float(agreed["acr"]) * float(beside.certified.values.clip(min=0).mean())
    radii = [float(r) for r in condition["radii"]] or [0.0]
    return Asked((), radii, level, margins)
