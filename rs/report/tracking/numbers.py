"""The metrics of a run, from a study's tables. `headlines` have one value each, by which MLflow sorts and
compares. Curves have a value per radius and stay under ``curve/``, since MLflow shows their last value.

Names, for radius 0.5::

    certified_accuracy_at_0.50, acr, empirical_accuracy_at_0.50
    interval/acr_low, interval/acr_high, ...          the 95 % interval of each
    curve/certified_accuracy_by_radius_x1000          step 500 is radius 0.5; steps are integers in MLflow
    training/<column>                                 per epoch

A study with several certificates or norms adds which one: ``acr/cohen``. A run with several noises, error
rates or numbers of votes adds those too. Radii without a proof are called ``..._estimate``, and values that
stopped votes leave open ``..._lower_bound``: neither may be sorted among the others.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, TypeVar

import pandas as pd

from rs.provenance.digests import digest
from rs.statistics.decimals import units_below
from rs.tables.reading import rows_of
from rs.tables.table import Row

K = TypeVar("K")

_LONGEST = 240  # characters of a key; MLflow takes 250, and /high may follow
FINE = 0.25  # smaller radii (of images in the sup-norm, say) have steps of millionths
CERTIFIED = ("certificate", "norm")  # numbers that differ in one of these never share a name
ATTACKED = ("attack",)
RUN = ("smoothing", "alpha", "n")  # nor in these, which are named where one run has several


@dataclass
class Numbers:
    """The measurements of one run. A metric is (key, value, step, seconds after the start)."""

    headlines: dict[str, float] = field(default_factory=dict)
    curves: list[tuple[str, float, int, float]] = field(default_factory=list)

    def add(self, key: str, value: Any) -> None:
        if _number(value):
            self.headlines[key] = float(value)


class Table:
    """A table, and its rows and those of each run, taken out once and without a frame for each run: that
    takes milliseconds for hundreds of runs.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame, self.rows = frame, list(rows_of(frame))
        self.of = grouped(self.rows, lambda row: str(row["run"]))


class Names:
    """The keys of a table's numbers, with as many of its columns as distinguish them."""

    def __init__(self, frame: pd.DataFrame, study: tuple[str, ...]) -> None:
        self.taken: dict[str, tuple[str, ...]] = {}
        self.keys: dict[tuple[Any, ...], str] = {}  # most rows have the cells of others
        self.columns = [c for c in study if frame[c].nunique() > 1]
        by_run = frame.groupby(["run", *study])
        self.columns += [c for c in RUN if c in frame and (by_run[c].nunique() > 1).any()]

    def key(self, what: str, row: Row) -> str:
        cells = (what, *(row[c] for c in self.columns))
        if cells not in self.keys:
            parts = (_part(c, row[c]) for c in self.columns)
            self.keys[cells] = metric_key(what, *parts, taken=self.taken)
        return self.keys[cells]


def metric_key(*parts: str, taken: dict[str, tuple[str, ...]] | None = None) -> str:
    """A key, of letters, digits, spaces and ``_ - . /`` only: ``sigma=0.25`` becomes ``sigma 0.25``.

    A key that is too long, empty, or already `taken` by other parts ends in a digest.
    """
    key = "/".join(map(_clean, parts))
    if len(key) > _LONGEST:
        key = f"{key[: _LONGEST - 9].rstrip('/. ')} {digest(parts)}"
    if taken is not None and taken.setdefault(key, parts) != parts:
        key = f"{key[: _LONGEST - 9].rstrip('/. ')} {digest(parts)}"
    return key


@functools.lru_cache(maxsize=10_000)
def _clean(part: str) -> str:
    text = re.sub(r"[^\w.\- ]+", " ", part).strip()
    return text if text.strip(".") else digest(part)


def radius_text(radius: float) -> str:
    """`0.50`, or all digits of a radius that needs more."""
    text = f"{radius:.2f}"
    return text if math.isclose(float(text), radius, abs_tol=1e-9) else f"{radius:.6g}"


def certified(accuracy: Table, average: Table, curve: pd.DataFrame) -> dict[str, Numbers]:
    """Run -> its certified numbers, from ``certified_accuracy``, ``average_certified_radius`` and
    ``radius_accuracy``.
    """
    by_run: dict[str, Numbers] = {}
    if accuracy.frame.empty:
        return by_run
    names = Names(accuracy.frame, CERTIFIED)
    for row in average.rows:
        mine = by_run.setdefault(str(row["run"]), Numbers())
        _with_interval(mine, names, f"acr{_kind(row)}", row, row["acr"])
    for row in accuracy.rows:
        mine = by_run.setdefault(str(row["run"]), Numbers())
        what = f"certified_accuracy{_kind(row)}_at_{radius_text(row['radius'])}"
        _with_interval(mine, names, what, row, row["certified_accuracy"])
    fine = not curve.empty and set(names.columns) <= set(curve)  # the finer curves lack alpha and n
    _curves(by_run, names, curve if fine else accuracy.frame, "certified_accuracy", "certified_accuracy")
    return by_run


def empirical(accuracy: Table) -> dict[str, Numbers]:
    """Run -> its accuracies under attack, from ``empirical_accuracy``."""
    by_run: dict[str, Numbers] = {}
    if accuracy.frame.empty:
        return by_run
    names = Names(accuracy.frame, ATTACKED)
    for row in accuracy.rows:
        mine = by_run.setdefault(str(row["run"]), Numbers())
        what = f"empirical_accuracy_at_{radius_text(row['radius'])}"
        _with_interval(mine, names, what, row, row["accuracy"])
    _curves(by_run, names, accuracy.frame, "empirical_accuracy", "accuracy")
    return by_run


def training(frame: pd.DataFrame) -> dict[str, Numbers]:
    """Run -> its records per epoch, from ``training``."""
    by_run: dict[str, Numbers] = {}
    after: dict[str, float] = {}
    if frame.empty:
        return by_run
    ordered = frame.sort_values("epoch", kind="stable")
    columns = [c for c in ordered if c not in ("run", "label", "epoch")]
    keys = [metric_key("training", str(c)) for c in columns]
    seconds = ordered["seconds"].tolist() if "seconds" in ordered else repeat(0.0, len(ordered))
    cells = (ordered["epoch"].tolist(), seconds, *(ordered[c].tolist() for c in columns))
    for run, epoch, took, *values in zip(_repeated(ordered["run"]), *cells, strict=True):
        after[run] = after.get(run, 0.0) + (took if _number(took) else 0.0)
        if run not in by_run:
            by_run[run] = Numbers()
        there = zip(keys, values, strict=True)
        by_run[run].curves += [(key, float(v), int(epoch), after[run]) for key, v in there if _number(v)]
    return by_run


def grouped(rows: Iterable[Row], key: Callable[[Row], K]) -> dict[K, list[Row]]:
    """Rows by the value of `key`, in the order in which they come."""
    groups: dict[K, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def yes(value: Any) -> bool:
    """Whether a cell is true; an empty one is not."""
    return bool(pd.notna(value) and value)


def _with_interval(mine: Numbers, names: Names, what: str, row: Row, value: Any) -> None:
    mine.add(names.key(what, row), value)
    for end in ("low", "high"):
        mine.add(f"interval/{names.key(f'{what}_{end}', row)}", row.get(end))


def _curves(by_run: dict[str, Numbers], names: Names, frame: pd.DataFrame, what: str, value: str) -> None:
    scale = 1000 if frame["radius"].max() >= FINE else 1_000_000
    key_columns = [column for column in ("rigorous", *names.columns) if column in frame]
    ordered = frame.sort_values("radius", kind="stable")
    columns = (_repeated(ordered[column]) for column in ("run", *key_columns))
    there = zip(_steps(ordered["radius"], scale), ordered[value].tolist(), *columns, strict=True)
    keys: dict[tuple[Any, ...], str] = {}  # of the curves, by their rows' cells
    points: dict[str, dict[tuple[str, int], float]] = {}
    for step, accuracy, run, *cells in there:
        alike = tuple(cells)
        if alike not in keys:
            row = dict(zip(key_columns, cells, strict=True))
            kind = f"{what}{'' if yes(row.get('rigorous', True)) else '_estimate'}"
            keys[alike] = f"curve/{names.key(f'{kind}_by_radius_x{scale}', row)}"
        if run not in points:
            points[run] = {}
        # at a step below a radius the accuracy is at least that at the radius, and at least the next one's
        points[run].setdefault((keys[alike], step), accuracy)
    for run, mine in points.items():
        curves = by_run.setdefault(run, Numbers()).curves
        curves += [(key, float(accuracy), step, math.inf) for (key, step), accuracy in mine.items()]


def _steps(radii: pd.Series, scale: int) -> list[int]:
    """The whole part of `scale` times each radius, as decimals: 1000 × 1.001 is 1001, not 1000.9999."""
    steps: list[int] = units_below(radii.to_numpy(dtype=float), scale).astype(int).tolist()
    return steps


def _repeated(column: pd.Series) -> list[Any]:
    """The cells of a column of few different values, as `tolist` gives them, which makes each text anew."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    cells = values.tolist()
    return [cells[code] for code in codes]


def _kind(row: Row) -> str:
    """The suffix of an estimate, or of a lower bound that more votes could raise."""
    if not yes(row.get("rigorous", True)):
        return "_estimate"
    return "_lower_bound" if yes(row.get("lower_bound")) else ""


def _part(column: str, value: Any) -> str:
    if column == "norm":
        return "linf" if math.isinf(float(value)) else f"l{float(value):g}"
    return f"{column} {value:g}" if column in ("alpha", "n") else str(value)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
