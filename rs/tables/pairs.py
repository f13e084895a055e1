"""The pairs of runs that a study's claims are about, compared image by image (rs.tables.comparisons).

One condition is one family of Holm's adjustment: its radii, under its attack alone. Margins of equivalence
are the study's (`agreement`), of an average certified radius as a share of the second run's. Runs under
different noise, certificates or votes are no pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rs.plan.plan import Plan
from rs.study.claims import ATTACKED, BESIDE, CERTIFIED, kind_of, sides_of
from rs.tables.comparisons import Asked, compare
from rs.tables.contestants import Contestant, of_runs
from rs.tables.table import Row

KEY = ("a", "b", "about", "metric", "certificate", "attack", "smoothing", "radius")


def paired(plan: Plan) -> list[Row]:
    """Rows of rs.tables.comparisons for every condition `better`, `worse` or `equivalent` of two runs that
    are there.

    Raises UserError for files that are not what they should be.
    """
    present = {planned.run.label for planned in plan.runs}
    asked = []
    for claim in plan.study.claims:
        for condition in claim["conditions"]:
            if kind_of(condition) in BESIDE and condition["metric"] in (*CERTIFIED, ATTACKED):
                sides = sides_of(condition)
                if present.issuperset(side["run"] for side in sides) and sides[0]["run"] != sides[1]["run"]:
                    asked.append((condition, sides))
    if not asked:
        return []
    contestants = of_runs(plan, {side["run"] for _, sides in asked for side in sides})
    found: dict[tuple[Any, ...], Row] = {}
    for condition, (first, second) in asked:
        for a in _meant(contestants, condition["metric"], first):
            for b in _meant(contestants, condition["metric"], second):
                if a.conditions == b.conditions and a.noise == b.noise:
                    for row in compare([(a, b, _asked(plan, condition, b))]):
                        if row["metric"] == condition["metric"]:
                            found.setdefault(tuple(row[key] for key in KEY), row)
    return list(found.values())


def _meant(contestants: list[Contestant], metric: str, side: Row) -> Iterator[Contestant]:
    for one in contestants:
        told = {"certificate": side["certificate"]} if metric in CERTIFIED else {}
        told |= {"smoothing": side["smoothing"]} if side["smoothing"] is not None else {}
        if one.name == side["run"] and all(one.conditions.get(k) == v for k, v in told.items()):
            meant = {key: found for key, found in one.attacked.items() if key[0] == side["attack"]}
            yield replace(one, attacked=meant)


def _asked(plan: Plan, condition: Row, beside: Contestant) -> Asked:
    agreed = plan.study.agreement
    margins = {metric: float(agreed["accuracy"]) for metric in ("certified_accuracy", ATTACKED)}
    if beside.certified is not None:
        margins["acr"] = float(agreed["acr"]) * float(beside.certified.values.clip(min=0).mean())
    radii = [float(r) for r in condition["radii"]] or [0.0]
    return Asked((), radii, float(agreed["confidence"]), margins)
