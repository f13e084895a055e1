"""The protocols that every method implements. One page: read this before adding a method.

A method is a frozen dataclass whose fields are its hyperparameters (``Annotated[float, Field(gt=0, le=9)]``
states what is allowed; a field called ``lambda_`` is written ``lambda`` in a study through
``Field(alias="lambda")``). Class variables state what the method is and what it works with: they are written
into ``rs/schema.json``, so that a study can be refused before anything runs. Those that may be left out stand
in comments, with what then holds (rs.settings.method_facts has them as data). ``source`` is the citation that
``rs list`` prints.

Images are float32 ``[B, C, H, W]`` in [0, 1]; sigma, epsilon and radii are in the same units. Every random
draw comes from the generator that is passed in, which lives on the device of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from rs.smoothing.noise import Noise

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from rs.smoothing.smoothed import Smoothed
    from rs.statistics.draws import Draws


@dataclass(frozen=True)
class Split:
    """One split: ``images`` uint8 or float32 ``[N, C, H, W]`` (uint8 stands for value/255), ``labels``."""

    images: Any  # np.ndarray, kept in the form that is stored
    labels: np.ndarray  # int64 [N]


@dataclass(frozen=True)
class Files:
    """One split that is too large for memory: image files, `paths` relative to `folder`, and `labels`.

    They are decoded while they are used: shorter side resized to `resize`, centre of the data set's shape.
    """

    folder: Path
    paths: Sequence[str]
    labels: np.ndarray  # int64 [N]
    resize: int


class Dataset(Protocol):
    """A user's own data have shape, classes and sizes as fields, which the study states: they are needed
    before the data are read. mean and std are then absent, and measured on the training images.
    """

    source: ClassVar[str]
    shape: ClassVar[tuple[int, int, int]]  # one image, (C, H, W)
    classes: ClassVar[int]
    sizes: ClassVar[dict[str, int]]  # images of "train" and "test"
    mean: ClassVar[tuple[float, ...]]  # per channel, of the training images: normalisation layers subtract it
    std: ClassVar[tuple[float, ...]]  # and divide by this

    def load(self, data_dir: str | None) -> dict[str, Split] | dict[str, Files]: ...  # "train" and "test"


class Model(Protocol):
    source: ClassVar[str]
    shapes: ClassVar[tuple[tuple[int, int, int], ...]]  # image shapes it takes; without any, all
    # output: ClassVar[str] = "logits", or "image" of a denoiser, whose runs are not observed
    # networks: ClassVar[dict[str, str]] = {}, parameters that name other runs, of which it is joined and not
    # trained, and what the network of each must give

    # Normalisation by the data set's per-channel mean and std is the first layer.
    # [B, C, H, W] -> logits [B, classes], or an image [B, C, H, W].
    def build(
        self, shape: tuple[int, int, int], classes: int, mean: Sequence[float], std: Sequence[float]
    ) -> nn.Module: ...


class Objective(Protocol):
    source: ClassVar[str]
    # noises: ClassVar[frozenset[str]] = None, where it works with some noise families only
    # calibrates: ClassVar[bool] = False, True where gamma and step_size can be calibrated into an epsilon
    # passes: ClassVar[Passes], the network's for one image and step (rs.settings.passes): what a study costs
    # output: ClassVar[str] = "logits", what the networks that it trains give
    # networks: ClassVar[dict[str, str]] = {}, parameters that name other runs, as a model's: the loss finds
    # the frozen network in the parameter's place
    # phase(progress) -> hashable, where the loss uses `progress`: it may do so only through this value

    # The trainer owns optimizer, schedule, augmentation, precision and checkpoints. `model` returns float32
    # logits. `progress` in [0, 1) is the share of the training that is done. Returns the loss to minimise (a
    # scalar) and scalars to record (detached, still on the device).
    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]: ...


@dataclass(frozen=True)
class Proposed:
    """What an attack found: ``images`` [..., B, C, H, W] and the ``steps`` int64 [..., B] spent on each
    (gradient steps; queries where no gradient is taken).
    """

    images: Tensor
    steps: Tensor


class Attack(Protocol):
    """An `AttackAtRadii` or a `MinimalAttack`; the harness projects onto ball and box and judges."""

    source: ClassVar[str]
    norm: ClassVar[float]  # of the radii
    access: ClassVar[str]  # "white-box" or "gradient-free" ("transfer": white-box on another run)

    # passes: ClassVar[Passes], the network's for one image at all radii (rs.settings.passes)
    # samples: int = 1, noise samples per gradient or query
    # bounded: ClassVar[bool] = True, False where it is not checked without a bound
    # keeps_broken: ClassVar[bool] = False, True where what a small ball broke stays as it is in larger ones


@runtime_checkable
class AttackAtRadii(Attack, Protocol):
    # [R, B, ...] for R radii, each result independent of the other radii and the other images
    def at_radii(self, smoothed: Smoothed, x: Tensor, y: Tensor, radii: Sequence[float]) -> Proposed: ...


@runtime_checkable
class MinimalAttack(Attack, Protocol):
    # [B, ...]: the nearest misclassified images that it finds, x itself where it finds none
    def minimal(self, smoothed: Smoothed, x: Tensor, y: Tensor) -> Proposed: ...


@dataclass(frozen=True)
class Certified:
    """Of N images: ``prediction`` int64 [N], -1 where it abstains; ``radius`` float64 [N]."""

    prediction: np.ndarray
    radius: np.ndarray


class Certificate(Protocol):
    source: ClassVar[str]
    norms: ClassVar[dict[str, float]]  # noise family that it has a theorem for -> norm of the radius
    needs: ClassVar[frozenset[str]]  # {"counts"}, {"soft_moments"}, or {"paired_counts"}: of two networks
    rigorous: ClassVar[bool]  # False: its own proof does not cover what it does, shown as an estimate
    # anytime: ClassVar[bool] = False, True where the number of votes may be chosen by looking at them
    # rule: ClassVar[str] = None, the `sampling.rule` that has to stop the votes of a study
    # bound: ClassVar[str] = "clopper_pearson", or how it bounds expected scores: "hoeffding", "bernstein"
    # accuracy_factor: float | None = 1.0, what tables multiply certified accuracies by (None: by 1 - alpha)
    # freedom: ClassVar[float] = 0, where k of a noise family must be below the dimension less this
    # spends: ClassVar[Spends] = (), where it spends alpha otherwise than alpha_share says: how few votes
    # never certify (rs.settings.spending)
    # capped: ClassVar[frozenset[str]] = frozenset(), the noise families under which it never certifies more
    # than CERTIFY does from unanimous votes, level * Phi^-1(alpha^(1/n))
    # parameters_only: ClassVar[bool] = False, True where it reads no more of the noise than its family's name
    # and its parameters: it is then given them without the family itself, which would load torch

    # Radii are rounded down, 0 where it abstains, and simultaneous for one image at confidence 1 - alpha.
    def certify(self, draws: Draws, noise: Noise, alpha: float) -> Certified: ...
