"""The sections of a study file as dataclasses: their keys, types, limits and defaults. No torch.

A method (objective, noise, ...) is written as an object with a `name` and its hyperparameters; those live in
the method's own dataclass and reach this module through `rs/schema.json`. `rs.study` reads and checks the
file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from rs.device_class import PATTERN
from rs.limits import (
    MOST_ENTRIES,
    MOST_METHODS,
    Batch,
    Divisor,
    Epochs,
    Images,
    NonNegative,
    Position,
    Positive,
    Processes,
    Samples,
    Seed,
    Share,
    Steps,
    Votes,
)

Method = dict[str, Any]
Gammas = Annotated[tuple[Divisor, ...], Field(max_length=MOST_ENTRIES)]
Radii = Annotated[tuple[NonNegative, ...], Field(max_length=MOST_ENTRIES)]
FORM = ("precision", "batch", "compiled")  # of Sampling: what fixes the inference form


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
    0. Over the first `warmup` epochs of either the rate grows linearly, the last of them has it whole.
    """

    name: Literal["constant", "multistep", "cosine"] = "constant"
    milestones: Annotated[tuple[Epochs, ...], Field(max_length=MOST_ENTRIES)] = ()
    gamma: Positive = 0.1
    warmup: Annotated[int, Field(ge=0, le=100_000)] = 0


@dataclass(frozen=True)
class Training:
    """One training run. `device`, `threads`, `processes` (one GPU each; they share a batch) and `workers` (of
    each process, to decode images that are streamed) say where it runs and are no part of a run's identity.

    `keep: best_clean` keeps the epoch of the highest accuracy under training noise on the selection set:
    `held_out` of the images to train on (`train`), taken from their end and not trained on, or the test set
    (as some papers do, which is optimistic).
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


@dataclass(frozen=True)
class Stop:
    """Under `mode: sequential`: an image is drawn for until its votes answer this at error rate `alpha`.

    Either is each of `radii` (l2, Gaussian noise) certified or given up, or the radius is within `width` of
    what all n votes would certify. `futility` is the chance that a radius is given up that all n votes would
    just certify.
    """

    alpha: Share = 0.001
    radii: Radii = ()
    width: Positive | None = None
    futility: Share = 0.5


@dataclass(frozen=True)
class Sampling:
    """How a smoothed classifier is observed.

    `n0` selection votes choose the class, `n` estimation votes bound its probability; n is a multiple of
    `block` (rounded up to one, where the study states no block: then a run keeps the block that it was drawn
    in, else takes min(n, 10,000)). One draw file holds `images_per_shard` images and one block. With `mode:
    sequential`, n is the most that an image gets, `stop` says when it has enough, and a draw file holds all
    blocks. `betas` are the inverse temperatures of the softmax moments to store. `precision`, `batch` and
    `compiled` are the inference form, fixed before the first vote. `device_class` (`cuda 9.0`, `cpu avx512`)
    pins on which kind of device votes are drawn: those of two kinds never merge, so the others are drawn
    anew. Like `device` it is no part of what is drawn.
    """

    mode: Literal["fixed", "sequential"] = "fixed"
    stop: Stop = field(default_factory=Stop)

    n0: Votes = 100
    n: Votes = 10_000
    block: Votes | None = None
    images_per_shard: Images = 50
    betas: Annotated[tuple[Positive, ...], Field(max_length=MOST_METHODS)] = ()
    precision: Literal["float32", "bfloat16"] = "float32"
    batch: Annotated[int, Field(ge=16, le=2**20, multiple_of=16)] = 512
    compiled: bool = False
    seed: Seed = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    device_class: Annotated[str, Field(pattern=PATTERN)] | None = None


@dataclass(frozen=True)
class Subset:
    """Every `skip`-th image of a split from position `first` on, at most `max` of them (all without it)."""

    skip: Images = 1
    max: Images | None = None
    first: Position = 0

    def positions(self, size: int) -> range:
        """Positions in the full split of `size` images."""
        chosen = range(self.first, size, self.skip)
        return chosen if self.max is None else chosen[: self.max]


@dataclass(frozen=True)
class Judge:
    """An attacked image counts as classified by the majority of `n` fresh votes."""

    n: Votes = 1000


@dataclass(frozen=True)
class CertificateUse:
    """What every certificate of a study can be given beside its own parameters.

    `noises` names the smoothing families that it is for, where a run has several: all of them without it.
    """

    label: str | None = None
    alpha: Share = 0.001
    noises: Annotated[tuple[str, ...], Field(max_length=MOST_METHODS)] | None = None


ATTACK_ONLY = ("keep_broken", "certificate", "checks")


def label_of(method: dict[str, Any]) -> str:
    """What tables call a certificate or an attack: its label, or its name and the parameters given."""
    if method.get("label"):
        return str(method["label"])
    use = ("name", "label", "alpha", "noises", "radii", "images", "judge", "seed", *ATTACK_ONLY)
    given = [f"{k}={v}" for k, v in sorted(method.items()) if k not in use]
    return " ".join([method["name"], *given])


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


@dataclass(frozen=True)
class Calibration:
    """Epsilon and rho of NAL eq. (8): `steps` of Lagrangian ascent on `images` of those trained on.

    `noise_in_cost: true` walks as NAL's Algorithm 1 does, on draws of the cost instead of its expectation;
    the reading with reused noise (rs.calibration) is meant for it.
    """

    steps: Steps = 15
    samples: Samples = 4
    noise_in_cost: bool = False
    images: Subset = field(default_factory=Subset)
    seed: Seed = 0


@dataclass(frozen=True)
class Distributional:
    """NAL's Wasserstein certificate (Thm. 1) beside the worst case found, on `images` of the test set.

    The certificate takes the best of `gammas` at each of `rhos` (E ||x - x_0||^2, without the noise's share;
    without them, up to the farthest point found); worst cases are those of `attack_gammas` (`gammas` without
    them), and those of PGD in balls of `attack_radii`, which no certificate sees. An ascent takes `steps` on
    `samples` noises each; the loss at its end is the mean over `estimates` fresh ones. `error_probability` is
    1 - softmax_y; `clip` cuts the loss there, so that it is bounded. `alpha` is the error rate of rigorous
    bounds.
    """

    gammas: Annotated[Gammas, Field(min_length=1)] = (0.1, 0.25, 0.5, 1, 1.5, 3, 6, 12, 25)
    attack_gammas: Gammas = ()
    attack_radii: Radii = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
    rhos: Radii = ()
    loss: Literal["cross_entropy", "error_probability"] = "cross_entropy"
    clip: Divisor | None = None
    steps: Steps = 15
    samples: Samples = 4
    estimates: Annotated[int, Field(ge=2, le=100_000, multiple_of=2)] = 64
    images: Subset = field(default_factory=lambda: Subset(max=1000))
    seed: Seed = 0
    alpha: Share = 0.001

    @property
    def bound(self) -> float:
        """M: the loss lies in [0, M]."""
        highest = 1.0 if self.loss == "error_probability" else math.inf
        return highest if self.clip is None else min(highest, self.clip)
