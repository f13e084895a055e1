"""A warning of images that an attack did not break because its gradients vanished or its search failed.

An attack that follows gradients says nothing where they are 0, as of rounding or of a softmax that is sure. A
random start moves the image all the same, so the gradients themselves are looked at, where the attack ended.
A minimal attack that finds no wrong point at any distance has failed, too: the box of all images holds one
unless the classifier has one class.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rs.errors import plural
from rs.methods.interfaces import MinimalAttack
from rs.smoothing.ascent import input_gradient
from rs.stages.judge import size
from rs.stages.outcomes import Outcome, Target

ADVICE = "what it did not break may break; attack with square_linf, which takes no gradients"
CAUSE = "as of rounding or of a softmax that is sure"


def stuck_images(how: Any, target: Target, last: Outcome) -> np.ndarray:
    """bool [B]: the images that the judge calls right in the outcome at the largest radius (any distance, for
    a minimal attack), and where the attack had no gradient to follow or found nothing.
    """
    right = ~last.broken(target.y)
    if how.access == "gradient-free" or last.radius == 0 or not bool(right.any()):
        return np.zeros(len(right), bool)
    if isinstance(how, MinimalAttack):
        stuck = size(last.images - target.x, how.norm) == 0
    else:
        smoothed, samples = target.smoothed, getattr(how, "samples", 1)
        smoothed.restart()
        gradient = input_gradient(lambda at: smoothed.soft_loss(at, target.y, samples), last.images)
        stuck = (gradient == 0).flatten(1).all(1)
    return np.asarray((right & stuck.cpu()).numpy())


def tell(how: Any, heading: str, stuck: np.ndarray, radius: float, calls: int) -> None:
    """A warning of `stuck` images bool [N], at the line `calls` functions above."""
    if not (count := int(stuck.sum())):
        return
    images = f"{count} of {plural(len(stuck), 'image')}"
    found = f"gradients are 0, {CAUSE}, at {images} that it did not break at radius {radius:g}"
    if isinstance(how, MinimalAttack):
        found = (
            f"found nothing wrong at any distance from {images}: gradients that are 0, {CAUSE}, or few steps"
        )
    warnings.warn(f"{heading}: {found}; {ADVICE}", RuntimeWarning, calls + 1)
