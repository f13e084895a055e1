"""Votes of two classifiers on the same draws of the noise, beside the many votes that the first was certified
with. No torch.

Per image and class is stored how often each answered it and how often both did: losses and gains
(rs.statistics.differences) of any class are sums of these, so the class may be chosen, and alpha split, when
claims are derived.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rs.statistics.draws import Draws, Votes


@dataclass(frozen=True, kw_only=True)
class PairedDraws(Draws):
    """Draws of a second classifier; each of its estimation votes has one of the first beside it.

    `first` are the estimation votes that the first one was certified with, `first_stopping` how their number
    was chosen and `first_stop` by which rule (as `stopping` and `stop`). `beside` int64 [N, C] are the first
    one's votes on the draws of `estimation`, `both` int64 [N, C] the draws on which both answered the class.
    """

    first: Votes
    beside: np.ndarray
    both: np.ndarray
    first_stopping: str = "fixed"
    first_stop: dict[str, Any] = field(default_factory=dict)

    def differences(self, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Losses and gains int64 [N] for the classes `top` [N]: draws on which only the first one, and only
        the second one, answered it.
        """
        rows = np.arange(len(self))
        both = self.both[rows, top]
        return self.beside[rows, top] - both, self.estimation.counts[rows, top] - both

    @property
    def votes(self) -> np.ndarray:
        """int64 [N]: estimation votes that both networks cast here; the first one's earlier ones are paid."""
        return 2 * self.estimation.n
