"""How lines on the same axes are distinguished: by colours, styles and the legend.

Solid lines are proven, dashed ones are estimates. By default, labels that differ only in their training noise
share a colour and differ in markers, and several proven certificates differ in the width of the line. A
study's `report` can give colours and styles another meaning; lines that would then look alike get styles of
their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rs.report.figure_layout import COLOURS, QUIET, style, styles
from rs.report.panel_parts import FigureSettings, Part, by_meaning, column_of, parts, with_keys, words

Drawn = dict[str, Any]  # keywords of matplotlib's plot

NOTHING = FigureSettings()
ESTIMATE: Any = (0, (3, 2))
_ESTIMATES = (ESTIMATE, (0, (1, 1.5)), (0, (3, 1.5, 1, 1.5)))
_WIDTHS = (1.5, 0.7, 2.6)  # of proven certificates, in their order
_ACCESS: Any = {"white-box": "-", "transfer": "--", "gradient-free": ":"}  # of an attack
_SEVERAL = ((0, (6, 2)), (0, (4, 1, 1, 1)), (0, (2, 1)), (0, (6, 1, 1, 1, 1, 1)))  # attacks of one access
_ATTACKED = ("-", "--", ":", *_SEVERAL)  # styles to which a study gives a meaning, under attack

_CLAIM, _ATTACK = ("label", "noise", "certificate"), ("label", "noise", "attack")  # columns that name a line


@dataclass(frozen=True)
class Line:
    """The rows of one claim, or of one classifier under an attack, with all its seeds."""

    name: str
    rows: pd.DataFrame
    drawn: Drawn


@dataclass(frozen=True)
class Panel:
    """Lines on the same axes. Panels of the same `meaning` can share a legend."""

    title: str
    norm: float
    lines: list[Line]
    legend: dict[str, Drawn]
    meaning: tuple[Any, ...] = ()


def certified_panels(
    frame: pd.DataFrame, runs: pd.DataFrame, settings: FigureSettings = NOTHING
) -> list[Panel]:
    """Panels from rows that name claims (label, smoothing, certificate, norm, rigorous) and from `runs`."""
    frame = with_keys(frame, runs)
    panels: list[Panel] = []
    for alike in by_meaning(parts(frame, ("norm",), (*settings.panels, *_crowded(frame)), settings)):
        plain = not alike[0].meaning
        panels += (
            _plain_claims(alike, runs, frame) if plain else _with_meaning(alike, _CLAIM, under_attack=False)
        )
    return panels


def attacked_panels(
    frame: pd.DataFrame, runs: pd.DataFrame, settings: FigureSettings = NOTHING
) -> list[Panel]:
    """Panels from `empirical_accuracy`; transferred examples stand beside the attack that made them."""
    frame = frame.copy()
    for column, value in (("access", "white-box"), ("panel", frame["attack"])):
        frame[column] = frame[column].fillna(value) if column in frame else value
    frame = with_keys(frame, runs)
    panels: list[Panel] = []
    for alike in by_meaning(parts(frame, ("panel", "norm"), (), settings)):
        plain = not alike[0].meaning
        panels += (
            _plain_attacks(alike, runs, frame) if plain else _with_meaning(alike, _ATTACK, under_attack=True)
        )
    return panels


# --- the default: labels by colour and marker, certificates and attacks by the line ---


def _crowded(frame: pd.DataFrame) -> list[str]:
    """`certificate` as a further key of panels, for more certificates of a kind than line styles."""
    counts = frame.drop_duplicates("certificate")["rigorous"].astype(bool).value_counts()
    is_crowded = counts.get(True, 0) > len(_WIDTHS) or counts.get(False, 0) > len(_ESTIMATES)
    return ["certificate"] if is_crowded and frame["label"].nunique() > 1 else []


def _plain_claims(alike: Sequence[Part], runs: pd.DataFrame, frame: pd.DataFrame) -> Iterator[Panel]:
    """`frame` has the rows of all parts, so a certificate looks the same in each of them."""
    proven = {str(c): bool(r) for c, r in zip(frame["certificate"], frame["rigorous"], strict=True)}
    looks = _certificates(proven)
    names = [_names(part.rows) for part in alike]
    drawn = _styles(frame, runs, names)
    # one run under many certificates: these differ as labels usually do, not by the line only
    alone = len(proven) > 1 and len({name for part in names for name in part}) == 1
    if alone:
        solid: dict[bool, Drawn] = {True: {"linestyle": "-"}, False: {"linestyle": ESTIMATE}}
        looks = {c: style(i, i // len(COLOURS)) | solid[r] for i, (c, r) in enumerate(proven.items())}
    for part, shown in zip(alike, names, strict=True):
        lines = []
        several = part.rows["certificate"].nunique() > 1
        claims: Any = part.rows.groupby([shown, "certificate"], sort=False)
        for (name, certificate), rows in claims:
            how = ({} if alone else drawn[name]) | looks[str(certificate)]
            lines.append(Line(f"{name}, {certificate}" if several else name, rows, how))
        legend = {} if alone else {name: how for name, how in drawn.items() if name in set(shown)}
        for name in [c for c in proven if c in set(part.rows["certificate"]) and len(proven) > 1]:
            shown_name = name if proven[name] else f"{name} (estimate, not a proof)"
            legend[shown_name] = ({} if alone else {"color": QUIET}) | looks[name]
        yield Panel(part.title, part.norm, lines, legend)


def _certificates(proven: Mapping[str, bool]) -> dict[str, Drawn]:
    widths, dashes = itertools.cycle(_WIDTHS), itertools.cycle(_ESTIMATES)
    return {
        name: {"linestyle": "-", "linewidth": next(widths)} if rigorous else {"linestyle": next(dashes)}
        for name, rigorous in proven.items()
    }


def _plain_attacks(alike: Sequence[Part], runs: pd.DataFrame, frame: pd.DataFrame) -> Iterator[Panel]:
    """Dashes show the access, or the attack where a panel has several of one access on one classifier."""
    names = [_names(part.rows) for part in alike]
    drawn = _styles(frame, runs, names)
    met = frame.groupby(["panel", "norm", "label", "noise", "access"])["attack"].transform("nunique")
    kinds = frame["access"].where(met == 1, frame["attack"])
    dashes = {access: line for access, line in _ACCESS.items() if access in set(kinds)}
    several = [str(kind) for kind in dict.fromkeys(kinds) if kind not in dashes]
    dashes |= dict(zip(several, itertools.cycle(_SEVERAL), strict=False))
    for part, shown in zip(alike, names, strict=True):
        lines = []
        kind = kinds[part.rows.index]
        attacked: Any = part.rows.groupby([shown, "attack", kind], sort=False)
        for (name, attack, how), rows in attacked:
            marker = drawn[name]["marker"] or "."  # there are few radii here, so each is marked
            lines.append(
                Line(f"{name}, {attack}", rows, drawn[name] | {"marker": marker, "linestyle": dashes[how]})
            )
        legend = {name: how for name, how in drawn.items() if name in set(shown)}
        if list(dashes) != ["white-box"]:
            legend |= {k: {"color": QUIET, "linestyle": dashes[k]} for k in dashes if k in set(kind)}
        yield Panel(part.title, part.norm, lines, legend)


def _names(rows: pd.DataFrame) -> pd.Series:
    """The name of each row's line: its label, with the noise where the label has several smoothing noises."""
    several = rows.groupby("label")["noise"].transform("nunique") > 1
    return rows["label"].where(~several, rows["label"] + ", " + rows["noise"])


def _styles(frame: pd.DataFrame, runs: pd.DataFrame, names: Iterable[pd.Series]) -> dict[str, Drawn]:
    """A style for every label and every name."""
    drawn = styles(runs, list(dict.fromkeys(frame["label"])))
    missing = [name for name in dict.fromkeys(n for part in names for n in part) if name not in drawn]
    return drawn | {n: style(len(drawn) + i, 1 + i // len(COLOURS)) for i, n in enumerate(missing)}


# --- colours and styles with a meaning from the study ---


def _with_meaning(alike: Sequence[Part], line_of: Sequence[str], under_attack: bool) -> Iterator[Panel]:
    """All parts have one meaning, so a value looks the same in each of them."""
    colour = [key for key in alike[0].colour if column_of(key) in alike[0].rows]
    style_keys = [key for key in alike[0].style if column_of(key) in alike[0].rows]
    keys = _telling_apart(alike, colour, style_keys, line_of)
    colours = _index(words(part.rows, colour) for part in alike)
    kinds = _index(words(part.rows, keys) for part in alike)
    for part in alike:
        by = [words(part.rows, colour).rename("colour"), words(part.rows, keys).rename("style")]
        lines: list[Line] = []
        legend: dict[str, Drawn] = {}
        styled: dict[str, Drawn] = {}
        groups: Any = part.rows.groupby([*by, *line_of], sort=False)
        for (of_colour, of_style, *what), rows in groups:
            i, k = colours[of_colour], kinds[of_style]
            how = style(i, k + len(kinds) * (i // len(COLOURS)))
            if under_attack:
                how |= {"linestyle": _ATTACKED[k % len(_ATTACKED)], "marker": how["marker"] or "."}
            else:
                how |= {"linestyle": "-" if rows["rigorous"].all() else ESTIMATE}
            label, noise, last = what
            names = [
                label,
                *[noise] * _varies(part.rows, label, "noise"),
                *[last] * _varies(part.rows, label, line_of[-1]),
            ]
            lines.append(Line(", ".join(names), rows, how))
            if len(colours) > 1 or len(kinds) == 1:
                legend[of_colour] = style(i, len(kinds) * (i // len(COLOURS)))
            styled.setdefault(of_style, {**how, "color": QUIET})
        legend |= styled if len(kinds) > 1 else {}
        if not under_attack and not part.rows["rigorous"].all():
            legend["estimate, not a proof"] = {"color": QUIET, "linestyle": ESTIMATE}
        yield Panel(part.title, part.norm, lines, legend, part.meaning)


def _varies(rows: pd.DataFrame, label: str, column: str) -> bool:
    return bool(rows.loc[rows["label"] == label, column].nunique() > 1)


def _telling_apart(
    alike: Sequence[Part], colour: Sequence[str], style_keys: Sequence[str], line_of: Sequence[str]
) -> list[str]:
    """The keys of styles, with further keys as far as they distinguish lines that would look the same."""
    keys = list(style_keys)
    more = [key for key in (line_of[-1], "noise", "run", "label") if key not in (*colour, *keys)]
    for key in more:
        with_it, without = (_looks(alike, [*colour, *k], line_of) for k in ([*keys, key], keys))
        if without[0] < without[1] and with_it[0] > without[0]:
            keys.append(key)
    return keys


def _looks(alike: Sequence[Part], keys: Sequence[str], line_of: Sequence[str]) -> tuple[int, int]:
    """The number of distinct looks over all panels, and the number of lines."""
    looks = sum(len(set(words(part.rows, keys))) for part in alike)
    return looks, sum(len(part.rows.drop_duplicates(list(line_of))) for part in alike)


def _index(words: Iterable[pd.Series]) -> dict[str, int]:
    """Numbers the words in the order in which they come."""
    return {name: i for i, name in enumerate(dict.fromkeys(w for part in words for w in part))}
