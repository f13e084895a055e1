"""What a study's runs left, as tables are made of it. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from rs.plan.jobs import Observation, PlannedRun
from rs.plan.plan import Plan
from rs.tables.aggregated import check_files
from rs.tables.noise import smoothed_with
from rs.tables.table import Row

T = TypeVar("T")


class Stored:
    """A plan whose files are all checked. Raises UserError for one that is not what it should be."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.unchecked = check_files(plan)  # files of before checksums, by the id of their run
        self._derived: dict[Callable[[Stored], object], object] = {}

    def once(self, derive: Callable[[Stored], T]) -> T:
        """`derive` of this, computed for the first table that asks and kept for the others."""
        if derive not in self._derived:
            self._derived[derive] = derive(self)
        return cast(T, self._derived[derive])

    def observations(self) -> Iterator[tuple[PlannedRun, Observation, Row]]:
        """Every run with every noise that it is smoothed with, and the columns that name the two."""
        for planned in self.plan.runs:
            for observation in planned.observations:
                yield planned, observation, {**head(planned), **smoothed_with(observation.noise)}


def head(planned: PlannedRun) -> Row:
    """The columns that name a run."""
    return {"run": planned.id, "label": planned.run.label}
