"""The value that a condition of a claim is about, with its interval. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from rs.statistics import agreement
from rs.study.claims import CERTIFIED
from rs.tables.measured import Measured, Tables
from rs.tables.table import Row


@dataclass(frozen=True)
class Case:
    """A condition at one radius, the tables that it reads, margins of equivalence, and how to refuse it."""

    condition: Row
    radius: float | None
    tables: Tables
    agreement: Row
    refuse: Callable[[str], NoReturn]

    @property
    def metric(self) -> str:
        return str(self.condition["metric"])

    @property
    def confidence(self) -> float:
        return float(self.agreement["confidence"])


@dataclass(frozen=True)
class Interval:
    """A value with its interval, nan where fewer seeds than needed leave it open."""

    value: float
    low: float
    high: float
    counted: str


def difference(case: Case, sides: list[Row], measured: list[Measured]) -> Interval:
    """First minus second."""
    a, b = measured
    same = case.metric in CERTIFIED and sides[0]["run"] == sides[1]["run"]
    if same and a.row.get("smoothing") == b.row.get("smoothing") and len(a.values) == len(b.values):
        each = [x - y for x, y in zip(a.values, b.values, strict=True)]  # from the same votes, seed by seed
        half = _seed_half(case, each)
        mean = sum(each) / len(each)
        return Interval(mean, mean - half, mean + half, "the same votes, on these images")
    value = a.side.value - b.side.value
    seeds = math.hypot(*(_seed_half(case, m.values, m.resolution) for m in measured))
    low = value - math.hypot(a.side.value - a.side.low, b.side.high - b.side.value, seeds)
    high = value + math.hypot(a.side.high - a.side.value, b.side.value - b.side.low, seeds)
    return _open(case, Interval(value, low, high, _counted(measured)), measured)


def interval(case: Case, m: Measured) -> Interval:
    """The interval of one number, uncut, as comparisons need it (Measured.shown cuts)."""
    half, side = _seed_half(case, m.values, m.resolution), m.side
    low = side.value - math.hypot(side.value - side.low, half)
    high = side.value + math.hypot(side.high - side.value, half)
    return _open(case, Interval(side.value, low, high, _counted([m])), [m])


def _seed_half(case: Case, values: Sequence[float], resolution: float = 0.0) -> float:
    seeds = agreement.seeds_of(values, resolution)
    return seeds.width(case.confidence) / math.sqrt(1 + 1 / seeds.count) / math.sqrt(seeds.count)


def _spread_unknown(measured: list[Measured]) -> bool:
    return any(math.isnan(agreement.seeds_of(m.values, m.resolution).spread) for m in measured)


def _open(case: Case, bounds: Interval, of: list[Measured]) -> Interval:
    """The interval, or none where the spread over seeds is unknown: for a claim about methods, and for a
    measured time, which another training of the same network would not take again.
    """
    timed = case.metric == "train_seconds" and not any(row.get("rounded") for m in of for row in m.rows)
    unsure = case.condition["about"] == "methods" or timed
    if unsure and _spread_unknown(of):
        few = min(len(m.values) for m in of) < agreement.FEWEST_SEEDS
        reason = f"fewer than {agreement.FEWEST_SEEDS} training seeds" if few else "all training seeds alike"
        return Interval(bounds.value, math.nan, math.nan, reason)
    return bounds


def _counted(measured: list[Measured]) -> str:
    return "images" if _spread_unknown(measured) else "images and seeds"
