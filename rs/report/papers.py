"""A page per paper, with its tables in their printed shape and published and reproduced numbers, and an
index.

They are made from the numbers and claims of `rs verdicts`, including those not run. Same input, same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rs.errors import plural
from rs.plan.price import in_words
from rs.provenance.files import write_text
from rs.report.frame import render
from rs.report.html_table import down, up
from rs.report.names import MEASURES
from rs.report.next_hour import MOST, Left, offers, sentence
from rs.report.numerals import order, printed
from rs.report.verdict_words import counted
from rs.tables.claims import VERDICTS

Row = Mapping[str, Any]

# Name of a verdict, its sign (colour is never alone), and its meaning, in the order of bars and lists.
STATUSES = {
    "agrees": ("agrees", "✓", "the difference lies within the margin that was fixed beforehand"),
    "above": ("above", "▲", "our value is larger than the published one, beyond the noise of both"),
    "below": ("below", "▼", "our value is smaller than the published one, beyond the noise of both"),
    "consistent": (
        "consistent",
        "≈",
        "no difference is shown, but the paper's own noise alone exceeds the margin",
    ),
    "undecided": ("undecided", "◐", "neither agreement nor difference is shown yet"),
    "bounded": ("bounded", "≥", "our value is a lower bound, below the published number"),
    "other settings": ("other settings", "≠", "run with other settings than the paper's, so no verdict"),
    "zero by construction": ("zero by construction", "∅", "neither side's votes can certify that radius"),
    "not run": ("not run", "·", "not run yet; its price is shown where it is known"),
    "no verdict": ("no verdict", "–", "compared without a verdict: a training time on another machine"),
}
MACHINE = "H100"  # the machine for whose hours prices are given


@dataclass
class Printed:
    """One table of a paper: a row per printed row, a column per radius or other measure."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[dict[str, Any] | None]]]


@dataclass
class Paper:
    name: str
    counts: dict[str, int]
    tables: list[Printed]
    claims: list[dict[str, Any]] = field(default_factory=list)

    @property
    def file(self) -> str:
        return "-".join(self.name.lower().split()).replace("/", "-") + ".html"

    @property
    def summary(self) -> str:
        """The number of its claims with each verdict."""
        return counted((claim["verdict"] for claim in self.claims), "claims", VERDICTS)


def status_of(number: Row) -> str:
    """The key in STATUSES: a difference has a direction."""
    status = str(number["status"])
    if status == "differs":
        return "above" if number.get("direction") == "above" else "below"
    return status if status in STATUSES else "no verdict"


def papers(
    numbers: Sequence[Row],
    claims: Sequence[Row],
    names: Iterable[str],
    hours: Mapping[str, float] | None = None,
) -> list[Paper]:
    """The papers in `names`, in their order, then other papers with numbers or claims. `hours` are those
    still needed by study.
    """
    known = dict.fromkeys([*names, *(str(n["paper"]) for n in numbers), *(str(c["paper"]) for c in claims)])
    result = []
    for name in known:
        mine = [number for number in numbers if number["paper"] == name]
        counts = {key: sum(status_of(n) == key for n in mine) for key in STATUSES}
        own_claims = [_claim(claim) for claim in claims if claim["paper"] == name]
        result.append(
            Paper(name, {k: n for k, n in counts.items() if n}, list(_tables(mine, hours or {})), own_claims)
        )
    return result


def _tables(numbers: Sequence[Row], hours: Mapping[str, float]) -> Iterable[Printed]:
    """Printed tables in the order of their names; `Table 6, Cohen` is row `Cohen` of `Table 6`."""
    grouped: dict[str, list[Row]] = {}
    for number in numbers:
        title = str(number["table"]).partition(",")[0].strip()
        grouped.setdefault(title, []).append(number)
    for title, mine in sorted(grouped.items(), key=lambda item: order(item[0])):
        columns = list(dict.fromkeys(map(_column, sorted(mine, key=_place))))
        rows: dict[str, dict[str, dict[str, Any]]] = {}
        for number in mine:
            rows.setdefault(_row_name(number, mine), {})[_column(number)] = _cell(
                number, hours.get(str(number.get("study")))
            )
        body = [(name, [cells.get(column) for column in columns]) for name, cells in rows.items()]
        yield Printed(title, columns, body)


def _column(number: Row) -> str:
    radius = number.get("radius")
    if radius is None or radius != radius:
        return MEASURES.get(str(number["metric"]), str(number["metric"]).replace("_", " "))
    prefix = "attacked, " if number["metric"] == "empirical_accuracy" else ""
    steps = round(255 * radius)  # an image's levels, in which l-infinity radii are printed
    of_levels = f"{radius:g}" != f"{radius:.4g}" and math.isclose(steps, 255 * radius, abs_tol=1e-4)
    return f"{prefix}r = {steps}/255" if of_levels else f"{prefix}r = {radius:g}"


def _place(number: Row) -> tuple[int, float, str]:
    """A sort key: ACR and the like first, then certified accuracies by radius, then those under attack."""
    column, radius = _column(number), number.get("radius")
    attacked = number["metric"] == "empirical_accuracy"
    return (1 + attacked, radius, "") if radius is not None and "r = " in column else (0, 0.0, column)


def _row_name(number: Row, mine: Sequence[Row]) -> str:
    rest = str(number["table"]).partition(",")[2].strip()
    label = str(number["label"])
    shared = sum(n["table"] == number["table"] and _column(n) == _column(number) for n in mine) > 1
    return f"{rest}, {label}" if rest and shared else rest or label


def _depth(number: Row, status: str) -> float:
    """Depth of a cell's colour, 0 to 1: how much of the margin is left, or how far it is exceeded."""
    values = [number.get(key) for key in ("difference", "margin")]
    difference, margin = (abs(float(v)) if v is not None and v == v else None for v in values)
    if difference is None or not margin or status not in ("agrees", "above", "below"):
        return 0.5
    share = difference / margin
    return round(max(1 - share, 0.0) if status == "agrees" else min(share / 2, 1.0), 2)


def _cell(number: Row, hours: float | None) -> dict[str, Any]:
    status = status_of(number)
    word, sign, _ = STATUSES[status]
    ours = number.get("reproduced")
    shown = "" if ours is None or ours != ours else down(float(ours))
    parts = [f"published {number['printed']}"]
    if shown:
        parts.append(f"ours {shown}")
        low = number.get("low")
        if low is not None and low == low:
            parts.append(f"95 % interval {down(float(number['low']))} to {up(float(number['high']))}")
        images = number.get("images")
        if images is not None and images == images:
            parts.append(plural(images, "image", spec=",.0f"))
        parts.append(f"run {number['label']}")
    parts.append(printed(str(number.get("words") or word)))
    parts.append(f"{number['address']}")
    return {
        "depth": _depth(number, status),
        "price": in_words(hours) + " h" if status == "not run" and hours and hours >= 0.005 else "",
        "published": str(number["printed"]),
        "ours": shown,
        "status": status.replace(" ", "-"),
        "sign": sign,
        "title": " · ".join(parts),
        "study": number.get("study", ""),
    }


def _claim(claim: Row) -> dict[str, Any]:
    """The claim with the ends of its chart in percent of a scale with 0 in the middle."""
    entry = {**claim, "status": str(claim["verdict"]).replace(" ", "-"), "chart": None}
    entry["evidence"] = printed(str(claim.get("evidence") or ""))
    ends = claim.get("interval")
    if ends and all(v is not None and math.isfinite(v) for v in ends) and any(ends):
        reach = 1.08 * max(map(abs, ends))
        entry["chart"] = [round(50 + 50 * float(v) / reach, 2) for v in ends]
    return entry


def write_papers(
    folder: Path,
    numbers: Sequence[Row],
    claims: Sequence[Row],
    names: Iterable[str],
    commands: Mapping[str, str],
    hours: Mapping[str, float],
    pages: Mapping[str, str],
    left: Mapping[str, Left],
) -> list[Path]:
    """Writes `index.html` and a page per paper into `folder`. By study: `commands` that run it, remaining
    `hours` on MACHINE, addresses of existing `pages`, and the numbers and claims that it would decide.
    """
    every = papers(numbers, claims, names, hours)
    offered = offers(left, hours)
    totals = {key: sum(paper.counts.get(key, 0) for paper in every) for key in STATUSES}
    shared: dict[str, Any] = {"statuses": STATUSES, "papers": every, "machine": MACHINE}
    shared |= {"next_hour": sentence(offered, MACHINE), "offers": offered[:MOST], "decided_by": commands}
    files = {"index.html": None, **{paper.file: paper for paper in every}}
    for name, paper in files.items():
        chosen: dict[str, Any] = {"paper": paper, "totals": {k: n for k, n in totals.items() if n}}
        used = (
            sorted(
                {c["study"] for t in paper.tables for _, cells in t.rows for c in cells if c} - {""},
                key=order,
            )
            if paper
            else []
        )
        by_study = {study: (commands.get(study, ""), pages.get(study, "")) for study in used}
        page = render("papers.html", ["papers.css"], ["papers.js"], **shared, **chosen, commands=by_study)
        write_text(folder / name, page)
    return [folder / name for name in files]
