"""The text of `rs compare`: a block per pair, what averages hide, and a matrix for more than two
contestants.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from pathlib import PurePath
from typing import Any

from rs.cli.text_table import aligned
from rs.errors import plural
from rs.statistics.agreement import FEWEST_SEEDS
from rs.tables.table import Row

METRIC = {
    "acr": "average certified radius",
    "median_radius": "median radius",
    "certified_accuracy": "certified accuracy",
    "empirical_accuracy": "accuracy under attack",
}
_LISTED, _STRETCHES = 10, 3  # images, and stretches of a curve, that are written out
_NOISE = {
    "shared": "the same noise",
    "other draws": "other noise draws on each side",
    "not known": "whether the noise was shared is not known",
}


def text(names: Sequence[str], rows: Sequence[Row], details: dict[str, Any], level: float) -> str:
    """All results of `rs compare`; intervals are rounded outwards."""
    short = short_names(names)
    curves = {(curve["a"], curve["b"]): curve for curve in details["curves"]}
    blocks = [f"not under the same conditions: {difference}" for difference in details["conditions"]]
    blocks += ["\n".join(details["remarks"])]
    for entry in details["images"]:
        pair = (entry["a"], entry["b"])
        own = [row for row in rows if (row["a"], row["b"]) == pair]
        blocks.append("\n".join(_pair(own, entry, curves.get(pair), short, level)))
    if len(names) > 2:
        blocks.append(_matrix(names, rows, short))
    if details["p_a"]:
        blocks.append(_probabilities(details["p_a"], short, level))
    if details["hard_images"]:
        blocks.append(_hard(details["hard_images"], short))
    return "\n\n".join(filter(None, blocks))


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Labels of runs, and the parts in which file names differ; the full names where these coincide."""
    logs = [PurePath(name).stem.split("-") for name in names if ":" not in name]
    first = _shared(logs)
    last = _shared([words[first:][::-1] for words in logs])
    short = []
    for name in names:
        words = PurePath(name).stem.split("-")
        own = words[first : len(words) - last] or words
        short.append(name.split(":", 1)[1] if ":" in name else "-".join(own))
    return dict(zip(names, short if len(set(short)) == len(names) else names, strict=True))


def _shared(names: list[list[str]]) -> int:
    """The number of words with which all names begin."""
    alike = itertools.takewhile(lambda words: len(set(words)) == 1, zip(*names, strict=False))
    return len(list(alike)) if len(names) > 1 else 0


def _pair(
    rows: list[Row], entry: Row, curve: dict[str, Any] | None, short: dict[str, str], level: float
) -> list[str]:
    lines = [f"{short[entry['a']]} − {short[entry['b']]}"]
    if entry["images"] is not None:
        out = [_left_out(entry[key], short[entry[side]]) for key, side in (("only_a", "a"), ("only_b", "b"))]
        of = f": {plural(entry['images'], 'image')}"
        lines[0] += "; ".join([of, *filter(None, out), _NOISE[entry["noise"]]])
    networks = [row for row in rows if row["about"] == "networks"]
    count = networks[0]["seeds"]
    lines.append(f"  these networks{f' ({count} on each side)' * (count > 1)}, on other test images")
    lines += table(networks, level)
    if curve:
        lines.append(f"    {_curve(curve, level)}")
    methods = [row for row in rows if row["about"] == "methods"]
    seeds = methods[0]["seeds"]
    if seeds < FEWEST_SEEDS:
        problem = f"{plural(seeds, 'training seed')}, at least {FEWEST_SEEDS} are needed"
        return [*lines, f"  these methods, trained with other seeds: undecided ({problem})"]
    return [
        *lines,
        f"  these methods, trained with other seeds ({seeds}), on these images",
        *table(methods, level),
    ]


def table(rows: Sequence[Row], level: float) -> list[str]:
    """A line per row."""
    head = ("", "difference", f"{100 * level:g} % interval", "p", "adjusted p", "verdict")
    cells = [head]
    for row in rows:
        at = "" if row["radius"] is None else f" at {row['radius']:g}"
        under = f", {row['attack']}" if row["metric"] == "empirical_accuracy" else ""
        interval = f"[{rounded(row['low'], ROUND_FLOOR)}, {rounded(row['high'], ROUND_CEILING)}]"
        probabilities = (_probability(row["p"]), _probability(row["adjusted_p"]))
        cells.append(
            (
                METRIC[row["metric"]] + at + under,
                rounded(row["difference"]),
                interval,
                *probabilities,
                row["verdict"] + " (votes were stopped)" * row["lower_bound"],
            )
        )
    return [f"    {line}" for line in aligned(cells, left=(0, 5))]


def rounded(value: float, rounding: str = ROUND_HALF_EVEN) -> str:
    """With sign and four decimals."""
    if not math.isfinite(value):
        return "none"
    return f"{Decimal(f'{value:.12f}').quantize(Decimal('0.0001'), rounding=rounding):+}"


def _probability(p: float) -> str:
    return "none" if math.isnan(p) else "< 1e-15" if p < 1e-15 else f"{p:.2g}"


def _left_out(images: list[int], name: str) -> str:
    if not images:
        return ""
    shown = ", ".join(map(str, images[:_LISTED])) + ", …" * (len(images) > _LISTED)
    return f"{plural(len(images), 'image')} only in {name} left out ({shown})"


def _curve(curve: dict[str, Any], level: float) -> str:
    """Where the band excludes 0: the longest stretches."""
    if not curve["radii"]:
        return "curve: undecided (votes were stopped, at no radius of both sides)"
    at = "all radii"
    if curve["decided"]:
        at = f"the radii that votes were stopped for ({', '.join(f'{r:g}' for r in curve['radii'])})"
    band = f"band of {at} together, {100 * level:g} %, p = {_probability(curve['p'])}"
    longest = sorted(curve["stretches"], key=lambda s: s["first"] - s["last"])[:_STRETCHES]
    stretches = [
        f"{s['side']} {_stretch(s['first'], s['last'])}" for s in sorted(longest, key=lambda s: s["first"])
    ]
    if not stretches:
        return f"curve: no difference at any radius ({band})"
    more = len(curve["stretches"]) - len(stretches)
    return f"curve: {', '.join(stretches)}{f', and {more} shorter stretches' * (more > 0)} ({band})"


def _stretch(first: float, last: float) -> str:
    ends = [f"{radius:.3f}" for radius in (first, last)]
    return f"at {ends[0]}" if ends[0] == ends[1] else f"from {ends[0]} to {ends[1]}"


def _matrix(names: Sequence[str], rows: Sequence[Row], short: dict[str, str]) -> str:
    """Differences of the average certified radius, row minus column; a star marks decided ones."""
    differences: dict[tuple[str, str], str] = {}
    for row in rows:
        if row["about"] == "networks" and row["metric"] == "acr":
            star = "*" if row["verdict"] in ("better", "worse") else "=" * (row["verdict"] == "equivalent")
            differences[row["a"], row["b"]] = rounded(row["difference"]) + star
            differences[row["b"], row["a"]] = rounded(-row["difference"]) + star
    if not differences:
        return ""
    cells = [["", *(short[n] for n in names)]]
    cells += [[short[a], *(differences.get((a, b), "") for b in names)] for a in names]
    lines = aligned(cells, left=range(len(cells[0])))
    heading = "average certified radius, these networks: row − column (* different, = equivalent, adjusted)"
    return "\n".join([heading, *(f"  {line}" for line in lines)])


def _probabilities(by_name: dict[str, list[dict[str, Any]]], short: dict[str, str], level: float) -> str:
    """A line per contestant."""
    halves = [
        max(row["share"] - row["low"], 0.0 if row["lower_bound"] else row["high"] - row["share"])
        for shares in by_name.values()
        for row in shares
    ]
    band = f"± {max(halves):.3f}: {100 * level:g} %, all together"
    heading = f"share of images whose lower bound of p_A is at least ({band})"
    if any(row["lower_bound"] for shares in by_name.values() for row in shares):
        heading += "; ≥: votes were stopped; all votes would give at least as much"
    width = max(len(short[name]) for name in by_name)
    lines = [" " * width + "".join(f"{row['p_a']:>8g}" for row in next(iter(by_name.values())))]
    for name, shares in by_name.items():
        cells = (("≥ " if row["lower_bound"] else "") + f"{row['share']:.3f}" for row in shares)
        lines.append(short[name].ljust(width) + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join([heading, *(f"  {line}" for line in lines)])


def _hard(entries: list[dict[str, Any]], short: dict[str, str]) -> str:
    """What others certify of the images that the reference does not, and with roles exchanged."""

    def share(of: dict[str, Any]) -> str:
        if of["accuracy"] is None:
            return "none (there is no such image)"
        low, high = of["low"], of["high"]
        ends = f"[{rounded(low, ROUND_FLOOR)[1:]}, {rounded(high, ROUND_CEILING)[1:]}]"
        return f"{of['accuracy']:.4f} {ends} of {of['images']}"

    reference = short[entries[0]["reference"]]
    lines = [f"hard images ({reference} certifies them at no radius): share that others certify at radius 0"]
    for entry in entries:
        name = short[entry["name"]]
        if entry["lower_bound"]:
            lines.append(f"  {name}: undecided (votes were stopped before they showed which images are hard)")
            continue
        lines.append(
            f"  {name}: {share(entry)}; {reference} on the hard images of {name}: {share(entry['in_turn'])}"
        )
    return "\n".join(lines)
