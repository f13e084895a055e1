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
    """Puts the share of the training in the place of each moment that the run's objective names; 1, which is
    never, where a shortened training ends before it. `fail` raises at a key where the schedule has no drop.
    """
    objective = sections.get("objective") or {}
    for key in [key for key, value in objective.items() if value == FIRST_DROP]:
        schedule, epochs = sections["training"]["schedule"], sections["training"]["epochs"]
        if schedule["name"] != "multistep" or not schedule["milestones"]:
            needed = "training.schedule must be multistep with milestones"
            fail((*place, "objective", key), f"{FIRST_DROP}: the learning rate never drops; {needed}")
        objective[key] = min(1.0, min(schedule["milestones"]) / epochs)
