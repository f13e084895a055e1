"""Adversarial examples of another run, judged on this one (STN, section 6.2: a black-box attack).

The source run's own attack (`attack`, its label there) is made again on the source network, under the
source's training noise and with its seed, at this attack's radii; the harness judges what comes out on the
target. The target's gradients are never seen. STN's source is a network trained by l-infinity PGD without
noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Transfer:
    """`source_run` is the label of a run, `attack` the name or label of one of its attacks.

    A plan resolves both into the source's network and its attack, which then stand in this one's place.
    """

    source: ClassVar[str] = "STN, Li et al., NeurIPS 2019, section 6.2"
    access: ClassVar[str] = "transfer"

    source_run: str
    attack: str
