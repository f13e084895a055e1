"""Which runs share axes in the figures of accuracy, by a study's `report`: first the groups of runs, then the
other runs, in one part per value of the keys in `panels`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from rs.report.figure_layout import shortened
from rs.study.study import named

_GREEK = {"sigma": "σ", "gamma": "γ", "lambda": "λ", "epsilon": "ε", "beta": "β", "alpha": "α"}


@dataclass(frozen=True)
class Group:
    """Runs, or whole sweeps, with axes of their own."""

    runs: tuple[str, ...]
    title: str = ""
    colour: tuple[str, ...] | None = None
    style: tuple[str, ...] | None = None


@dataclass(frozen=True)
class FigureSettings:
    """A study's settings of its figures (rs.settings.study.Report)."""

    panels: tuple[str, ...] = ("noise",)
    colour: tuple[str, ...] = ()
    style: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()

    @classmethod
    def of(cls, report: Mapping[str, Any] | None) -> FigureSettings:
        """From a study's `report` with its defaults; without one, the defaults."""
        if not report:
            return cls()
        groups = []
        for group in report["groups"]:
            colour, look = (None if group[key] is None else tuple(group[key]) for key in ("colour", "style"))
            groups.append(Group(tuple(group["runs"]), group["title"], colour, look))
        panels, colours, looks = (tuple(report[key]) for key in ("panels", "colour", "style"))
        return cls(panels, colours, looks, tuple(groups))


@dataclass(frozen=True)
class Part:
    """The rows that share axes, and the columns by which its lines are coloured and styled."""

    title: str
    norm: float
    rows: pd.DataFrame
    colour: tuple[str, ...]
    style: tuple[str, ...]

    @property
    def meaning(self) -> tuple[Any, ...]:
        return (self.colour, self.style) if self.colour or self.style else ()


def with_keys(frame: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Adds columns that a study can name: the run as the study writes it, and settings from `runs`."""
    labels = frame["label"].astype(str)
    keyed = frame.assign(label=labels, run_name=labels.str.partition("[")[0], noise=frame["smoothing"])
    if "label" not in runs:
        return keyed
    settings = [c for c in runs if c in ("objective", "model") or "." in str(c)]
    of_label = runs.drop_duplicates("label").set_index(runs.drop_duplicates("label")["label"].astype(str))
    return keyed.assign(**{str(c): labels.map(of_label[c]) for c in settings if c not in keyed})


def column_of(key: str) -> str:
    return "run_name" if key == "run" else key  # the column `run` is the id


def parts(
    frame: pd.DataFrame, base: Sequence[str], panels: Sequence[str], settings: FigureSettings
) -> Iterator[Part]:
    """The groups of the study, then the runs in no group, divided by `panels`. Norms stand in the order of
    the rows: the norm of the study's first run comes first.
    """
    rest, norms = frame, list(dict.fromkeys(frame["norm"]))
    for group in settings.groups:
        chosen = frame[frame["label"].map(lambda label, runs=group.runs: named(label, runs))]
        rest = rest[~rest.index.isin(chosen.index)]
        colour = settings.colour if group.colour is None else group.colour
        meant = (colour, settings.style if group.style is None else group.style)
        of_group: Any = _in_turn(chosen.groupby(list(base), sort=True), norms, len(base))
        for values, part in of_group:
            title = [_cut(group.title) if group.title else "", *map(_cut, values[:-1])]
            yield Part(", ".join(filter(None, title)), float(values[-1]), part, *meant)
    keys = [key for key in dict.fromkeys(panels) if column_of(key) in rest]
    by = [*base, *map(column_of, keys)]
    groups: Any = rest.groupby(by, sort=True, dropna=False) if len(rest) else ()
    for values, part in _in_turn(groups, norms, len(base)):
        of_base, of_keys = values[: len(base)], values[len(base) :]
        texts = [*map(_cut, of_base[:-1]), *map(word, keys, of_keys)]
        if len(base) > 1 and part["noise"].nunique() == 1 and "noise" not in keys:
            texts.append(str(part["noise"].iloc[0]))
        yield Part(", ".join(texts), float(of_base[-1]), part, settings.colour, settings.style)


def _in_turn(groups: Any, norms: Sequence[float], last: int) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The groups with those of the first norm first; the norm is their key before `last`."""
    return sorted(groups, key=lambda group: norms.index(group[0][last - 1]))


def by_meaning(of: Iterable[Part]) -> Iterable[list[Part]]:
    grouped: dict[tuple[Any, ...], list[Part]] = {}
    for part in of:
        grouped.setdefault(part.meaning, []).append(part)
    return grouped.values()


def word(key: str, value: Any) -> str:
    """The text for a column's value in a panel's title or a legend."""
    if "." not in key:
        text = "none" if pd.isna(value) else str(value)
        return text if key == "noise" else _cut(text)
    last = key.rpartition(".")[2]
    name = _GREEK.get(last, last.replace("_", " "))
    if pd.isna(value):
        return f"no {name}"
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        return f"{name} = {value:g}"
    return f"{name} {value}"


def _cut(text: Any) -> str:
    return shortened([str(text)])[str(text)]


def words(rows: pd.DataFrame, keys: Sequence[str]) -> pd.Series:
    """The text for the values of `keys` in each row."""
    texts = [""] * len(rows)
    for i, key in enumerate(keys):
        codes, values = pd.factorize(rows[column_of(key)], use_na_sentinel=False)
        names = [", " * bool(i) + word(key, value) for value in values]
        texts = [text + names[code] for text, code in zip(texts, codes, strict=True)]
    return pd.Series(texts, rows.index, dtype=object)
