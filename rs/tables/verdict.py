"""The verdict on one printed number: a status and the numbers behind it. Sentences are made elsewhere.

| status | when |
|---|---|
| zero by construction | 0 is printed at a radius that neither side's votes can certify |
| not run | nothing was measured in its place |
| other settings | the run differs from the paper's settings for it |
| bounded | a lower bound (stopped votes) that does not lie above the printed number |
| agrees | the interval lies within the margin |
| differs | it excludes 0 |
| consistent | it covers 0, and so would the paper's own noise alone, which exceeds the margin |
| undecided | none of these |

The paper's own noise is what no run here removes: that of its single network, of its rounding, and of its
images where only their number is stated. If it is stated which they are, a run on them cancels their noise.
If not even their number is, they are taken to be as many as ours, so that more of ours are more of theirs.

With fewer than 3 seeds the noise of the training seeds is unknown. More noise could only widen the interval
and the paper's own part of it, so `consistent` stays true; everything else is open. `counted` says what the
interval includes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from rs.statistics import agreement
from rs.statistics.agreement import Difference, Side
from rs.tables.measured import Measured

STATUSES = (
    *("agrees", "consistent", "differs", "undecided", "zero by construction", "other settings", "bounded"),
    "not run",
)


@dataclass(frozen=True)
class PrintedNumber:
    """A printed number: its value, half a unit of its last digit, its number of images, whether they are
    ours, and the margin in the number's own unit.
    """

    value: float
    unit: float
    images: int | None
    shared: bool
    margin: float
    accuracy: bool = True
    known: bool = False  # whether it is stated which images the paper's are


def judge(printed: PrintedNumber, measured: Measured, confidence: float) -> dict[str, Any]:
    """Columns of the verdict on a number that was measured at the paper's settings."""
    ours, theirs = _sides(printed, measured, confidence)
    seeds = agreement.seeds_of(measured.values, measured.resolution)
    d = agreement.difference(ours, theirs, seeds, printed.unit, confidence)
    if measured.lower_bound:
        d = replace(d, high=math.inf)
    if printed.images is None:  # assumed to be as many as ours
        d = replace(d, ours=math.hypot(d.ours, d.theirs), theirs=0.0)
    counted = {"images": not printed.shared, "seeds": not math.isnan(seeds.spread)}
    columns: dict[str, Any] = {"difference": d.value, "margin": printed.margin}
    columns["counted"] = " and ".join(noise for noise, is_in in counted.items() if is_in)
    if columns["counted"]:
        columns |= {"difference_low": d.low, "difference_high": d.high}
        if measured.lower_bound and d.low <= 0:
            return columns | {"status": "bounded", "decides": "votes", "decides_count": None}
    if counted["seeds"]:
        return columns | _decided(d, printed, measured.images or 1)
    if counted["images"] and _consistent(d, printed):
        return columns | {"status": "consistent"}
    return columns | _undecided("seeds", max(agreement.FEWEST_SEEDS, seeds.count + 1))


def _decided(d: Difference, printed: PrintedNumber, images: int) -> dict[str, Any]:
    """The columns of a verdict by all of the noise, or what would decide it beside `images` of ours."""
    if -printed.margin <= d.low and d.high <= printed.margin:
        return {"status": "agrees"}
    if d.low > 0 or d.high < 0:
        beyond = d.low > printed.margin or d.high < -printed.margin
        return {"status": "differs", "direction": "above" if d.low > 0 else "below", "beyond_margin": beyond}
    if _consistent(d, printed):
        return {"status": "consistent"}
    more = agreement.images_to_decide(d, printed.margin, images)
    if more is not None:
        return _undecided("images", more)
    more = agreement.seeds_to_decide(d, printed.margin)
    if more is not None:
        return _undecided("seeds", more)
    if printed.known and not printed.shared:
        return _undecided("the paper's images", printed.images)
    together = agreement.both_decide(d, printed.margin)
    return _undecided("images and seeds" if together else None, None)


def _consistent(d: Difference, printed: PrintedNumber) -> bool:
    own = d.papers_own(images=printed.images is not None and not printed.known)
    return d.low <= 0 <= d.high and printed.margin < own and abs(d.value) <= own


def _undecided(what: str | None, count: int | None) -> dict[str, Any]:
    return {"status": "undecided", "decides": what, "decides_count": count}


def _sides(printed: PrintedNumber, measured: Measured, confidence: float) -> tuple[Side, Side]:
    """Both numbers with the image noise that they do not share."""
    if printed.shared:
        exact = Side(printed.value, printed.value, printed.value)
        return measured.side.fixed, exact
    ours = measured.images or 1
    papers = printed.images or ours
    if printed.accuracy:
        return measured.side, agreement.printed_accuracy(printed.value, papers, confidence)
    return measured.side, agreement.printed_like(printed.value, measured.side, ours, papers)
