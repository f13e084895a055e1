"""Decides one condition of a claim by the tables. No torch.

A condition holds where its interval lies on its side, fails where the interval lies on the other side, and is
undecided in between.
- Two sides are compared image by image where rs.tables.pairs pairs them. Elsewhere their own intervals are
  joined as if independent (rs.statistics.agreement: MOVER), which is wider than necessary on the same images.
- Two certificates on the same votes are compared on these images alone. They differ by no noise there, and
  nothing is said of other images.
- About methods (`about`), the spread of at least 3 training seeds is added to that of the images: for each
  side t_{K-1} s / sqrt(K), for a pair with the s of the differences. With fewer seeds nothing is decided.
- A trend is a contrast over the runs in their order, sum (i - mean i) y_i. It also fails where one step goes
  the other way beyond the two intervals. Contrast and steps are several ways to fail, so each must be surer
  (rs.tables.families, also for several radii or conditions).
- A ratio lies between the quotients of opposite ends.
- Votes that a rule stopped give lower bounds: such a value has no upper end, and no comparison with another
  value is decided.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from rs.errors import plural
from rs.study.claims import (
    ATTACKED,
    BESIDE,
    CERTIFIED,
    THEORY,
    kind_of,
    parts_of,
    radii_of,
    sides_of,
    table_of,
)
from rs.tables.comparisons import TURNED
from rs.tables.condition_intervals import Asked, Interval, difference, interval
from rs.tables.condition_words import names_of, words
from rs.tables.families import stricter
from rs.tables.measured import Measured, Tables, mean_of, places, rows_of
from rs.tables.table import Row

AGAINST = "a step goes the other way"
STOPPED = "votes were stopped at a lower bound"
UNSMOOTHED = ("epsilon", "rho", "train_seconds")  # metrics that do not depend on smoothing


def decide(condition: Row, tables: Tables, agreed: Row, refuse: Callable[[str], NoReturn]) -> Iterator[Row]:
    """One row per radius: condition, radius, verdict (holds, fails, undecided, not run), value, low, high,
    counted, machines, and evidence (`table[row]` of the study's tables, or a test or page).
    """
    kind = kind_of(condition)
    if kind in THEORY:
        theory = {"verdict": "fails" if kind == "impossible" else "holds", "counted": "theory"}
        yield _row(kind, None, theory) | {"evidence": condition[kind]}
        return
    if kind == "crosses":
        for part in parts_of(condition):
            yield from decide(part, tables, agreed, refuse)
        return
    for radius in radii_of(condition):
        asked = Asked(condition, radius, tables, agreed, refuse)
        sides = sides_of(condition)
        found = [_measured(asked, side) for side in sides]
        present = [m for m in found if m is not None]
        told = words(condition, sides)
        if len(present) < len(found):
            lacking = next(side["run"] for side, m in zip(sides, found, strict=True) if m is None)
            yield _row(told, radius, {"verdict": "not run", "counted": f"{lacking} is not run"})
            continue
        evidence = [places(tables, table_of(asked.metric)[0], m.rows) for m in present]
        row = _row(told, radius, _decided(asked, kind, sides, present))
        machines = sorted({str(r["device"]) for m in present for r in m.rows if "device" in r})
        if asked.metric == "train_seconds":
            row["machines"] = ", ".join(machines)
        yield row | {"evidence": row["evidence"] or ", ".join(evidence)}


def _decided(asked: Asked, kind: str, sides: list[Row], found: list[Measured]) -> Row:
    if kind != "value" and any(m.lower_bound for m in found):
        return _stopped(kind, sides, found)
    if kind in BESIDE:
        return _beside(asked, kind, sides, found)
    if kind == "trend":
        return _trend(asked, found)
    if kind == "value":
        one = interval(asked, found[0])
        one = replace(one, low=found[0].shown(one.low), high=found[0].shown(one.high))
        if found[0].lower_bound:
            one = replace(one, high=math.inf, counted=f"{one.counted}; {STOPPED}")
        return _bounded(asked, one)
    if kind == "difference":
        comparison = _compared(asked, sides)
        return _bounded(asked, comparison[1] if comparison else difference(asked, sides, found))
    first, second = (interval(asked, m) for m in found)
    value = first.value / second.value if second.value else math.nan
    low = high = math.nan
    if second.low > 0:
        low = first.low / (second.high if first.low > 0 else second.low)
        high = first.high / (second.low if first.high > 0 else second.high)
    return _bounded(asked, Interval(value, low, high, first.counted))


def _stopped(kind: str, sides: list[Row], found: list[Measured]) -> Row:
    """The row of a comparison of lower bounds; a trend has no single value and shows none."""
    bounds = [side["run"] for side, m in zip(sides, found, strict=True) if m.lower_bound]
    first, second = (m.side.value for m in found[:2])
    value = math.nan if kind == "trend" or (kind == "ratio" and second == 0) else first - second
    if kind == "ratio" and second:
        value = first / second
    return _told("undecided", Interval(value, math.nan, math.nan, f"{', '.join(bounds)}: {STOPPED}"))


def _bounded(asked: Asked, found: Interval) -> Row:
    """The verdict for at least or at most a number, or for a range."""
    least, most = asked.condition["at_least"], asked.condition["at_most"]
    slack = 1e-9
    above = least is None or found.low >= least - slack
    below = most is None or found.high <= most + slack
    under = least is not None and found.high < least - slack
    over = most is not None and found.low > most + slack
    verdict = "undecided" if math.isnan(found.low) else "holds" if above and below else "undecided"
    return _told("fails" if under or over else verdict, found)


def _beside(asked: Asked, kind: str, sides: list[Row], found: list[Measured]) -> Row:
    """Better, worse or equivalent: for two networks by their paired tests, else by the interval of the
    difference.

    Which side is better is decided before whether the difference exceeds the margin; otherwise more images
    could turn "holds" into "fails". A claim of equivalence asks for the margin first.
    """
    compared = _compared(asked, sides)
    if compared is not None and asked.condition["about"] == "networks":
        outcome, d = _tested(asked, kind, *compared), compared[1]
    else:
        d = difference(asked, sides, found) if compared is None else compared[1]
        margin = _margin(asked, found[1].side.value)
        outcome = "better" if d.low > 0 else "worse" if d.high < 0 else "undecided"
        within = -margin <= d.low and d.high <= margin and (margin > 0 or d.low == d.high)
        if within and (kind == "equivalent" or outcome == "undecided"):
            outcome = "equivalent"
    told = _told(outcome, d)
    told["verdict"] = "undecided" if outcome == "undecided" else "holds" if outcome == kind else "fails"
    return told


def _tested(asked: Asked, kind: str, row: Row, found: Interval, turned: bool) -> str:
    """The verdict of the pair's row, for its first side."""
    outcome = str(row["verdict"])
    if outcome != "equivalent":
        return TURNED.get(outcome, outcome) if turned else outcome
    if kind != "equivalent" and row["p"] <= 1 - asked.confidence + 1e-12 and found.value != 0:
        return "better" if found.value > 0 else "worse"
    return outcome


def _compared(asked: Asked, sides: list[Row]) -> tuple[Row, Interval, bool] | None:
    """The pair's row among the comparisons, the first side minus the second there, and whether the row has
    the sides exchanged. About methods, the interval is that of the seeds on these images, widened by that of
    the images, since a claim is about other images too.
    """
    first, second = sides
    if first["where"] != second["where"]:
        return None
    named: Row = {"metric": asked.metric, "level": asked.confidence}
    columns = {
        "smoothing": True,
        "certificate": asked.metric in CERTIFIED,
        "attack": asked.metric == ATTACKED,
    }
    for key, told in columns.items():
        if told and first[key] == second[key] and (key != "smoothing" or first[key] is not None):
            named[key] = first[key]
    if asked.radius is not None:
        named["radius"] = asked.radius
    one, other = names_of(sides)
    about = str(asked.condition["about"])
    for sign, a, b in ((1, one, other), (-1, other, one)):
        each = [
            rows_of(asked.tables, "comparisons", named | {"a": a, "b": b, "about": of})
            for of in dict.fromkeys((about, "networks"))  # the latter for the images' noise
        ]
        if all(len(rows) == 1 for rows in each):
            row, value = each[0][0], sign * float(each[0][0]["difference"])
            widths = [_widths(rows[0], sign) for rows in each]
            below, above = (math.hypot(*ends) for ends in zip(*widths, strict=True))
            counted = f"{plural(row['images'], 'image')} paired" + (
                "" if about == "networks" else ", and seeds"
            )
            return row, Interval(value, value - below, value + above, counted), sign < 0
    return None


def _widths(row: Row, sign: int) -> tuple[float, float]:
    """How far the interval of the difference times `sign` reaches below and above its value."""
    below, above = (abs(float(row["difference"]) - float(row[end])) for end in ("low", "high"))
    return (below, above) if sign > 0 else (above, below)


def _trend(asked: Asked, found: list[Measured]) -> Row:
    contrast, against = _contrast(asked, found)
    if math.isnan(contrast.low):
        return _told("undecided", contrast)
    surely = replace(
        asked, agreement=asked.agreement | {"confidence": stricter(asked.confidence, len(found))}
    )
    wider, surely_against = _contrast(surely, [_measured_from(surely, m.rows) for m in found])
    sign = 1 if asked.condition["goes"] == "rising" else -1
    fails = surely_against or max(sign * wider.low, sign * wider.high) < 0
    holds = not against and min(sign * contrast.low, sign * contrast.high) > 0
    if surely_against:
        contrast = replace(contrast, counted=f"{contrast.counted}; {AGAINST}")
    return _told("fails" if fails else "holds" if holds else "undecided", contrast)


def _contrast(asked: Asked, found: Sequence[Measured | None]) -> tuple[Interval, bool]:
    """The contrast, and whether a step goes the other way."""
    sign = 1 if asked.condition["goes"] == "rising" else -1
    each = [interval(asked, m) for m in found if m is not None]
    middle = (len(each) - 1) / 2
    weights = [i - middle for i in range(len(each))]
    value = sum(w * one.value for w, one in zip(weights, each, strict=True))
    low, high = _reach(weights, each)
    steps = (
        _reach((-sign, sign), (a, b))[1] + sign * (b.value - a.value) for a, b in itertools.pairwise(each)
    )
    against = any(step < 0 for step in steps)
    return Interval(value, value - low, value + high, each[0].counted), against


def _reach(weights: Sequence[float], each: Sequence[Interval]) -> tuple[float, float]:
    """How far the interval of sum w y reaches below and above it (MOVER). For the upper end, each term uses
    the upper side of y where w > 0 and the lower side where w < 0; for the lower end the opposite.
    """
    sides = [
        (w * (one.low - one.value), w * (one.high - one.value)) for w, one in zip(weights, each, strict=True)
    ]
    return math.hypot(*(min(side) for side in sides)), math.hypot(*(max(side) for side in sides))


# --- margins, rows ---


def _margin(asked: Asked, beside: float) -> float:
    share = asked.agreement.get(asked.metric)
    if asked.metric in ("certified_accuracy", ATTACKED):
        return float(asked.agreement["accuracy"])
    return 0.0 if share is None else float(share) * abs(beside)


def _measured(asked: Asked, side: Row) -> Measured | None:
    table = table_of(asked.metric)[0]
    named: Row = {"label": side["run"], **side["where"]}
    if asked.metric in CERTIFIED:
        named["certificate"] = side["certificate"]
    if asked.metric == ATTACKED:
        named["attack"] = side["attack"]
    if asked.radius is not None:
        named["radius"] = asked.radius
    if side["smoothing"] is not None and asked.metric not in UNSMOOTHED:
        named["smoothing"] = side["smoothing"]
    found = rows_of(asked.tables, table, named)
    told = {str(row.get("smoothing")) for row in found}
    if len(told) > 1:
        asked.refuse(f"{side['run']} is smoothed with several noises; name one: smoothing")
    runs = [row.get("run") for row in found]
    if len(set(runs)) < len(runs):
        asked.refuse(f"{table} has several rows of one run for it; tell them apart with where")
    return _measured_from(asked, found)


def _measured_from(asked: Asked, rows: Sequence[Row]) -> Measured | None:
    return mean_of(rows, table_of(asked.metric)[1], confidence=asked.confidence)


def _told(verdict: str, found: Interval) -> Row:
    ends = [None if math.isnan(end) else end for end in (found.low, found.high)]
    return {
        "verdict": verdict,
        "value": None if math.isnan(found.value) else found.value,
        "low": ends[0],
        "high": ends[1],
        "counted": found.counted,
    }


def _row(words: str, radius: float | None, found: dict[str, Any]) -> Row:
    empty = dict.fromkeys(("value", "low", "high", "counted", "machines", "evidence"))
    return {"condition": words, "radius": radius, **empty, **found}
