"""Refuses a claim's condition that comes out the same whatever is measured: a side beside itself, and bounds
that no value of the metric can exceed, or that none can meet. No torch.
"""

from __future__ import annotations

import math
from itertools import combinations

from rs.study.claims import ATTACKED, BOUNDED, CERTIFIED, UNSMOOTHED, Place, Row, kind_of, sides_of, table_of
from rs.study.study import Study

SHARES = "accuracy"  # what columns end with that lie in [0, 1]
NOT_NEGATIVE = ("acr", "epsilon", "rho", "loss", "train_seconds")  # what columns begin with


def check_open(study: Study, place: Place, condition: Row) -> None:
    """Raises UserError at a condition whose outcome is not open."""
    kind = kind_of(condition)
    for one, other in combinations(sides_of(condition), 2):
        if _same(str(condition["metric"]), one, other):
            allowed = "sides that differ in run, smoothing, where, or what the metric is measured with"
            study.fail((*place, kind), f"{one['run']} is compared with itself; allowed: {allowed}")
    if kind in BOUNDED:
        _check_bounds(study, place, condition, *_range(kind, table_of(condition["metric"])[1]))


def _same(metric: str, one: Row, other: Row) -> bool:
    """Whether both sides are the same numbers. A side without `smoothing` has the run's only one."""
    keys = ["run", "where"]
    keys += ["certificate"] if metric in CERTIFIED else ["attack"] if metric == ATTACKED else []
    noises = {one["smoothing"], other["smoothing"]} - {None}
    return all(one[key] == other[key] for key in keys) and (metric in UNSMOOTHED or len(noises) < 2)


def _range(kind: str, column: str) -> tuple[float, float]:
    """The range of a value, difference or ratio of numbers of the column."""
    share = column.endswith(SHARES)
    least = 0.0 if share or column.startswith(NOT_NEGATIVE) else -math.inf
    most = 1.0 if share else math.inf
    if kind == "difference":
        return least - most, most - least
    return (least, most) if kind == "value" else (least, math.inf)


def _check_bounds(study: Study, place: Place, condition: Row, least: float, most: float) -> None:
    at_least, at_most = condition["at_least"], condition["at_most"]
    if None not in (at_least, at_most) and at_least > at_most:
        study.fail((*place, "at_least"), f"{at_least:g}: must be at most at_most, {at_most:g}")
    for key, words, decides in (
        ("at_least", ("above", "at most"), at_least is None or least < at_least <= most),
        ("at_most", ("at least", "below"), at_most is None or least <= at_most < most),
    ):
        if not decides:
            every = _between("at least", least, "at most", most)
            what = f"every {kind_of(condition)} of {condition['metric']} is {every}"
            allowed = _between(words[0], least, words[1], most)
            study.fail((*place, key), f"{condition[key]:g} decides nothing, since {what}; allowed: {allowed}")


def _between(above: str, least: float, below: str, most: float) -> str:
    ends = [(above, least), (below, most)]
    return " and ".join(f"{word} {end:g}" for word, end in ends if math.isfinite(end))
