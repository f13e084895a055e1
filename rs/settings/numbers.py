"""Types that the sections of a study share. No torch.

A method (objective, noise, ...) is written as an object with a `name` and its hyperparameters. These are
defined in the method's own dataclass and checked through `rs/schema.json`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from rs.settings.limits import MOST_ENTRIES, Divisor, NonNegative

Method = dict[str, Any]

Gammas = Annotated[tuple[Divisor, ...], Field(max_length=MOST_ENTRIES)]

Radii = Annotated[tuple[NonNegative, ...], Field(max_length=MOST_ENTRIES)]
