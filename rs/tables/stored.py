"""The files of a study's runs, from which tables are made. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from rs.plan.jobs import Observation, PlannedRun
from rs.plan.plan import Plan
from rs.tables.input_checks import check_files
from rs.tables.noise import smoothed_with
from rs.tables.table import Row

T = TypeVar("T")


class Stored:
    """A plan whose files are all checked. Raises UserError for an invalid file."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.unchecked = check_files(plan)  # files without checksums, by the id of their run
        self._derived: dict[Callable[[Stored], object], object] = {}

    def once(self, derive: Callable[[Stored], T]) -> T:
        """The result of `derive`, computed for the first table that asks and kept for the others."""
        if derive not in self._derived:
            self._derived[derive] = derive(self)
        return cast(T, self._derived[derive])

    def observations(self) -> Iterator[tuple[PlannedRun, Observation, Row]]:
        """Every run with each of its smoothing noises, and the columns that name both."""
        for planned in self.plan.runs:
            for observation in planned.observations:
                yield planned, observation, {**head(planned), **smoothed_with(observation.noise)}


def head(planned: PlannedRun) -> Row:
    """The columns that name a run."""
    return {"run": planned.id, "label": planned.run.label}
