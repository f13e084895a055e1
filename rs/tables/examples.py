"""The table `examples`: the attacked images that a study keeps, with their pixels."""

from __future__ import annotations

from collections.abc import Iterator

from rs.tables.attacks import AttackedRun, of_attacked
from rs.tables.noise import SMOOTHING
from rs.tables.table import Row, Table

_OUTCOME = ("image", "radius", "prediction", "clean", "noisy", "attacked")


def rows_of(run: AttackedRun) -> Iterator[Row]:
    for attack in run.attacks:
        outcomes = attack.plain
        for outcome in outcomes[outcomes["attacked"].notna()].to_dict("records"):
            example = {"attack": attack.name, "true": outcome["label"], "shape": attack.provenance["shape"]}
            yield {**run.named, **example, **{column: outcome[column] for column in _OUTCOME}}


TABLE = Table(
    "examples",
    (
        *("run", "label", *SMOOTHING, "attack", "image", "true", "radius", "prediction", "shape"),
        *("clean", "noisy", "attacked"),
    ),
    of_attacked(rows_of),
)
