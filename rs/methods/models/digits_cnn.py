"""A small CNN for 8x8 images, for this project's demo: two convolutions with batch norm, two dense layers.

0.34 million multiply-adds per image. No paper uses it. It has batch norm so that the smallest study also
exercises what batch norm needs in training and attacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from rs.methods.models.architecture import Architecture


@dataclass(frozen=True)
class DigitsCnn(Architecture):
    """Convolutions of 16 and 32 filters (3x3, batch norm), max-pooling, dense 64; 38,330 parameters."""

    name: ClassVar[str] = "digits_cnn"
    source: ClassVar[str] = "this project (demo)"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((1, 8, 8),)

    def layers(self, channels: int, classes: int, activation: type[nn.Module]) -> list[nn.Module]:
        return [
            nn.Conv2d(channels, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            activation(),
            nn.Conv2d(16, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            activation(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 64),
            activation(),
            nn.Linear(64, classes),
        ]
