"""Claims of a study: what each of their conditions reads. No torch."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
Place = tuple[Any, ...]
# metric -> table and column
METRICS = {
    "acr": ("average_certified_radius", "acr"),
    "certified_accuracy": ("certified_accuracy", "certified_accuracy"),
    "empirical_accuracy": ("empirical_accuracy", "accuracy"),
    "epsilon": ("calibration", "epsilon_without_noise"),
    "rho": ("calibration", "rho_without_noise"),
    "train_seconds": ("runs", "train_seconds"),
}
CERTIFIED, ATTACKED = ("acr", "certified_accuracy"), "empirical_accuracy"
UNSMOOTHED = ("epsilon", "rho", "train_seconds")  # metrics that do not depend on smoothing
OWN = ("certificate", "attack", "smoothing")  # keys that a side of a condition may set itself
BESIDE = ("better", "worse", "equivalent")
BOUNDED = ("value", "difference", "ratio")
THEORY = ("impossible", "proven")
KINDS = (*BESIDE, "trend", *BOUNDED, "crosses", *THEORY)


def kind_of(condition: Row) -> str:
    """Which predicate the condition is."""
    return next(kind for kind in KINDS if condition[kind] is not None)


def sides_of(condition: Row) -> list[Row]:
    """The runs that the condition reads, in its order, each with the keys that apply to it."""
    kind = kind_of(condition)
    if kind in THEORY:
        return []
    named = condition[kind] if isinstance(condition[kind], list) else [condition[kind]]
    named = [*named, *([condition["than"]] if kind in BESIDE else [])]
    own = {key: condition[key] for key in OWN}
    sides = [side if isinstance(side, dict) else {"run": side} for side in named]
    return [
        own | side | {"where": {**(condition["where"] or {}), **(side.get("where") or {})}} for side in sides
    ]


def parts_of(condition: Row) -> list[Row]:
    """The two `better` conditions that make up `crosses`; any other condition is its only part."""
    if kind_of(condition) != "crosses":
        return [condition]
    first, second = condition["crosses"]
    return [
        {**condition, "crosses": None, "better": better, "than": than, "radii": [condition[at]]}
        for better, than, at in ((first, second, "small"), (second, first, "large"))
    ]


def radii_of(condition: Row) -> list[float | None]:
    """The radii of the condition in turn; [None] for a condition without radii."""
    return [float(r) for r in condition["radii"]] or [None]


def table_of(metric: str) -> tuple[str, str]:
    """Table and column of a metric; `table.column` names them itself."""
    if metric in METRICS:
        return METRICS[metric]
    table, _, column = metric.partition(".")
    return table, column
