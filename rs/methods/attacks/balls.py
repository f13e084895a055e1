"""Projected gradient ascent at every radius of a study: what the PGD attacks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from rs.methods.interfaces import Proposed
from rs.smoothing.ascent import Loss, pgd, random_perturbations

if TYPE_CHECKING:
    from torch import Tensor

    from rs.smoothing.smoothed import Smoothed


def ascend_in_balls(
    prepare: Callable[[], Loss],
    smoothed: Smoothed,
    x: Tensor,
    radii: Sequence[float],
    norm: float,
    steps: int,
    relative_step: float,
    random_start: bool = False,
) -> Proposed:
    """K = `steps` steps of length `relative_step` * radius / K in each ball, clipped to [0, 1].

    For every radius the noise restarts, and `prepare()` returns the per-image loss to ascend. So a result
    depends neither on the other radii nor on the other images. Radius 0 gives x itself and takes no step.
    """
    found = []
    for radius in radii:
        if radius == 0:
            found.append(x)
            continue
        smoothed.restart()
        start = None
        if random_start:
            pairs = zip(x, smoothed.generators, strict=True)
            start = torch.cat([random_perturbations(i[None], radius, norm, g) for i, g in pairs])
        found.append(pgd(prepare(), x, radius, steps, relative_step * radius / steps, norm, start=start))
    taken = [torch.full((len(x),), steps if radius else 0, device=x.device) for radius in radii]
    return Proposed(torch.stack(found), torch.stack(taken))
