"""The sections of a study file as dataclasses: their keys, types, limits and defaults. No torch.

A method (objective, noise, ...) is written as an object with a `name` and its hyperparameters; those live in
the method's own dataclass and reach this module through `rs/schema.json`. `rs.study` reads and checks the
file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Method = dict[str, Any]


@dataclass(frozen=True)
class Calibrated:
    """An epsilon taken from another run's calibration: `calibrated` is that run's label in the study."""

    calibrated: str
    cost: Literal["with_noise", "without_noise"] = "without_noise"


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
    0.
    """

    name: Literal["constant", "multistep", "cosine"] = "constant"
    milestones: tuple[Count, ...] = ()
    gamma: Positive = 0.1


@dataclass(frozen=True)
class Training:
    """One training run. `device` and `threads` say where it runs and are no part of a run's identity.

    `keep: best_clean` keeps the epoch of the highest accuracy under training noise on the selection set:
    `held_out` training images taken from the end and not trained on, or the test set (as some papers do,
    which is optimistic).
    """

    epochs: Count = 10
    batch_size: Count = 128
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    precision: Literal["float32", "bfloat16"] = "float32"
    augmentation: Literal["none", "crop_flip"] = "none"
    keep: Literal["last", "best_clean"] = "last"
    selection: Literal["held_out", "test"] = "held_out"
    held_out: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Count = 1


@dataclass(frozen=True)
class Sampling:
    """How a smoothed classifier is observed.

    `n0` selection votes choose the class, `n` estimation votes bound its probability; n is a multiple of
    `block`. One draw file holds `images_per_shard` images and one block. `betas` are the inverse temperatures
    of the softmax moments to store. `precision`, `batch` and `compiled` are the inference form, fixed before
    the first vote.
    """

    n0: Count = 100
    n: Count = 10_000
    block: Count = 10_000
    images_per_shard: Count = 50
    betas: tuple[Positive, ...] = ()
    precision: Literal["float32", "bfloat16"] = "float32"
    batch: Annotated[int, Field(ge=16, multiple_of=16)] = 512
    compiled: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True)
class Subset:
    """Every `skip`-th image of a split, from the first, and at most `max` of them (all without it)."""

    skip: Count = 1
    max: Count | None = None

    def positions(self, size: int) -> range:
        """Positions in the full split of `size` images."""
        chosen = range(0, size, self.skip)
        return chosen if self.max is None else chosen[: self.max]


@dataclass(frozen=True)
class Judge:
    """An attacked image counts as classified by the majority of `n` fresh votes."""

    n: Count = 1000


@dataclass(frozen=True)
class CertificateUse:
    """What every certificate of a study can be given beside its own parameters.

    `noises` names the smoothing families that it is for, where a run has several: all of them without it.
    """

    label: str | None = None
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.001
    noises: tuple[str, ...] | None = None


def label_of(method: dict[str, Any]) -> str:
    """What tables call a certificate or an attack: its label, or its name and the parameters given."""
    if method.get("label"):
        return str(method["label"])
    use = ("name", "label", "alpha", "noises", "radii", "images", "judge", "seed")
    given = [f"{k}={v}" for k, v in sorted(method.items()) if k not in use]
    return " ".join([method["name"], *given])


@dataclass(frozen=True)
class AttackUse:
    """What every attack of a study can be given beside its own parameters; radius 0 is always added."""

    radii: tuple[NonNegative, ...]
    label: str | None = None
    images: Subset = field(default_factory=lambda: Subset(max=1000))
    judge: Literal["base"] | Judge = field(default_factory=Judge)
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Calibration:
    """Epsilon and rho of NAL eq. (8): `steps` of Lagrangian ascent on `images` of the training set."""

    steps: Count = 15
    samples: Count = 4
    images: Subset = field(default_factory=Subset)
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Report:
    """Radii of the tables and figures: every certificate and every curve is read off at these."""

    radii: tuple[NonNegative, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25)


@dataclass(frozen=True)
class Published:
    """One row of a published table: what a paper gives for the run labelled `run` under `certificate`."""

    paper: str
    table: str
    run: str
    certificate: str = "cohen"
    acr: NonNegative | None = None
    radii: tuple[NonNegative, ...] = ()
    certified_accuracy: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()


@dataclass(frozen=True)
class Log:
    """A certification log of somebody else's model, and what it does not say itself.

    `file` is relative to the working directory; `n` estimation votes per image at error rate `alpha`.
    """

    file: str
    noise: Method
    alpha: Annotated[float, Field(gt=0, lt=1)]
    n: Count
    certificate: str = "cohen"


@dataclass(frozen=True)
class Tracking:
    """MLflow store; a server's URL works too. A relative sqlite path is relative to the working directory."""

    uri: str = "sqlite:///results/mlflow.db"


@dataclass(frozen=True)
class Sweep:
    """Explicit grids over dotted keys: `product` crosses its lists, `zip` walks its lists together."""

    product: dict[str, list[Any]] = field(default_factory=dict)
    zip: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunSections:
    """What a run can set; the same keys at the top of a study are the defaults of all its runs."""

    model: Method
    objective: Method
    noise: Method
    smoothing: tuple[Method, ...] | None = None
    training: Training = field(default_factory=Training)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    sampling: Sampling = field(default_factory=Sampling)
    certificates: tuple[Method, ...] = ()
    attacks: tuple[Method, ...] = ()
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Constants:
    """Normalisation by stated constants per channel: (x - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[Positive, ...]


@dataclass(frozen=True)
class ImportedSections:
    """Somebody else's trained network: `weights` (a file, relative to the working directory) for the network
    that `entry` ("module:function") returns, or for an `architecture` of ours.

    `normalization` is its first layer; without it, what the architecture has by default, or none.
    """

    weights: str
    noise: Method
    entry: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")] | None = None
    architecture: Method | None = None
    format: Literal["plain", "cohen"] = "plain"
    normalization: Literal["none", "center", "standardize"] | Constants | None = None
    smoothing: tuple[Method, ...] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    certificates: tuple[Method, ...] = ()
    attacks: tuple[Method, ...] = ()


@dataclass(frozen=True)
class StudySections:
    """The keys of a study that are not its runs'. `override` is merged over every run last (for scale
    overlays).
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    data: Method
    description: str = ""
    data_dir: str | None = None
    test: Subset = field(default_factory=Subset)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    active: tuple[str, ...] | None = None
    override: dict[str, Any] = field(default_factory=dict)
    imported: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, Log] = field(default_factory=dict)
    report: Report = field(default_factory=Report)
    published: tuple[Published, ...] = ()
    tracking: Tracking = field(default_factory=Tracking)
