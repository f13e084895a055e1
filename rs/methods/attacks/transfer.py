"""Adversarial examples of another run, judged on this one (STN, section 6.2: a black-box attack).

The source run's own attack (`attack`, its label there) is made again on the source network, under the source
run's training noise and seed, at this attack's radii. The harness judges the resulting images on the target,
whose gradients are never used. STN's source is a network trained by l-infinity PGD without noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Transfer:
    """`source_run` is the label of a run, `attack` the name or label of one of its attacks.

    A plan replaces the two by the source run's network and the settings of its attack.
    """

    source: ClassVar[str] = "STN, Li et al., NeurIPS 2019, section 6.2"
    access: ClassVar[str] = "transfer"

    source_run: str
    attack: str
