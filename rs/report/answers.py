"""The first sentences of a study's page: whether the papers' numbers and claims hold, which run certifies
most, and whether that difference is real.

A run is called best where its paired comparison with every other run under the same noise and certificate
shows a difference beyond the noise of the test images, with all comparisons counted (table `comparisons`,
about networks).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rs.report.html_table import difference
from rs.report.names import read
from rs.report.verdict_words import counted
from rs.tables.claims import VERDICTS
from rs.tables.comparisons import turned
from rs.tables.reading import rows_of
from rs.tables.verdict import STATUSES

MOST = 6  # sentences on noises and certificates


@dataclass(frozen=True)
class Best:
    """The run that certifies most at a radius, and its difference from the next one."""

    smoothing: str
    certificate: str
    radius: float
    label: str
    other: str
    difference: float
    low: float
    high: float


def answers(tables: Path) -> list[str]:
    """The sentences; parts that a study does not have are left out."""
    return [*_numbers(read(tables, "published")), *_claims(read(tables, "claims")), *_best(tables)]


def _numbers(published: pd.DataFrame) -> Iterator[str]:
    if published.empty:
        return
    counts = published["status"].value_counts()
    ways = published[published["status"] == "differs"]["direction"].value_counts()
    told = ", ".join(f"{n} {way}" if ways.sum() > 1 else str(way) for way, n in ways.items())
    asides = {"differs": told}
    yield counted({s: int(counts.get(s, 0)) for s in STATUSES}, "published numbers", asides)


def _claims(claims: pd.DataFrame) -> Iterator[str]:
    if claims.empty:
        return
    verdicts = claims.drop_duplicates("id")["verdict"]
    counts = verdicts.value_counts()
    yield counted({v: int(counts.get(v, 0)) for v in VERDICTS}, "claims")


def _best(tables: Path) -> Iterator[str]:
    compared = _compared(tables)
    averages, found = best(tables, "acr"), best(tables)
    groups = list(compared.groupby(["smoothing", "certificate"], sort=False)) if len(compared) else []
    shown = read(tables, "average_certified_radius")  # it also has what nothing can be compared with
    several = len(groups) > 1 or (len(shown) and len(shown.groupby(["smoothing", "certificate"])) > 1)
    for key, rows in groups[:MOST]:
        under = f"Under {key[0]}, {key[1]}: " if several else ""
        said = [_average(b) for b in averages if (b.smoothing, b.certificate) == key]
        mine = [b for b in found if (b.smoothing, b.certificate) == key]
        said += [_sentence(stretch) for stretch in _stretches(mine, sorted(set(rows["radius"].dropna())))]
        runs = len({*rows["a"], *rows["b"]})
        none = f"None of {runs} runs certifies more than all others at any radius beyond the images' noise, "
        none += "all comparisons counted"
        yield f"{under}{'; '.join(said) if said else none}."


def best(tables: Path, metric: str = "certified_accuracy") -> list[Best]:
    """At most one per noise, certificate and radius; for the average (`acr`) the radius is NaN."""
    compared = _compared(tables)
    compared = compared[compared["metric"] == metric] if len(compared) else compared
    found = []
    averages = read(tables, "average_certified_radius")  # also has runs that are in no named comparison
    grouped = averages.groupby(["smoothing", "certificate"]) if len(averages) else ()
    every = {(str(s), str(c)): {*map(str, rows["label"])} for (s, c), rows in grouped}
    keys = ["smoothing", "certificate", "radius"]
    for (smoothing, certificate, _), rows in (
        compared.groupby(keys, sort=False, dropna=False) if len(compared) else ()
    ):
        beaten = _over_others(rows)
        for label, told in beaten.items():
            if not all(row["verdict"] == "better" for row in told):
                continue
            others = (every.get((str(smoothing), str(certificate)), set()) | {*beaten}) - {label}
            if {row["b"] for row in told} == others:
                least = min(told, key=lambda row: row["difference"])
                ends = (least["difference"], least["low"], least["high"])
                where = (str(smoothing), str(certificate), float(rows["radius"].iloc[0]))
                found.append(Best(*where, label, least["b"], *ends))
    return found


def _over_others(rows: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """For each label its comparisons with the others, with the label as `a`."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(rows):
        for told in (row, turned(row)):
            found.setdefault(str(told["a"]), []).append(told)
    return found


def _compared(tables: Path) -> pd.DataFrame:
    frame = read(tables, "comparisons")
    if frame.empty:
        return frame
    return frame[frame["metric"].isin(["acr", "certified_accuracy"]) & (frame["about"] == "networks")]


def _stretches(found: Sequence[Best], radii: Sequence[float]) -> Iterator[list[Best]]:
    """Groups of neighbouring radii with the same best run."""
    at = {b.radius: b for b in found}
    stretch: list[Best] = []
    for radius in radii:
        if stretch and (radius not in at or at[radius].label != stretch[0].label):
            yield stretch
            stretch = []
        if radius in at:
            stretch.append(at[radius])
    if stretch:
        yield stretch


def _average(b: Best) -> str:
    return f"{b.label} has the largest average certified radius ({_over(b)}, the next)"


def _over(b: Best) -> str:
    value, low, high = difference(b.difference, b.low, b.high)
    return f"{value} [{low}, {high}] over {b.other}"


def _sentence(stretch: Sequence[Best]) -> str:
    first, last = stretch[0], stretch[-1]
    largest = max(stretch, key=lambda b: b.difference)
    where = f"at r = {first.radius:g}" + (f" to {last.radius:g}" if last is not first else "")
    at = f" at {largest.radius:g}" if last is not first else ""
    return f"{first.label} certifies most {where} ({_over(largest)}{at})"
