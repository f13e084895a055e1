"""The table `training`: one row per run and epoch, with what its objective records."""

from __future__ import annotations

from collections.abc import Iterator

from rs.provenance.files import read_table
from rs.tables.stored import Stored, head
from rs.tables.table import Row, Table

_NEEDED = ("epoch", "loss")
COLUMNS = ("run", "label", *_NEEDED, "learning_rate", "images_per_second", "seconds")


def rows(stored: Stored) -> Iterator[Row]:
    for planned in stored.plan.runs:
        if planned.run.trained:
            epochs, _ = read_table(planned.folder / "training.parquet", _NEEDED)
            yield from ({**head(planned), **epoch} for epoch in epochs.to_pylist())


TABLE = Table("training", COLUMNS, rows)
