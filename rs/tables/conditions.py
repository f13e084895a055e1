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
    UNSMOOTHED,
    kind_of,
    parts_of,
    radii_of,
    sides_of,
    table_of,
)
from rs.study.paper_settings import instrument_of
from rs.tables.comparisons import TURNED
from rs.tables.condition_intervals import Case, Interval, difference, interval
from rs.tables.condition_words import names_of, words
from rs.tables.families import stricter
from rs.tables.measured import Measured, Tables, mean_of, places, rows_of, rows_of_run
from rs.tables.table import Row

AGAINST = "a step goes the other way"
WITHIN = "within the margin of"  # why "better" fails although the interval holds 0
STOPPED = "votes were stopped at a lower bound"
BEYOND = "beyond the largest radius that can be certified"


def decide(condition: Row, tables: Tables, agreed: Row, refuse: Callable[[str], NoReturn]) -> Iterator[Row]:
    """One row per radius: condition, radius, verdict (holds, fails, undecided, not run), value, low, high,
    counted, machines, and evidence (`table[row]` of the study's tables, or a test or page). A row whose
    values are all 0 by construction, for any networks, has the key `by_construction`, too.
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
        case = Case(condition, radius, tables, agreed, refuse)
        sides = sides_of(condition)
        measured = [_measured(case, side) for side in sides]
        present = [m for m in measured if m is not None]
        text = words(condition, sides)
        if len(present) < len(measured):
            lacking = next(side["run"] for side, m in zip(sides, measured, strict=True) if m is None)
            yield _row(text, radius, {"verdict": "not run", "counted": f"{lacking} is not run"})
            continue
        evidence = [places(tables, table_of(case.metric)[0], m.rows) for m in present]
        row = _row(text, radius, _decided(case, kind, sides, present))
        machines = sorted({str(r["device"]) for m in present for r in m.rows if "device" in r})
        if case.metric == "train_seconds":
            row["machines"] = ", ".join(machines)
        if all(m.zero_by_construction for m in present):
            row |= {"counted": BEYOND, "by_construction": True}
        yield row | {"evidence": row["evidence"] or ", ".join(evidence)}


def _decided(case: Case, kind: str, sides: list[Row], measured: list[Measured]) -> Row:
    if kind != "value" and any(m.lower_bound for m in measured):
        return _stopped(kind, sides, measured)
    if kind in BESIDE:
        return _beside(case, kind, sides, measured)
    if kind == "trend":
        return _trend(case, measured)
    if kind == "value":
        one = interval(case, measured[0])
        one = replace(one, low=measured[0].shown(one.low), high=measured[0].shown(one.high))
        if measured[0].lower_bound:
            one = replace(one, high=math.inf, counted=f"{one.counted}; {STOPPED}")
        return _bounded(case, one)
    if kind == "difference":
        comparison = _compared(case, sides)
        return _bounded(case, comparison[1] if comparison else difference(case, sides, measured))
    first, second = (interval(case, m) for m in measured)
    value = first.value / second.value if second.value else math.nan
    low = high = math.nan
    if second.low > 0:
        low = first.low / (second.high if first.low > 0 else second.low)
        high = first.high / (second.low if first.high > 0 else second.high)
    return _bounded(case, Interval(value, low, high, first.counted))


def _stopped(kind: str, sides: list[Row], measured: list[Measured]) -> Row:
    """The row of a comparison of lower bounds; a trend has no single value and shows none."""
    bounds = [side["run"] for side, m in zip(sides, measured, strict=True) if m.lower_bound]
    first, second = (m.side.value for m in measured[:2])
    value = math.nan if kind == "trend" or (kind == "ratio" and second == 0) else first - second
    if kind == "ratio" and second:
        value = first / second
    return _verdict_row("undecided", Interval(value, math.nan, math.nan, f"{', '.join(bounds)}: {STOPPED}"))


def _bounded(case: Case, bounds: Interval) -> Row:
    """The verdict for at least or at most a number, or for a range."""
    least, most = case.condition["at_least"], case.condition["at_most"]
    slack = 1e-9
    above = least is None or bounds.low >= least - slack
    below = most is None or bounds.high <= most + slack
    under = least is not None and bounds.high < least - slack
    over = most is not None and bounds.low > most + slack
    verdict = "undecided" if math.isnan(bounds.low) else "holds" if above and below else "undecided"
    return _verdict_row("fails" if under or over else verdict, bounds)


def _beside(case: Case, kind: str, sides: list[Row], measured: list[Measured]) -> Row:
    """Better, worse or equivalent: for two networks by their paired tests, else by the interval of the
    difference.

    Which side is better is decided before whether the difference exceeds the margin; otherwise more images
    could turn "holds" into "fails". A claim of equivalence asks for the margin first.
    """
    compared = _compared(case, sides)
    if compared is not None and case.condition["about"] == "networks":
        outcome, d = _tested(case, kind, *compared), compared[1]
    else:
        d = difference(case, sides, measured) if compared is None else compared[1]
        margin = _margin(case, measured[1].side.value)
        outcome = "better" if d.low > 0 else "worse" if d.high < 0 else "undecided"
        within = -margin <= d.low and d.high <= margin and (margin > 0 or d.low == d.high)
        if within and (kind == "equivalent" or outcome == "undecided"):
            outcome = "equivalent"
    if outcome == "equivalent" != kind:
        d = replace(d, counted=f"{d.counted}; {WITHIN} {_margin(case, measured[1].side.value):.3g}")
    row = _verdict_row(outcome, d)
    row["verdict"] = "undecided" if outcome == "undecided" else "holds" if outcome == kind else "fails"
    return row


def _tested(case: Case, kind: str, row: Row, bounds: Interval, turned: bool) -> str:
    """The verdict of the pair's row, for its first side."""
    outcome = str(row["verdict"])
    if outcome != "equivalent":
        return TURNED.get(outcome, outcome) if turned else outcome
    if kind != "equivalent" and row["p"] <= 1 - case.confidence + 1e-12 and bounds.value != 0:
        return "better" if bounds.value > 0 else "worse"
    return outcome


def _compared(case: Case, sides: list[Row]) -> tuple[Row, Interval, bool] | None:
    """The pair's row among the comparisons, the first side minus the second there, and whether the row has
    the sides exchanged. About methods, the interval is that of the seeds on these images, widened by that of
    the images, since a claim is about other images too.
    """
    first, second = sides
    if first["where"] != second["where"]:
        return None
    named: Row = {"metric": case.metric, "level": case.confidence}
    columns = {
        "smoothing": True,
        "certificate": case.metric in CERTIFIED,
        "attack": case.metric == ATTACKED,
    }
    for key, applies in columns.items():
        if applies and first[key] == second[key] and (key != "smoothing" or first[key] is not None):
            named[key] = first[key]
    if case.radius is not None:
        named["radius"] = case.radius
    one, other = names_of(sides)
    about = str(case.condition["about"])
    for sign, a, b in ((1, one, other), (-1, other, one)):
        each = [
            rows_of(case.tables, "comparisons", named | {"a": a, "b": b, "about": of})
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


def _trend(case: Case, measured: list[Measured]) -> Row:
    contrast, against = _contrast(case, measured)
    if math.isnan(contrast.low):
        return _verdict_row("undecided", contrast)
    surely = replace(
        case, agreement=case.agreement | {"confidence": stricter(case.confidence, len(measured))}
    )
    wider, surely_against = _contrast(surely, [_measured_from(surely, m.rows) for m in measured])
    sign = 1 if case.condition["goes"] == "rising" else -1
    fails = surely_against or max(sign * wider.low, sign * wider.high) < 0
    holds = not against and min(sign * contrast.low, sign * contrast.high) > 0
    if surely_against:
        contrast = replace(contrast, counted=f"{contrast.counted}; {AGAINST}")
    return _verdict_row("fails" if fails else "holds" if holds else "undecided", contrast)


def _contrast(case: Case, measured: Sequence[Measured | None]) -> tuple[Interval, bool]:
    """The contrast, and whether a step goes the other way."""
    sign = 1 if case.condition["goes"] == "rising" else -1
    each = [interval(case, m) for m in measured if m is not None]
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


def _margin(case: Case, beside: float) -> float:
    share = case.agreement.get(case.metric)
    if case.metric in ("certified_accuracy", ATTACKED):
        return float(case.agreement["accuracy"])
    return 0.0 if share is None else float(share) * abs(beside)


def _measured(case: Case, side: Row) -> Measured | None:
    table, by = table_of(case.metric)[0], instrument_of(case.metric, side)
    under = None if case.metric in UNSMOOTHED else side["smoothing"]
    found = rows_of_run(case.tables, table, side["run"], by, case.radius, under)
    rows = rows_of({table: found}, table, side["where"])
    smoothings = {str(row.get("smoothing")) for row in rows}
    if len(smoothings) > 1:
        case.refuse(f"{side['run']} is smoothed with several noises; name one: smoothing")
    runs = [row.get("run") for row in rows]
    if len(set(runs)) < len(runs):
        case.refuse(f"{table} has several rows of one run for it; tell them apart with where")
    return _measured_from(case, rows)


def _measured_from(case: Case, rows: Sequence[Row]) -> Measured | None:
    return mean_of(rows, table_of(case.metric)[1], confidence=case.confidence)


def _verdict_row(verdict: str, bounds: Interval) -> Row:
    ends = [None if math.isnan(end) else end for end in (bounds.low, bounds.high)]
    return {
        "verdict": verdict,
        "value": None if math.isnan(bounds.value) else bounds.value,
        "low": ends[0],
        "high": ends[1],
        "counted": bounds.counted,
    }


def _row(words: str, radius: float | None, columns: dict[str, Any]) -> Row:
    empty = dict.fromkeys(("value", "low", "high", "counted", "machines", "evidence"))
    return {"condition": words, "radius": radius, **empty, **columns}
