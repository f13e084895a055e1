"""The pairs of runs and logs in a study's claims, compared image by image (rs.tables.comparisons).

Each row stands alone, at each confidence that a condition asks for (rs.tables.families). Conditions combine
rows themselves, so a row is the same whichever condition reads it. Margins of equivalence are the study's
(`agreement`); for an average certified radius, a share of the second run's.

Both sides may be of one run: with and without noise, under two attacks, with two certificates. The sides may
differ in what the condition names for each, and in noise where each has only one. Sides that differ
otherwise, in certificate, level or votes, are no pair. Nor are two certificates on the same votes: their
difference needs no pairing of images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rs.study.claims import ATTACKED, BESIDE, CERTIFIED, OWN, kind_of, parts_of, sides_of
from rs.study.study import Study
from rs.tables.comparisons import PairSettings, compare
from rs.tables.condition_words import names_of
from rs.tables.contestants import Contestant
from rs.tables.families import sure
from rs.tables.table import Row

PAIRED = (*BESIDE, "difference")
KEY = ("a", "b", "about", "metric", "certificate", "attack", "smoothing", "radius", "level")


def between(study: Study, contestants: list[Contestant]) -> list[Row]:
    """Rows of rs.tables.comparisons with their confidence `level`, for every condition `better`, `worse`,
    `equivalent` or `difference` whose sides are among `contestants`. `a` and `b` are their names
    (condition_words).
    """
    rows: dict[tuple[Any, ...], Row] = {}
    for condition, sides, levels in _conditions(study, {one.name for one in contestants}):
        for a, b in _pairs(contestants, condition["metric"], sides):
            for confidence in levels:
                for row in compare([(a, b, _settings(study, condition, b, confidence))], adjusted=False):
                    if row["metric"] == condition["metric"]:
                        row["level"] = confidence
                        rows.setdefault(tuple(row[key] for key in KEY), row)
    return list(rows.values())


def _conditions(study: Study, present: set[str]) -> Iterator[tuple[Row, list[Row], set[float]]]:
    """The conditions that compare two sides that are `present`, with their sides and confidences."""
    for claim in study.claims:
        levels = sure(claim, float(study.agreement["confidence"]))
        for whole, level in zip(claim["conditions"], levels, strict=True):
            for condition in parts_of(whole):
                if kind_of(condition) not in PAIRED or condition["metric"] not in (*CERTIFIED, ATTACKED):
                    continue
                sides = sides_of(condition)
                runs, (first, second) = {side["run"] for side in sides}, (side["where"] for side in sides)
                if runs <= present and first == second:
                    yield condition, sides, {level.alone, level.holds, level.fails}


def _pairs(
    contestants: list[Contestant], metric: str, sides: list[Row]
) -> Iterator[tuple[Contestant, Contestant]]:
    """Both sides under the conditions that they name, and alike in all others."""
    names = names_of(sides)
    apart = {key for key in OWN if sides[0][key] != sides[1][key]}
    smoothed = [
        {c.conditions.get("smoothing") for c in contestants if c.name == side["run"]} for side in sides
    ]
    if smoothed[0] != smoothed[1] and all(len(noises) == 1 for noises in smoothed):
        apart.add("smoothing")
    for a in _meant(contestants, metric, sides[0]):
        for b in _meant(contestants, metric, sides[1]):
            same_noise = a.conditions.get("smoothing") == b.conditions.get("smoothing")
            same_votes = metric in CERTIFIED and a.name == b.name and same_noise
            attacked = metric == ATTACKED  # whatever certificates and votes stand beside it
            keys = {"smoothing"} if attacked else {*a.conditions, *b.conditions}
            alike = all(a.conditions.get(key) == b.conditions.get(key) for key in keys - apart)
            if alike and not same_votes and (attacked or a.noise == b.noise or "smoothing" in apart):
                both = (replace(one, name=name) for one, name in zip((a, b), names, strict=True))
                first, second = (_under_no_name(one) if "attack" in apart else one for one in both)
                yield first, second


def _meant(contestants: list[Contestant], metric: str, side: Row) -> Iterator[Contestant]:
    for one in contestants:
        stated = {"certificate": side["certificate"]} if metric in CERTIFIED else {}
        stated |= {"smoothing": side["smoothing"]} if side["smoothing"] is not None else {}
        if one.name == side["run"] and all(one.conditions.get(k) == v for k, v in stated.items()):
            meant = {key: outcomes for key, outcomes in one.attacked.items() if key[0] == side["attack"]}
            yield replace(one, attacked=meant)


def _under_no_name(one: Contestant) -> Contestant:
    """The contestant with its only attack under the same key as the other side's."""
    return replace(
        one, attacked={("", "", radius): outcomes for (_, _, radius), outcomes in one.attacked.items()}
    )


def _settings(study: Study, condition: Row, beside: Contestant, level: float) -> PairSettings:
    agreed = study.agreement
    margins = {metric: float(agreed["accuracy"]) for metric in ("certified_accuracy", ATTACKED)}
    if beside.certified is not None:
        margins["acr"] = float(agreed["acr"]) * float(beside.certified.values.clip(min=0).mean())
    radii = [float(r) for r in condition["radii"]] or [0.0]
    first, second = sides_of(condition)
    alike = kind_of(condition) in BESIDE and all(first[key] == second[key] for key in OWN)
    # sides that differ may be of other images: then they are no pair, and no mistake
    return PairSettings((), radii, level, margins, named=alike)
