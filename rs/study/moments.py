"""Moments of a training that a study names instead of counting. No torch.

`lambda_from: first_drop` of an objective is the step at which the learning rate first drops. As a rounded
share of the training it is a few steps earlier or later: 0.4545 of 440 epochs is 18 steps (of 64 images)
before the drop after epoch 200.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rs.settings.limits import FIRST_DROP


def put_moments(
    sections: dict[str, Any], place: tuple[str, ...], fail: Callable[[tuple[str, ...], str], Any]
) -> None:
    """Puts the share of the training in the place of each moment that the run's objective names. `fail`
    raises at a key where the learning rate never drops.
    """
    objective = sections.get("objective") or {}
    for key in [key for key, value in objective.items() if value == FIRST_DROP]:
        schedule, epochs = sections["training"]["schedule"], sections["training"]["epochs"]
        drops = [m for m in schedule["milestones"] if m < epochs] if schedule["name"] == "multistep" else []
        if not drops:
            needed = f"training.schedule multistep with a milestone below training.epochs ({epochs})"
            fail((*place, "objective", key), f"{FIRST_DROP}: the learning rate never drops; needs {needed}")
        objective[key] = min(drops) / epochs
