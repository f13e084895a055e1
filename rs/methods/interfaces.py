"""The protocols that every method implements. One page: read this before adding a method.

A method is a frozen dataclass whose fields are its hyperparameters. ``Annotated[float, Field(gt=0, le=9)]``
states the allowed values; a field called ``lambda_`` is written ``lambda`` in a study through
``Field(alias="lambda")``. Class variables state what the method is and what it works with. They are written
into ``rs/schema.json``, so that a study can be refused before anything runs. Optional class variables stand
in comments with their defaults (rs.settings.method_facts has them as data). ``source`` is the citation that
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

    Images are decoded on use: the shorter side is resized to `resize`, then the centre is cut to the data
    set's shape.
    """

    folder: Path
    paths: Sequence[str]
    labels: np.ndarray  # int64 [N]
    resize: int


class Dataset(Protocol):
    """A user's own data set has shape, classes and sizes as fields: the study states them, since they are
    needed before the data are read. It has no mean and std; they are measured on the training images.
    """

    source: ClassVar[str]
    shape: ClassVar[tuple[int, int, int]]  # one image, (C, H, W)
    classes: ClassVar[int]
    sizes: ClassVar[dict[str, int]]  # images of "train" and "test"
    mean: ClassVar[tuple[float, ...]]  # per channel, over the training images; used by normalisation layers
    std: ClassVar[tuple[float, ...]]  # likewise

    def load(self, data_dir: str | None) -> dict[str, Split] | dict[str, Files]:
        """The splits "train" and "test"."""
        ...


class Model(Protocol):
    """A network's architecture, built for the images of a data set."""

    source: ClassVar[str]
    shapes: ClassVar[tuple[tuple[int, int, int], ...]]  # image shapes it takes; empty: all
    # output: ClassVar[str] = "logits", or "image" for a denoiser, whose runs are not observed
    # networks: ClassVar[dict[str, str]] = {}, parameters that name other runs -> the output that their
    # networks must have; such a model is joined from these networks and not trained

    def build(
        self, shape: tuple[int, int, int], classes: int, mean: Sequence[float], std: Sequence[float]
    ) -> nn.Module:
        """A network from images [B, C, H, W] to logits [B, classes], or to images of that shape. Its first
        layer normalises by the data set's per-channel mean and std.
        """
        ...


class Objective(Protocol):
    """A training loss. The trainer owns optimizer, schedule, augmentation, precision and checkpoints."""

    source: ClassVar[str]
    # noises: ClassVar[frozenset[str]] = None, the noise families it works with, if not all
    # calibrates: ClassVar[bool] = False, True where gamma and step_size can be calibrated into an epsilon
    # passes: ClassVar[Passes], network passes per image and step, which price a study (rs.settings.passes)
    # output: ClassVar[str] = "logits", the output of the networks that it trains
    # networks: ClassVar[dict[str, str]] = {}, parameters that name other runs, as in Model; when the loss is
    # called, each of these parameters is the frozen network itself
    # phase(progress) -> hashable: the loss may depend on `progress` only through this value

    def loss(
        self, model: nn.Module, x: Tensor, y: Tensor, noise: Noise, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to minimise (a scalar) and scalars to record (detached, on the device). `model` returns
        float32 logits; `y` is int64 [B]; `progress` in [0, 1) is the share of the training that is done.
        """
        ...


@dataclass(frozen=True)
class Proposed:
    """An attack's result: ``images`` [..., B, C, H, W] and the ``steps`` int64 [..., B] spent on each
    (gradient steps; queries where no gradient is taken).
    """

    images: Tensor
    steps: Tensor


class Attack(Protocol):
    """An `AttackAtRadii` or a `MinimalAttack`; the harness projects onto ball and box, and judges."""

    source: ClassVar[str]
    norm: ClassVar[float]  # of the radii
    access: ClassVar[str]  # "white-box" or "gradient-free" ("transfer": white-box on another run)

    # passes: ClassVar[Passes], network passes for one image at all radii (rs.settings.passes)
    # samples: int = 1, noise samples per gradient or query
    # bounded: ClassVar[bool] = True, False omits the check in a ball that holds the whole box
    # keeps_broken: ClassVar[bool] = False, True where an image broken at a radius is kept at larger radii


@runtime_checkable
class AttackAtRadii(Attack, Protocol):
    """An attack that is run at each radius."""

    def at_radii(self, smoothed: Smoothed, x: Tensor, y: Tensor, radii: Sequence[float]) -> Proposed:
        """[R, B, ...] for R radii, each result independent of the other radii and the other images."""
        ...


@runtime_checkable
class MinimalAttack(Attack, Protocol):
    """An attack that searches once for the smallest distortion."""

    def minimal(self, smoothed: Smoothed, x: Tensor, y: Tensor) -> Proposed:
        """[B, ...]: the nearest misclassified images that the attack finds; x itself where it finds none."""
        ...


@dataclass(frozen=True)
class Certified:
    """Of N images: ``prediction`` int64 [N], -1 where it abstains; ``radius`` float64 [N]."""

    prediction: np.ndarray
    radius: np.ndarray


class Certificate(Protocol):
    """A theorem and the bounds that turn an image's stored draws into a radius."""

    source: ClassVar[str]
    norms: ClassVar[dict[str, float]]  # noise family that it has a theorem for -> norm of the radius
    needs: ClassVar[frozenset[str]]  # {"counts"}, {"soft_moments"}, or {"paired_counts"} (two networks)
    rigorous: ClassVar[bool]  # False: no proof covers the procedure, and it is shown as an estimate
    # anytime: ClassVar[bool] = False, True where the number of votes may be chosen by looking at them
    # rule: ClassVar[str] = None, the `sampling.rule` that must stop the votes of a study
    # bound: ClassVar[str] = "clopper_pearson", or the bound of expected scores: "hoeffding", "bernstein"
    # accuracy_factor: float | None = 1.0, multiplies certified accuracies in tables (None: 1 - alpha)
    # freedom: ClassVar[float] = 0, k of a noise family must be below the dimension minus this
    # spends: ClassVar[Spends] = (), for certificates that split alpha otherwise than by alpha_share; it
    # yields the number of votes below which nothing is certified (rs.settings.spending)
    # capped: ClassVar[frozenset[str]] = frozenset(), the noise families under which it never certifies more
    # than CERTIFY does from unanimous votes, level * Phi^-1(alpha^(1/n))
    # parameters_only: ClassVar[bool] = False, True where it reads only the noise family's name and
    # parameters; it then gets a description of them, since the family itself would load torch

    def certify(self, draws: Draws, noise: Noise, alpha: float) -> Certified:
        """Radii are rounded down, 0 where it abstains. All that is claimed of one image holds together, with
        probability 1 - alpha.
        """
        ...
