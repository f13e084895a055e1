"""The table `certified_accuracy`: one row per claim and radius of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rs.tables.certified import CLAIMED, Claim, claims
from rs.tables.stored import Stored
from rs.tables.table import Row, Table


def rows(stored: Stored) -> Iterator[Row]:
    radii = [float(radius) for radius in stored.plan.study.report["radii"]]
    for claim in stored.once(claims):
        yield from rows_of(claim, radii)


def rows_of(claim: Claim, radii: Sequence[float]) -> Iterator[Row]:
    for accuracy in claim.accuracies(radii):
        bound = claim.is_lower_bound(accuracy["radius"])
        yield {**claim.columns, **accuracy, "factor": claim.factor, "lower_bound": bound}


TABLE = Table(
    "certified_accuracy",
    (
        *(*CLAIMED, "radius", "certified_accuracy", "low", "high", "images", "alpha", "n", "rigorous"),
        *("precision", "stopping", "lower_bound", "largest_radius", "factor", "source", "source_n"),
    ),
    rows,
)
