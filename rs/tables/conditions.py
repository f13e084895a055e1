"""One condition of a claim, decided by what the tables hold. No torch.

A condition holds where its interval lies on its side, fails where the interval lies on the other, and is
undecided between. Two runs are compared image by image by rs.tables.pairs where it pairs them;
elsewhere their own intervals are joined as if they were independent (rs.statistics.agreement: MOVER), which
is wider than it need be for runs on the same images. Two certificates on the same votes are compared on these
images alone: there they differ by no noise, and nothing is said of others. Of methods (`about`) the spread of
at least 3 training seeds is counted, at each side t_{K-1} s / sqrt(K); with fewer nothing is decided. A trend
is a contrast over the runs in their order, sum (i - mean i) y_i; it fails too where one step goes the other
way beyond the two intervals. A ratio lies between the quotients of opposite ends. Several radii are several
conditions, which all have to hold: none needs an adjustment for the others.

Votes that a rule stopped give lower bounds: such a value has no upper end, and nothing that compares it with
another is decided.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from rs.statistics import agreement
from rs.study.claims import ATTACKED, BESIDE, CERTIFIED, THEORY, kind_of, radii_of, sides_of, table_of
from rs.tables.condition_words import words
from rs.tables.measured import Measured, Tables, mean_of, places, rows_of
from rs.tables.table import Row

STOPPED = "votes were stopped at a lower bound"
UNSMOOTHED = ("epsilon", "rho", "train_seconds")  # metrics of a run as such


@dataclass(frozen=True)
class Asked:
    """A condition at one radius, the tables it is asked of, margins of equivalence, and how to refuse it."""

    condition: Row
    radius: float | None
    tables: Tables
    agreement: Row
    refuse: Callable[[str], NoReturn]

    @property
    def metric(self) -> str:
        return str(self.condition["metric"])


@dataclass(frozen=True)
class Interval:
    """A value with its interval, nan where fewer seeds than needed leave it open."""

    value: float
    low: float
    high: float
    counted: str


def decide(condition: Row, tables: Tables, agreed: Row, refuse: Callable[[str], NoReturn]) -> Iterator[Row]:
    """Rows with condition, verdict (holds, fails, undecided, not run), value, low, high, counted, evidence
    (`table[row]` of the study's tables, or a test or page), labels: one per radius.
    """
    kind = kind_of(condition)
    if kind in THEORY:
        theory = {"verdict": "fails" if kind == "impossible" else "holds", "counted": "theory"}
        yield _row(kind, None, theory) | {"evidence": condition[kind]}
        return
    if kind == "crosses":
        first, second = condition["crosses"]
        for better, than, at in ((first, second, "small"), (second, first, "large")):
            one = {**condition, "crosses": None, "better": better, "than": than, "radii": [condition[at]]}
            yield from decide(one, tables, agreed, refuse)
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
        one = _interval(asked, found[0])
        if found[0].lower_bound:
            one = replace(one, high=math.inf, counted=f"{one.counted}; {STOPPED}")
        return _bounded(asked, one)
    if kind == "difference":
        return _bounded(asked, _difference(asked, sides, found))
    first, second = (_interval(asked, m) for m in found)
    value = first.value / second.value if second.value else math.nan
    low = high = math.nan
    if second.low > 0:
        low = first.low / (second.high if first.low > 0 else second.low)
        high = first.high / (second.low if first.high > 0 else second.high)
    return _bounded(asked, Interval(value, low, high, first.counted))


def _stopped(kind: str, sides: list[Row], found: list[Measured]) -> Row:
    """What compares lower bounds; a trend has no one value, and shows none."""
    bounds = [side["run"] for side, m in zip(sides, found, strict=True) if m.lower_bound]
    first, second = (m.side.value for m in found[:2])
    value = math.nan if kind == "trend" or (kind == "ratio" and second == 0) else first - second
    if kind == "ratio" and second:
        value = first / second
    return _told("undecided", Interval(value, math.nan, math.nan, f"{', '.join(bounds)}: {STOPPED}"))


def _bounded(asked: Asked, found: Interval) -> Row:
    """At least or at most a number, or between two."""
    least, most = asked.condition["at_least"], asked.condition["at_most"]
    slack = 1e-9
    above = least is None or found.low >= least - slack
    below = most is None or found.high <= most + slack
    under = least is not None and found.high < least - slack
    over = most is not None and found.low > most + slack
    verdict = "undecided" if math.isnan(found.low) else "holds" if above and below else "undecided"
    return _told("fails" if under or over else verdict, found)


def _beside(asked: Asked, kind: str, sides: list[Row], found: list[Measured]) -> Row:
    """Better, worse or equivalent: image by image where they are paired, else by their difference."""
    paired = _comparison(asked, sides)
    if paired is not None:
        outcome, told = paired
    else:
        d = _difference(asked, sides, found)
        margin = _margin(asked, found[1].side.value)
        outcome = "better" if d.low > 0 else "worse" if d.high < 0 else "undecided"
        if -margin <= d.low and d.high <= margin and (margin > 0 or d.low == d.high):
            outcome = "equivalent"
        told = _told(outcome, d)
    told["verdict"] = "undecided" if outcome == "undecided" else "holds" if outcome == kind else "fails"
    return told


def _comparison(asked: Asked, sides: list[Row]) -> tuple[str, Row] | None:
    """The verdict on the pair among the comparisons, and what it says, with the first run as `a`."""
    first, second = sides
    if {k: v for k, v in first.items() if k != "run"} != {k: v for k, v in second.items() if k != "run"}:
        return None
    named: Row = {"about": asked.condition["about"], "metric": asked.metric}
    if asked.metric in CERTIFIED:
        named["certificate"] = first["certificate"]
    if asked.metric == ATTACKED:
        named["attack"] = first["attack"]
    if asked.radius is not None:
        named["radius"] = asked.radius
    if first["smoothing"] is not None:
        named["smoothing"] = first["smoothing"]
    for sign, a, b in ((1, first["run"], second["run"]), (-1, second["run"], first["run"])):
        rows = rows_of(asked.tables, "comparisons", named | {"a": a, "b": b})
        if len(rows) == 1:
            row = rows[0]
            low, high = sorted(sign * float(row[end]) for end in ("low", "high"))
            found = Interval(
                sign * float(row["difference"]), low, high, f"{row['images']} images paired, {row['about']}"
            )
            turned = {"better": "worse", "worse": "better"} if sign < 0 else {}
            outcome = str(row["verdict"])
            return turned.get(outcome, outcome), _told(outcome, found)
    return None


def _difference(asked: Asked, sides: list[Row], found: list[Measured]) -> Interval:
    """First minus second."""
    a, b = found
    same = asked.metric in CERTIFIED and sides[0]["run"] == sides[1]["run"]
    if same and a.row.get("smoothing") == b.row.get("smoothing") and len(a.values) == len(b.values):
        each = [x - y for x, y in zip(a.values, b.values, strict=True)]  # of the same votes, seed by seed
        half = _seed_half(asked, each)
        mean = sum(each) / len(each)
        return Interval(mean, mean - half, mean + half, "the same votes, on these images")
    value = a.side.value - b.side.value
    seeds = math.hypot(*(_seed_half(asked, m.values, m.resolution) for m in found))
    low = value - math.hypot(a.side.value - a.side.low, b.side.high - b.side.value, seeds)
    high = value + math.hypot(a.side.high - a.side.value, b.side.value - b.side.low, seeds)
    return _open(asked, Interval(value, low, high, _counted(asked, found)), found)


def _interval(asked: Asked, m: Measured) -> Interval:
    half, side = _seed_half(asked, m.values, m.resolution), m.side
    low = side.value - math.hypot(side.value - side.low, half)
    high = side.value + math.hypot(side.high - side.value, half)
    return _open(asked, Interval(side.value, low, high, _counted(asked, [m])), [m])


def _trend(asked: Asked, found: list[Measured]) -> Row:
    sign = 1 if asked.condition["goes"] == "rising" else -1
    each = [_interval(asked, m) for m in found]
    middle = (len(each) - 1) / 2
    weights = [i - middle for i in range(len(each))]
    value = sum(w * one.value for w, one in zip(weights, each, strict=True))
    half = math.hypot(*(w * (one.high - one.low) / 2 for w, one in zip(weights, each, strict=True)))
    contrast = Interval(value, value - half, value + half, each[0].counted)
    against = any(
        sign * (b.value - a.value) + math.hypot((a.high - a.low) / 2, (b.high - b.low) / 2) < 0
        for a, b in itertools.pairwise(each)
    )
    ends = sorted((sign * contrast.low, sign * contrast.high))
    if math.isnan(half):
        return _told("undecided", contrast)
    return _told("fails" if against or ends[1] < 0 else "holds" if ends[0] > 0 else "undecided", contrast)


# --- seeds, margins, rows ---


def _seed_half(asked: Asked, values: Sequence[float], resolution: float = 0.0) -> float:
    seeds = agreement.seeds_of(values, resolution)
    confidence = float(asked.agreement["confidence"])
    return seeds.width(confidence) / math.sqrt(1 + 1 / seeds.count) / math.sqrt(seeds.count)


def _spread_unknown(found: list[Measured]) -> bool:
    return any(math.isnan(agreement.seeds_of(m.values, m.resolution).spread) for m in found)


def _open(asked: Asked, found: Interval, of: list[Measured]) -> Interval:
    """Of methods, without an interval where the seeds' spread is unknown."""
    if asked.condition["about"] == "methods" and _spread_unknown(of):
        few = min(len(m.values) for m in of) < agreement.FEWEST_SEEDS
        told = f"fewer than {agreement.FEWEST_SEEDS} training seeds" if few else "all training seeds alike"
        return Interval(found.value, math.nan, math.nan, told)
    return found


def _counted(asked: Asked, found: list[Measured]) -> str:
    return "images" if _spread_unknown(found) else "images and seeds"


def _margin(asked: Asked, beside: float) -> float:
    share = asked.agreement.get(asked.metric)
    if asked.metric in ("certified_accuracy", ATTACKED):
        return float(asked.agreement["accuracy"])
    return 0.0 if share is None else float(share) * abs(beside)


def _measured(asked: Asked, side: Row) -> Measured | None:
    table, column = table_of(asked.metric)
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
    return mean_of(found, column)


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
