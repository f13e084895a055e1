"""The tables `certified_accuracy_over_seeds` and `average_certified_radius_over_seeds`: mean and standard
deviation over the seeds of one label, where it has several.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from rs.tables.noise import SMOOTHING
from rs.tables.reading import rows_of
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

_LABELLED = ("label", *SMOOTHING, "certificate", "norm")
_SPREAD = ("mean", "std", "seeds")


def _over_seeds(of: str, value: str, *more: str) -> Table:
    """The table over seeds of the column `value` of the table `of`, per label and claim; `more` columns also
    distinguish rows.
    """
    keys = [*_LABELLED, *more]

    def rows(_: Stored, seeds: Sequence[Row]) -> list[Row]:
        if not seeds:
            return []
        grouped = pd.DataFrame(seeds).groupby(keys, sort=False, dropna=False)[value]
        summary = grouped.agg(mean="mean", std="std", seeds="count").reset_index()
        return [row for row in rows_of(summary) if row["seeds"] > 1]

    return Table(f"{of}_over_seeds", (*keys, *_SPREAD), rows, of=(of,))


ACCURACY = _over_seeds("certified_accuracy", "certified_accuracy", "radius", "lower_bound")
RADIUS = _over_seeds("average_certified_radius", "acr", "lower_bound")
