"""The radius of the ball of an inner maximisation, as objectives take it: a number, or the epsilon calibrated
on another run. Not an objective itself.
"""

from __future__ import annotations

from typing import TypeAlias

from rs.settings.limits import NonNegative
from rs.settings.training import Calibrated

Epsilon: TypeAlias = NonNegative | Calibrated


def epsilon_now(epsilon: float | Calibrated, progress: float, warmup: float = 0.0) -> float:
    """The radius at `progress` of the training; it grows linearly from 0 over the share `warmup` of the
    training.

    Raises TypeError for a reference that was not replaced by its number.
    """
    if isinstance(epsilon, Calibrated):
        raise TypeError(f"epsilon still refers to run {epsilon.calibrated!r}, which has no value yet")
    return epsilon * min(1.0, progress / warmup) if warmup else epsilon
