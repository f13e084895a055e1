"""A claim's condition as a sentence. No torch."""

from __future__ import annotations

from rs.study.claims import BESIDE, OWN, kind_of
from rs.tables.table import Row


def names_of(sides: list[Row]) -> list[str]:
    """The names of a condition's sides (rs.study.claims.sides_of): the runs, with any other keys in which
    they differ.
    """
    names = [str(side["run"]) for side in sides]
    for key in OWN:
        if len({str(side[key]) for side in sides}) > 1:
            names = [f"{name} ({side[key]})" for name, side in zip(names, sides, strict=True)]
    return names


def words(condition: Row, sides: list[Row]) -> str:
    kind, names = kind_of(condition), names_of(sides)
    of = f"{condition['metric'].replace('_', ' ')} of "
    if kind in BESIDE:
        return f"{of}{names[0]} {kind} than {names[1]}".replace("equivalent than", "equivalent to")
    if kind == "trend":
        return f"{of}{', '.join(names)} {condition['goes']}"
    limits = [
        f"{key.replace('_', ' ')} {condition[key]:g}"
        for key in ("at_least", "at_most")
        if condition[key] is not None
    ]
    joint = {"value": names[0], "difference": " minus ".join(names), "ratio": " over ".join(names)}[kind]
    return f"{of}{joint} {' and '.join(limits)}"
