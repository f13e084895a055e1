"""The first sentences of a study's page: whether the papers' numbers and claims hold, which run certifies
most, which is most accurate under attack, and whether these differences are real.

A run is called best where its paired comparison with every other run under the same noise, and with the same
certificate or attack, shows a difference beyond the noise of the test images, with all comparisons counted
(table `comparisons`, about networks).
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

MOST = 6  # sentences on noises and certificates, and as many on attacks
# metric of a comparison -> what two runs must share, and the table of all runs that have it
SHARED = {
    "acr": ("certificate", "average_certified_radius"),
    "certified_accuracy": ("certificate", "average_certified_radius"),
    "empirical_accuracy": ("attack", "empirical_accuracy"),
}


@dataclass(frozen=True)
class Best:
    """The run that certifies most at a radius or is most accurate under an attack of that radius, and its
    difference from the next one. `by` is the certificate or the attack.
    """

    smoothing: str
    by: str
    radius: float
    label: str
    other: str
    difference: float
    low: float
    high: float


def summary(tables: Path) -> list[str]:
    """The sentences; parts that a study does not have are left out."""
    return [
        *_numbers(read(tables, "published")),
        *_claims(read(tables, "claims")),
        *_certified(tables),
        *_attacked(tables),
    ]


def _numbers(published: pd.DataFrame) -> Iterator[str]:
    if published.empty:
        return
    ways = published[published["status"] == "differs"]["direction"].value_counts()
    directions = ", ".join(f"{n} {way}" if ways.sum() > 1 else str(way) for way, n in ways.items())
    yield counted(published["status"], "published numbers", STATUSES, {"differs": directions})


def _claims(claims: pd.DataFrame) -> Iterator[str]:
    if claims.empty:
        return
    yield counted(claims.drop_duplicates("id")["verdict"], "claims", VERDICTS)


def _certified(tables: Path) -> Iterator[str]:
    groups = list(_groups(_compared(tables, "acr", "certified_accuracy"), "certificate"))
    averages, leaders = best(tables, "acr"), best(tables)
    shown = read(tables, "average_certified_radius")  # it also has what nothing can be compared with
    several = len(groups) > 1 or len(list(_groups(shown, "certificate"))) > 1
    for key, rows in groups[:MOST]:
        under = f"Under {key[0]}, {key[1]}: " if several else ""
        sentences = [_average(b) for b in averages if (b.smoothing, b.by) == key]
        by_radius = _by_radius([b for b in leaders if (b.smoothing, b.by) == key], rows, "certifies most")
        if not by_radius and (rows["radius"].notna().any() or not sentences):
            none = _none(rows, "certifies more")
            by_radius = [none if under or sentences else none.capitalize()]
        yield f"{under}{'; '.join(sentences + by_radius)}."


def _attacked(tables: Path) -> Iterator[str]:
    leaders = best(tables, "empirical_accuracy")
    for key, rows in list(_groups(_compared(tables, "empirical_accuracy"), "attack"))[:MOST]:
        sentences = _by_radius([b for b in leaders if (b.smoothing, b.by) == key], rows, "is most accurate")
        noise = "no smoothing noise" if key[0] == "none" else key[0]
        yield f"Under attack ({key[1]}, {noise}): {'; '.join(sentences) or _none(rows, 'is more accurate')}."


def _by_radius(leaders: Sequence[Best], rows: pd.DataFrame, leads: str) -> list[str]:
    """The best run of each stretch of the radii of `rows`, and at how many radii there is none."""
    radii = sorted(set(rows["radius"].dropna()))
    sentences = [_sentence(stretch, leads) for stretch in _stretches(leaders, radii)]
    open_ = [f"{radius:g}" for radius in radii if radius not in {b.radius for b in leaders}]
    if sentences and open_:
        where = f"at r = {open_[0]}" if len(open_) == 1 else f"at the other {len(open_)} radii"
        sentences.append(f"{where} no run leads all others beyond the images' noise")
    return sentences


def _none(rows: pd.DataFrame, leads: str) -> str:
    runs = len({*rows["a"], *rows["b"]})
    whoever = (
        f"neither run {leads} than the other" if runs == 2 else f"none of {runs} runs {leads} than all others"
    )
    return f"{whoever} at any radius beyond the images' noise, all comparisons counted"


def best(tables: Path, metric: str = "certified_accuracy") -> list[Best]:
    """At most one per noise, certificate (for `empirical_accuracy` attack) and radius; for the average
    (`acr`) the radius is NaN.
    """
    by, table = SHARED[metric]
    # the table also has runs that are in no named comparison
    every = {key: {*map(str, rows["label"])} for key, rows in _groups(read(tables, table), by)}
    leaders = []
    for (smoothing, shared, radius), rows in _groups(_compared(tables, metric), by, "radius"):
        beaten = _over_others(rows)
        for label, comparisons in beaten.items():
            if not all(row["verdict"] == "better" for row in comparisons):
                continue
            others = (every.get((smoothing, shared), set()) | {*beaten}) - {label}
            if {row["b"] for row in comparisons} == others:
                least = min(comparisons, key=lambda row: row["difference"])
                ends = (least["difference"], least["low"], least["high"])
                leaders.append(Best(smoothing, shared, float(radius), label, least["b"], *ends))
    return leaders


def _groups(frame: pd.DataFrame, *keys: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The rows by smoothing noise and `keys`; none of an empty table."""
    yield from frame.groupby(["smoothing", *keys], sort=False, dropna=False) if len(frame) else ()


def _over_others(rows: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """For each label its comparisons with the others, with the label as `a`."""
    by_label: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(rows):
        for comparison in (row, turned(row)):
            by_label.setdefault(str(comparison["a"]), []).append(comparison)
    return by_label


def _compared(tables: Path, *metrics: str) -> pd.DataFrame:
    frame = read(tables, "comparisons")
    if frame.empty:
        return frame
    return frame[frame["metric"].isin(metrics) & (frame["about"] == "networks")]


def _stretches(leaders: Sequence[Best], radii: Sequence[float]) -> Iterator[list[Best]]:
    """Groups of neighbouring radii with the same best run."""
    at = {b.radius: b for b in leaders}
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


def _sentence(stretch: Sequence[Best], leads: str) -> str:
    first, last = stretch[0], stretch[-1]
    largest = max(stretch, key=lambda b: b.difference)
    where = f"at r = {first.radius:g}" + (f" to {last.radius:g}" if last is not first else "")
    at = f" at {largest.radius:g}" if last is not first else ""
    return f"{first.label} {leads} {where} ({_over(largest)}{at})"
