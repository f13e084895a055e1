"""The three-layer CNN of "A Distributional Robustness Certificate by Randomized Smoothing" (NAL, section 5).

NAL says no more than "three-layer CNN" and takes its MNIST setting from WRM (Sinha, Namkoong & Duchi, ICLR
2018). So this is the network of WRM's released code: convolutions 8x8 with 64 filters (stride 2, padded to
half the size), 6x6 with 128 (stride 2, unpadded) and 5x5 with 128 (unpadded), then one dense layer. That NAL
used it is an assumption. Departures: weights start from PyTorch's defaults, not Keras's; ReLU is the default,
as NAL trains its own method (WRM needs `activation: elu`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from rs.methods.models.architecture import Architecture


@dataclass(frozen=True)
class NalCnn(Architecture):
    """Convolutions of 64 (8x8), 128 (6x6), 128 (5x5) filters and one dense layer; 710,218 parameters."""

    name: ClassVar[str] = "nal_cnn"
    source: ClassVar[str] = "Sinha, Namkoong & Duchi, WRM, ICLR 2018 (released code), as NAL compares with it"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((1, 28, 28),)

    def layers(self, channels: int, classes: int, activation: type[nn.Module]) -> list[nn.Module]:
        return [
            nn.Conv2d(channels, 64, 8, stride=2, padding=3),
            activation(),
            nn.Conv2d(64, 128, 6, stride=2),
            activation(),
            nn.Conv2d(128, 128, 5),
            activation(),
            nn.Flatten(),
            nn.Linear(128, classes),
        ]
