"""Votes of two classifiers on the same draws of the noise, beside the many votes that the first was certified
with. No torch.

Stored per image and class: how often each classifier answered the class, and how often both did. Losses and
gains (rs.statistics.differences) of any class are differences of these counts, so the class may be chosen,
and alpha split, when claims are derived.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rs.statistics.draws import Draws, Votes


@dataclass(frozen=True, kw_only=True)
class PairedDraws(Draws):
    """Draws of a second classifier; each of its estimation votes has one of the first beside it.

    `first` are the estimation votes with which the first classifier was certified, `first_stopping` how their
    number was chosen and `first_stop` by which rule (as `stopping` and `stop`). `beside` int64 [N, C] are the
    first classifier's votes on the draws of `estimation`, `both` int64 [N, C] the draws on which both
    answered the class.
    """

    first: Votes
    beside: np.ndarray
    both: np.ndarray
    first_stopping: str = "fixed"
    first_stop: dict[str, Any] = field(default_factory=dict)

    def differences(self, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Losses and gains int64 [N] for the classes `top` [N]: draws on which only the first classifier, and
        only the second, answered the class.
        """
        rows = np.arange(len(self))
        both = self.both[rows, top]
        return self.beside[rows, top] - both, self.estimation.counts[rows, top] - both

    @property
    def votes(self) -> np.ndarray:
        """int64 [N]: estimation votes that both networks cast here, without the first one's earlier votes."""
        return 2 * self.estimation.n
