"""The verdict on one printed number: a status and the numbers behind it. Sentences are made elsewhere.

| status | when |
|---|---|
| zero by construction | 0 is printed at a radius that neither side's votes can certify |
| not run | nothing was measured in its place |
| other settings | the run differs from the paper's settings for it |
| bounded | a lower bound (stopped votes) that does not lie above the printed number |
| agrees | the interval of the difference lies within the margin |
| differs | it excludes 0 |
| consistent | it covers 0, and the paper's own noise alone exceeds the margin |
| undecided | neither |

On the paper's own images, the noise of the images cancels and that of the training seed remains. With fewer
than 3 seeds it is unknown, and nothing is decided. On other images, fewer seeds leave an interval of both
sides' image noise, and `counted` says that seeds are not included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rs.statistics import agreement
from rs.statistics.agreement import Side
from rs.tables.measured import Measured

STATUSES = (
    *("agrees", "consistent", "differs", "undecided", "zero by construction", "other settings", "bounded"),
    "not run",
)
# of several statuses for one printed number, from several studies, the most informative comes first
SAYING_MOST = (
    *("differs", "agrees", "consistent", "undecided", "bounded", "zero by construction", "other settings"),
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
    known: bool = False  # whether the paper's images are known


def judge(printed: PrintedNumber, found: Measured, confidence: float) -> dict[str, Any]:
    """Columns of the verdict on a number that was measured at the paper's settings."""
    ours, theirs = _sides(printed, found, confidence)
    seeds = agreement.seeds_of(found.values, found.resolution)
    d = agreement.difference(ours, theirs, seeds, printed.unit, confidence)
    high = math.inf if found.lower_bound else d.high
    told: dict[str, Any] = {
        "difference": d.value,
        "difference_low": d.low,
        "difference_high": high,
        "margin": printed.margin,
        "counted": " and ".join(
            [*([] if printed.shared else ["images"]), *([] if math.isnan(seeds.spread) else ["seeds"])]
        ),
        "direction": "above" if d.low > 0 else "below" if high < 0 else None,
        "beyond_margin": bool(d.low > printed.margin or high < -printed.margin),
    }
    if not told["counted"]:
        unknown = {"difference_low": None, "difference_high": None, "direction": None, "beyond_margin": None}
        return told | unknown | _undecided("seeds", max(agreement.FEWEST_SEEDS, seeds.count + 1))
    if found.lower_bound and d.low <= 0:
        return told | {"status": "bounded", "decides": "votes", "decides_count": None}
    if -printed.margin <= d.low and high <= printed.margin:
        return told | {"status": "agrees"}
    if told["direction"]:
        return told | {"status": "differs"}
    if d.papers_own > printed.margin:
        return told | {"status": "consistent"}
    images = agreement.images_to_decide(d, printed.margin, found.images or 1)
    if images is not None:
        return told | _undecided("images", images)
    more = agreement.seeds_to_decide(d, printed.margin)
    if more is None and printed.known and not printed.shared:
        return told | _undecided("the paper's images", printed.images)
    return told | _undecided("seeds" if more else None, more)


def _undecided(what: str | None, count: int | None) -> dict[str, Any]:
    return {"status": "undecided", "decides": what, "decides_count": count}


def _sides(printed: PrintedNumber, found: Measured, confidence: float) -> tuple[Side, Side]:
    """Both numbers with the image noise that they do not share."""
    if printed.shared:
        exact = Side(printed.value, printed.value, printed.value)
        return found.side.fixed, exact
    ours = found.images or 1
    papers = printed.images or ours
    if printed.accuracy:
        return found.side, agreement.printed_accuracy(printed.value, papers, confidence)
    return found.side, agreement.printed_like(printed.value, found.side, ours, papers)
