"""Maps class folders to the model's classes. No guess is made that could silently be another class."""

from __future__ import annotations

from collections.abc import Sequence

from rs.errors import UserError, plural
from rs.foreign.pictures import Pictures
from rs.methods.data.images import some


def in_model(pictures: Pictures, classes: int, names: Sequence[str]) -> tuple[list[int] | None, str]:
    """The labels of all images as the model's classes, None where they have none; and how they were found.

    In this order: if all names are the model's class names, those classes; if all folders are numbers, these;
    if there are as many folders as classes, the sorted order, as usual for image folders. Else raises
    UserError.
    """
    if pictures.labels is None:
        return None, "none: predictions are certified, right or wrong"
    table, how = translation(pictures, classes, names)
    known = list(pictures.labels) if table is None else [table[label] for label in pictures.labels]
    if known and max(known) >= classes:
        problem = f"label {max(known)}, but the model has {plural(classes, 'class', 'classes')}"
        counted = ", counted from 0" if min(known) > 0 else ""
        raise UserError(f"{pictures.place}: {problem}{counted}; give --unlabelled to certify predictions")
    return known, how


def names_of(pictures: Pictures, labels: Sequence[int] | None) -> dict[int, str]:
    """The names of the classes in `labels`, from class folders or a table; empty where there are none."""
    if not pictures.groups or pictures.labels is None or labels is None:
        return {}
    return {label: pictures.groups[own] for label, own in zip(labels, pictures.labels, strict=True)}


def translation(pictures: Pictures, classes: int, names: Sequence[str]) -> tuple[list[int] | None, str]:
    """The class of each group (None where labels are classes already), and how it was found, as text."""
    groups = pictures.groups
    if not groups:
        return None, "numbers of classes"
    places: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        places.setdefault(plain(name), []).append(i)
    candidates = [places.get(plain(group), []) for group in groups]
    if all(len(at) == 1 for at in candidates):  # ImageNet has two classes named crane
        return [at[0] for at in candidates], "the model's names of its classes"
    numbers = [group.isascii() and group.isdigit() for group in groups]
    if all(numbers):
        return [int(group) for group in groups], "numbers of classes"
    if len(groups) == classes and not any(numbers):
        order = f"{groups[0]} is class 0, {groups[-1]} is class {classes - 1}"
        return list(range(classes)), f"{plural(classes, 'class', 'classes')} in sorted order: {order}"
    problem = f"{plural(len(groups), 'class', 'classes')} ({some(list(groups))}), but the model has {classes}"
    odd = [g for g, at, number in zip(groups, candidates, numbers, strict=True) if not at and not number]
    if 0 < len(odd) < len(groups):
        problem = f"{some(odd)}: none of the model's {classes} classes, by name or by number"
        raise UserError(f"{pictures.place}: {problem}; move or rename it, or give --unlabelled")
    advice = "name the folders as its classes or by their numbers, or give --unlabelled"
    raise UserError(f"{pictures.place}: {problem}, and not of these names; {advice}")


def plain(name: str) -> str:
    """A common form of names: `Tiger_Cat` and `tiger cat` are one name."""
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())
