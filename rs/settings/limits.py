"""Limits of a study's numbers and lists, by their meaning. No torch.

Each limit lies far beyond any sensible value, and below the point where a machine would hang, run out of
memory or leave the range of its numbers. So a typing error costs one line of message, not a night.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema

# Networks compute in float32: squares and products of settings must stay far inside 1e-38 to 3e38.
LARGEST, SMALLEST = 10**6, 1e-6
Positive = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Divisor = Annotated[float, Field(ge=SMALLEST, le=LARGEST, allow_inf_nan=False)]  # steps, prices: divisors
# The level of a noise, in image units; likelihood ratios divide by its square. The mark shows tables which
# parameter of a family is its level.
Level = Annotated[Divisor, Field(json_schema_extra={"x-level": True})]
LEVELS = f"a number from {SMALLEST:g} to {LARGEST}"
Share = Annotated[float, Field(gt=0, lt=1)]
# The share of a training from which on something happens. A study may name the first drop of its learning
# rate, which a rounded number misses by a few steps (rs/study/moments.py puts the number in its place).
FIRST_DROP = "first_drop"
Moment = Annotated[
    float,
    Field(ge=0, le=1),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"const": FIRST_DROP}]}),
]

MOST_VOTES = 10**9  # of one image
MOST_IMAGES = 10**9  # of a split
Votes = Annotated[int, Field(ge=1, le=MOST_VOTES)]
Images = Annotated[int, Field(ge=1, le=MOST_IMAGES)]
Position = Annotated[int, Field(ge=0, le=MOST_IMAGES)]  # of an image in its split, or a count
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Steps = Annotated[int, Field(ge=1, le=100_000)]  # successive steps of an ascent or a search
Samples = Annotated[int, Field(ge=1, le=100_000)]  # noisy copies of one image that are in memory together
Batch = Annotated[int, Field(ge=1, le=2**20)]  # images, or noisy copies, that are in memory together
Processes = Annotated[int, Field(ge=1, le=1024)]  # or threads
TableDraws = Annotated[int, Field(ge=1000, le=10**8)]  # of a certificate: numbers that are in memory together
Seed = Annotated[int, Field(ge=0, le=2**53)]  # integers that every JSON reader represents exactly
Freedom = Annotated[float, Field(ge=0, le=MOST_IMAGES, allow_inf_nan=False)]  # a number of coordinates

MOST_METHODS = 100  # certificates, attacks or noises of one run
MOST_ENTRIES = 1000  # values of a list: radii, seeds, a swept key
MOST_LABELS = 5000  # runs or logs that a file lists
MOST_RUNS = 10_000  # of a study, after its sweeps and for all seeds
MOST_IN_FOLDER = 2000  # draw files of one kind of one run; more make shared disks slow
MOST_JOBS = 100_000  # of a study; Snakemake considers them all before it starts any

Gammas = Annotated[tuple[Divisor, ...], Field(max_length=MOST_ENTRIES)]
Radii = Annotated[tuple[NonNegative, ...], Field(max_length=MOST_ENTRIES)]


def is_level(value: float) -> bool:
    """Whether a number can be a `Level`: for a sigma that no schema checks. LEVELS says what is allowed."""
    return SMALLEST <= value <= LARGEST
