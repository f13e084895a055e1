"""Votes in Python: the input of a certificate, and the noise under which they were drawn. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rs.api.parameters import array_of
from rs.errors import UserError, plural
from rs.methods.claims import ANY_DIMENSION, check_separate
from rs.statistics.draws import Draws, Votes
from rs.statistics.paired_draws import PairedDraws

MOST_VOTES = 2**53  # per image: float64 holds these integers exactly
NO_LABEL = -1


@dataclass(frozen=True, eq=False)
class Counts:
    """Votes of N images under one noise, for `rs.certify_counts`: another certificate, another alpha.

    Immutable, and without the network: they can be pickled and certified elsewhere. Votes of one's own may
    come without the dimension of their images, or without a uniform number. Then `has_dimension` or
    `has_uniform` is False, and the draws have a stand-in, which no claim may depend on.
    """

    draws: Draws
    noise: dict[str, Any]
    has_dimension: bool = True
    has_uniform: bool = True

    @property
    def selection(self) -> np.ndarray:
        """int64 [N, classes]: the votes that choose the class."""
        return self.draws.selection.counts

    @property
    def estimation(self) -> np.ndarray:
        """int64 [N, classes]: separate votes that bound its probability."""
        return self.draws.estimation.counts

    @property
    def votes(self) -> np.ndarray:
        """int64 [N]: number of estimation votes of each image; for paired draws, of both networks."""
        return self.draws.votes if isinstance(self.draws, PairedDraws) else self.draws.estimation.n

    @property
    def images(self) -> np.ndarray:
        """int64 [N]: the positions of the images, which seed their noise."""
        return self.draws.images

    @property
    def labels(self) -> np.ndarray:
        """int64 [N]; -1 where no label was given."""
        return self.draws.labels

    def __len__(self) -> int:
        return len(self.draws)

    def __repr__(self) -> str:
        n0, n = (_range(votes.n) for votes in (self.draws.selection, self.draws.estimation))
        classes = self.estimation.shape[1]
        of = f"{plural(len(self), 'image')}, {classes} classes"
        return f"<Counts of {of}: n0 = {n0}, n = {n}, noise {self.noise}>"

    def labelled(self, labels: ArrayLike | None) -> Counts:
        """The same votes with other labels."""
        if labels is None:
            return self
        return replace(self, draws=replace(self.draws, labels=label_array(labels, *self.estimation.shape)))


def counts_of(
    votes: tuple[ArrayLike, ArrayLike],
    verb: str,
    noise: dict[str, Any],
    dimension: int | None,
    uniform: ArrayLike | None,
) -> Counts:
    """Checks a pair of selection and estimation votes, each [N, classes] or [classes]."""
    if not isinstance(votes, tuple | list) or len(votes) != 2:
        raise UserError(f"{verb}: counts: give (selection, estimation), two arrays of votes, or rs.Counts")
    pair = [
        vote_array(v, f"{verb}: {w} counts") for v, w in zip(votes, ("selection", "estimation"), strict=True)
    ]
    if pair[0].shape != pair[1].shape:
        raise UserError(
            f"{verb}: counts: selection is {pair[0].shape}, estimation {pair[1].shape}; must be equal"
        )
    check_separate(verb, pair[0], pair[1], same=votes[0] is votes[1])
    drawn = None if uniform is None else _uniform(uniform, len(pair[0]), verb)
    labels = np.full(len(pair[0]), NO_LABEL)
    draws = Draws.from_counts(pair[0], pair[1], dimension or ANY_DIMENSION, labels, drawn)
    return Counts(draws, noise, dimension is not None, uniform is not None)


def vote_array(votes: ArrayLike, where: str) -> np.ndarray:
    """int64 [N, classes] of integers from 0. Raises UserError for anything else."""
    counts = np.atleast_2d(array_of(votes, where, "each image has one count per class"))
    if counts.dtype.kind not in "iu" or counts.ndim != 2:
        raise UserError(f"{where}: {counts.dtype} {list(counts.shape)}; allowed whole numbers [N, classes]")
    if counts.shape[1] < 2 or len(counts) == 0:
        raise UserError(f"{where}: {list(counts.shape)}; at least 1 image and 2 classes")
    if (counts < 0).any():
        raise UserError(f"{where}: {counts.min()} is negative; counts are 0 or more")
    total = counts.astype(np.float64).sum(1)
    if (total < 1).any() or (total > MOST_VOTES).any():
        bad = int(np.flatnonzero((total < 1) | (total > MOST_VOTES))[0])
        raise UserError(f"{where}: image {bad} has {total[bad]:.17g} votes; must be 1 to {MOST_VOTES}")
    return counts.astype(np.int64)


def label_array(labels: ArrayLike | None, images: int, classes: int, verb: str = "labels") -> np.ndarray:
    """int64 [N]; -1 everywhere without labels. Raises UserError for a wrong number or an unknown class."""
    if labels is None:
        return np.full(images, NO_LABEL, np.int64)
    array = array_of(labels, verb, "give one label per image")
    if array.shape != (images,):
        raise UserError(
            f"{verb}: {list(array.shape)} for {plural(images, 'image')}; give one label per image"
        )
    if array.dtype.kind not in "iu":
        raise UserError(f"{verb}: {array.dtype}; allowed whole numbers from 0 to {classes - 1}")
    if array.min() < 0 or array.max() >= classes:
        bad = array[(array < 0) | (array >= classes)][0]
        raise UserError(f"{verb}: {bad} is no class; allowed 0 to {classes - 1}")
    return array.astype(np.int64)


def joined(parts: list[Votes]) -> Votes:
    """Joins votes of consecutive images."""
    return Votes(
        np.concatenate([p.counts for p in parts]),
        {b: np.concatenate([p.sums[b] for p in parts]) for b in parts[0].sums},
        {b: np.concatenate([p.squares[b] for p in parts]) for b in parts[0].squares},
    )


def _uniform(uniform: ArrayLike, images: int, verb: str) -> np.ndarray:
    allowed = "give a number in [0, 1), drawn before the votes, or one per image"
    numbers = array_of(uniform, f"{verb}: uniform", allowed, float)
    if numbers.shape not in ((), (images,)) or not np.all((numbers >= 0) & (numbers < 1)):
        raise UserError(f"{verb}: uniform: {allowed}")
    return np.broadcast_to(numbers, images).astype(np.float64)


def _range(n: np.ndarray) -> str:
    return f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
