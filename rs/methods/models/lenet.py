"""LeNet for MNIST as MACER's released code has it (Zhai et al., ICLR 2020, section 5.1 names only "LeNet").

Two 5x5 convolutions without padding (20 and 50 filters), each with 2x2 max-pooling, then dense 500: 431,080
parameters and 2.29 million multiply-adds per image. The released code adds no normalisation layer (the
default here). Departure: `activation` can be ELU, which the papers that compare with WRM need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from rs.methods.models.architecture import Architecture


@dataclass(frozen=True)
class LeNet(Architecture):
    """Convolutions of 20 and 50 filters (5x5), each max-pooled, dense 500; 431,080 parameters."""

    name: ClassVar[str] = "lenet"
    source: ClassVar[str] = "Zhai et al., MACER, ICLR 2020 (released code)"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((1, 28, 28),)

    def layers(self, channels: int, classes: int, activation: type[nn.Module]) -> list[nn.Module]:
        # ReLU and ELU are monotone, so pooling before them gives the same values for a quarter of the work.
        return [
            nn.Conv2d(channels, 20, 5),
            nn.MaxPool2d(2),
            activation(),
            nn.Conv2d(20, 50, 5),
            nn.MaxPool2d(2),
            activation(),
            nn.Flatten(),
            nn.Linear(50 * 4 * 4, 500),
            activation(),
            nn.Linear(500, classes),
        ]
