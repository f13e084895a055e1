"""The stored observations: a network's votes and scores under noise, and nothing derived from them. No torch.

A draw file holds one row per image: index in the full split, label, votes per class, and for every inverse
temperature beta the sums of softmax scores and of their squares. Files of different blocks add up; files of
different image ranges are concatenated; files of different inference forms never mix. A sequential run has
one file per range with all its votes; its provenance has the rule that stopped them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Votes:
    """``counts`` int64 [N, C]; ``sums`` and ``squares``: beta -> float64 [N, C] of softmax(beta * logits)."""

    counts: np.ndarray
    sums: dict[float, np.ndarray] = field(default_factory=dict)
    squares: dict[float, np.ndarray] = field(default_factory=dict)

    @property
    def n(self) -> np.ndarray:
        """Votes per image, int64 [N]."""
        return self.counts.sum(1)  # type: ignore[no-any-return]

    def __add__(self, other: Votes) -> Votes:
        return Votes(
            self.counts + other.counts,
            {b: self.sums[b] + other.sums[b] for b in self.sums},
            {b: self.squares[b] + other.squares[b] for b in self.squares},
        )

    def rows(self, keep: np.ndarray | slice) -> Votes:
        return Votes(
            self.counts[keep],
            {b: v[keep] for b, v in self.sums.items()},
            {b: v[keep] for b, v in self.squares.items()},
        )


@dataclass(frozen=True)
class Draws:
    """Everything that a certificate sees of N images, except the noise.

    `selection` chooses the class and `estimation` bounds its probability; they are separate draws.
    `dimension` is the number of input coordinates; `uniform` float64 [N] in [0, 1) is stored for randomised
    bounds. `stopping` says how the number of estimation votes was chosen: "fixed" before looking at any vote,
    or "sequential" by looking at them, with `stop` the rule (rs.settings.sampling.Stop). `origin` has the
    facts that all files share about the classifier (model, form, noise, ...) and `content`, which is
    "checked" if each file had a checksum.
    """

    images: np.ndarray
    labels: np.ndarray
    selection: Votes
    estimation: Votes
    dimension: int
    uniform: np.ndarray
    stopping: str = "fixed"
    stop: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @staticmethod
    def from_counts(
        selection: Any, estimation: Any, dimension: int, labels: Any = None, uniform: Any = None
    ) -> Draws:
        """Draws from plain arrays of votes [N, C] or [C], for tests and for votes entered by hand."""
        sel = np.atleast_2d(np.asarray(selection, np.int64))
        est = np.atleast_2d(np.asarray(estimation, np.int64))
        n = len(est)
        return Draws(
            np.arange(n),
            np.zeros(n, np.int64) if labels is None else np.asarray(labels, np.int64),
            Votes(np.broadcast_to(sel, est.shape)),
            Votes(est),
            dimension,
            np.full(n, 0.5) if uniform is None else np.asarray(uniform, np.float64),
        )
