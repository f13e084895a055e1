"""A claim's condition as a sentence. Two conditions read alike only if they read the same rows: pages join
values of the same words. No torch.
"""

from __future__ import annotations

from rs.settings.claims import Condition
from rs.study.claims import BESIDE, CERTIFIED, OWN, kind_of
from rs.tables.table import Row


def names_of(sides: list[Row]) -> list[str]:
    """The names of a condition's sides (rs.study.claims.sides_of): the runs, with any other keys in which
    they differ.
    """
    names = [str(side["run"]) for side in sides]
    for key in (*OWN, "where"):
        texts = [_text(side[key]) for side in sides]
        if len(set(texts)) > 1:
            names = [f"{name} ({text})" if text else name for name, text in zip(names, texts, strict=True)]
    return names


def words(condition: Row, sides: list[Row]) -> str:
    kind, names = kind_of(condition), names_of(sides)
    of = f"{condition['metric'].replace('_', ' ')}{_in_common(condition['metric'], sides)} of "
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


def _in_common(metric: str, sides: list[Row]) -> str:
    """What all sides share, in brackets. It is stated only where a run has several; the certificate alone
    has a default, which goes without saying.
    """
    keys = [key for key in (*OWN, "where") if key != "certificate" or metric in CERTIFIED]
    texts = [{_text(side[key]) for side in sides} for key in keys]
    unsaid = {"", Condition.certificate}
    shared = ", ".join(text for each in texts if len(each) == 1 for text in each - unsaid)
    return f" ({shared})" if shared else ""


def _text(value: object) -> str:
    """A key's value in words; empty where it is not stated."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {own}" for key, own in value.items())
    return "" if value is None else str(value)
