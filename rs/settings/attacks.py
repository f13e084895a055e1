"""What a study says of attacks and of the judge of their images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from rs.settings.images import Subset
from rs.settings.limits import Position, Seed, Votes
from rs.settings.numbers import Radii


@dataclass(frozen=True)
class Judge:
    """An attacked image counts as classified by the majority of `n` fresh votes, drawn until it is sure."""

    n: Votes = 1000


@dataclass(frozen=True)
class AttackUse:
    """What every attack of a study can be given beside its own parameters; radius 0 is always added.

    `keep_broken`: an image broken at a radius counts as broken at larger ones and is not attacked again;
    without it, as the method has it. `certificate` names the one that the attack is held against; without it,
    every one of its norm. The first `checks` images are attacked again, more strongly, to check the attack.
    """

    radii: Annotated[Radii, Field(min_length=1)]
    label: str | None = None
    images: Subset = field(default_factory=lambda: Subset(max=1000))
    judge: Literal["base"] | Judge = field(default_factory=Judge)
    seed: Seed = 0
    keep_broken: bool | None = None
    certificate: str | None = None
    checks: Position = 100
