"""Settings of a paper's claims: predicates over the study's tables. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from rs.settings.limits import LARGEST, MOST_ENTRIES, NonNegative, Radii

Bound = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Reference = Annotated[str, Field(pattern=r"^(tests|docs)/[\w./-]+(::\w+)?$")]


@dataclass(frozen=True)
class Side:
    """A run, with what differs from the condition's own keys."""

    run: str
    certificate: str | None = None
    attack: str | None = None
    smoothing: str | None = None
    where: dict[str, Any] | None = None


Run = str | dict[str, Any]  # a run's label, or a Side; the exported schema holds Side once, by reference
Pair = Annotated[tuple[Run, ...], Field(min_length=2, max_length=2)]
Runs = Annotated[tuple[Run, ...], Field(min_length=3, max_length=MOST_ENTRIES)]


@dataclass(frozen=True)
class Condition:
    """One predicate over the tables: exactly one of these.

    - `better`, `worse`, `equivalent`: that run compared with the one named `than`, image by image where they
      are paired.
    - `trend`: the value is `rising` or `falling` along at least three runs in this order, by a contrast over
      all of them and no step that goes the other way beyond its interval.
    - `value`, `difference` (first minus second), `ratio` (first over second): `at_least` or `at_most` a
      number.
    - `crosses`: the first run is above the second at the radius `small`, and below it at `large`.
    - `impossible`, `proven`: decided by theory, by the test or page that is named.

    `metric` is one of rs.study.claims.METRICS, or `table.column` of a study's tables, in rows where other
    columns have the values under `where`. At several `radii` the predicate must hold at each. `about` states
    the subject of the claim: these `networks`, or `methods`, for which fewer than 3 training seeds decide
    nothing. So do fewer than 3 times of training. A comparison within the same votes needs no seeds, and
    holds for these images alone.
    """

    better: Run | None = None
    worse: Run | None = None
    equivalent: Run | None = None
    than: Run | None = None
    trend: Runs | None = None
    goes: Literal["rising", "falling"] = "rising"
    value: Run | None = None
    difference: Pair | None = None
    ratio: Pair | None = None
    at_least: Bound | None = None
    at_most: Bound | None = None
    crosses: Pair | None = None
    small: NonNegative | None = None
    large: NonNegative | None = None
    impossible: Reference | None = None
    proven: Reference | None = None
    metric: str = "acr"
    certificate: str = "cohen"
    attack: str | None = None
    smoothing: str | None = None
    where: dict[str, Any] | None = None
    radii: Radii = ()
    about: Literal["networks", "methods"] = "methods"


Conditions = Annotated[tuple[Condition, ...], Field(min_length=1, max_length=MOST_ENTRIES)]


@dataclass(frozen=True)
class Claim:
    """A claim of a paper, in our own words, with its place, and the conditions under which it holds: `all` of
    them or `any`. A run at other settings than the paper's (under `papers`, and with the published numbers of
    that run) gives the claim no verdict.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
    paper: str
    place: str
    claim: str
    conditions: Conditions
    join: Literal["all", "any"] = "all"
