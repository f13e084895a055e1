"""Settings of calibration."""

from __future__ import annotations

from dataclasses import dataclass, field

from rs.settings.images import Subset
from rs.settings.limits import Samples, Seed, Steps


@dataclass(frozen=True)
class Calibration:
    """Epsilon and rho of NAL eq. (8): `steps` of Lagrangian ascent on `images` of the training images.

    `noise_in_cost: true` ascends as NAL's Algorithm 1 does, on draws of the cost instead of its expectation;
    the measurement with reused noise (rs.stages.calibrate) is meant for it.
    """

    steps: Steps = 15
    samples: Samples = 4
    noise_in_cost: bool = False
    images: Subset = field(default_factory=Subset)
    seed: Seed = 0
