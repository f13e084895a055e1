"""How a method names the networks of other runs. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from rs.settings.limits import MOST_ENTRIES, Seed

# In a study a label; in a spec what the plan makes of it; for an objective that uses it, the network itself.
NetworkOf: TypeAlias = str | SkipJsonSchema[Any]


@dataclass(frozen=True)
class SomeSeeds:
    """The networks of a run under these seeds."""

    run: str
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MOST_ENTRIES)]


# In a study labels, each for all seeds of its run or for some; in a spec what the plan makes of each.
NetworksOf: TypeAlias = Annotated[
    tuple[str | SomeSeeds | SkipJsonSchema[Any], ...], Field(min_length=1, max_length=MOST_ENTRIES)
]
