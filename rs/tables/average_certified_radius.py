"""The table `average_certified_radius`: one row per claim."""

from __future__ import annotations

from collections.abc import Iterator

from rs.tables.certified import CLAIMED, claims
from rs.tables.stored import Stored
from rs.tables.table import Row, Table


def rows(stored: Stored) -> Iterator[Row]:
    for claim in stored.once(claims):
        yield {**claim.columns, **claim.average()}


TABLE = Table(
    "average_certified_radius",
    (
        *(*CLAIMED, "acr", "acr_se", "low", "high", "images", "alpha", "n", "rigorous", "precision"),
        *("stopping", "lower_bound", "largest_radius", "source", "source_n"),
    ),
    rows,
)
