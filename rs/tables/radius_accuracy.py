"""The table `radius_accuracy`: each claim's certified accuracy on a fine grid of radii, for curves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rs.tables.certified import CLAIMED, claims
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

POINTS = 201
_NAMED = (*CLAIMED, "rigorous")


def rows(stored: Stored) -> Iterator[Row]:
    for claim in stored.once(claims):
        named = {column: claim.columns[column] for column in _NAMED}
        radii = np.linspace(0, max(1.02 * claim.radius.max(), 1e-3), POINTS)
        yield from ({**named, **accuracy} for accuracy in claim.accuracies(radii))


TABLE = Table("radius_accuracy", (*_NAMED, "radius", "certified_accuracy", "low", "high"), rows)
