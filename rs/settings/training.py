"""Settings of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from rs.settings.images import Subset
from rs.settings.limits import MOST_ENTRIES, Batch, Epochs, NonNegative, Position, Positive, Processes


@dataclass(frozen=True)
class Calibrated:
    """An epsilon taken from another run's calibration: `calibrated` is that run's label in the study."""

    calibrated: str
    cost: Literal["with_noise", "without_noise", "reused_noise"] = "without_noise"


@dataclass(frozen=True)
class Optimizer:
    """`momentum` is SGD's; Adam uses its usual betas. `weight_decay` is the l2 penalty of both."""

    name: Literal["sgd", "adam"] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NonNegative = 1e-4


@dataclass(frozen=True)
class Schedule:
    """`multistep` multiplies the learning rate by `gamma` after each epoch in `milestones`; `cosine` ends at
    0. Over the first `warmup` epochs of either, the rate grows linearly; it is full in the last of them.
    """

    name: Literal["constant", "multistep", "cosine"] = "constant"
    milestones: Annotated[tuple[Epochs, ...], Field(max_length=MOST_ENTRIES)] = ()
    gamma: Positive = 0.1
    warmup: Annotated[int, Field(ge=0, le=100_000)] = 0


@dataclass(frozen=True)
class Training:
    """One training run. `device`, `threads`, `processes` (one GPU each; they share a batch) and `workers`
    (per process, for decoding streamed images) say where it runs and are not part of a run's identity.

    `keep: best_clean` keeps the epoch with the highest accuracy under training noise on the selection set.
    This set is either the last `held_out` of the images to train on (`train`), which are then not trained on,
    or the test set (as in some papers, which is optimistic).
    """

    epochs: Epochs = 10
    batch_size: Batch = 128
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    precision: Literal["float32", "bfloat16"] = "float32"
    augmentation: Literal["none", "crop_flip", "resized_crop_flip"] = "none"
    keep: Literal["last", "best_clean"] = "last"
    selection: Literal["held_out", "test"] = "held_out"
    held_out: Position = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Processes = 1
    processes: Processes = 1
    workers: Annotated[int, Field(ge=0, le=1024)] = 4


def trained_positions(train: Subset, training: Mapping[str, Any], size: int) -> range:
    """The positions in a split of `size` images that a run trains on: those of `train` without the last ones
    where these are held out to select an epoch on. `training` has the values of all fields of `Training`.
    """
    used = train.positions(size)
    held = training["keep"] == "best_clean" and training["selection"] == "held_out"
    return used[: len(used) - training["held_out"]] if held else used
