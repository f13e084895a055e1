"""The sections of a study file as dataclasses: their keys, types, limits and defaults. No torch.

A method (objective, noise, ...) is written as an object with a `name` and its hyperparameters; those live in
the method's own dataclass and reach this module through `rs/schema.json`. `rs.study` reads and checks the
file.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from rs.settings.limits import MOST_ENTRIES, Divisor, NonNegative

Method = dict[str, Any]

Gammas = Annotated[tuple[Divisor, ...], Field(max_length=MOST_ENTRIES)]

Radii = Annotated[tuple[NonNegative, ...], Field(max_length=MOST_ENTRIES)]
