"""Settings of attacks and of the judge of attacked images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from rs.settings.images import Subset
from rs.settings.limits import Position, Radii, Seed, Votes


@dataclass(frozen=True)
class Judge:
    """The majority of up to `n` fresh votes classifies an attacked image; it stops once it is sure."""

    n: Votes = 1000


@dataclass(frozen=True)
class AttackUse:
    """Settings of every attack, beside its own parameters. Radius 0 is always added.

    `keep_broken`: an image broken at a radius counts as broken at larger ones and is not attacked again; the
    default is the method's own. `certificate` names the certificate that the attack is compared with; by
    default, every one of its norm. The first `checks` images are attacked again, more strongly, to check the
    attack. `compiled` compiles the gradients of the attacked network, which rounds them otherwise: on
    processors, with a C++ compiler.
    """

    radii: Annotated[Radii, Field(min_length=1)]
    label: str | None = None
    images: Subset = field(default_factory=lambda: Subset(max=1000))
    judge: Literal["base"] | Judge = field(default_factory=Judge)
    seed: Seed = 0
    keep_broken: bool | None = None
    certificate: str | None = None
    checks: Position = 100
    compiled: bool = False
