"""LeNet for MNIST as MACER's released code has it (Zhai et al., ICLR 2020, section 5.1 names only "LeNet").

Two 5x5 convolutions without padding (20 and 50 filters), each with 2x2 max-pooling, then dense 500: 431,080
parameters and 2.29 million multiply-adds per image. The released code adds no normalisation layer (the
default here). Departure: `activation` can be ELU, which the papers that compare with WRM need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from rs.models.layers import ACTIVATIONS, Activation, Normalization, check_shape, first_layer


@dataclass(frozen=True)
class LeNet:
    """Convolutions of 20 and 50 filters (5x5), each max-pooled, dense 500; 431,080 parameters."""

    source: ClassVar[str] = "Zhai et al., MACER, ICLR 2020 (released code)"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((1, 28, 28),)

    activation: Activation = "relu"
    normalization: Normalization = "none"

    def build(
        self, shape: tuple[int, int, int], classes: int, mean: Sequence[float], std: Sequence[float]
    ) -> nn.Module:
        check_shape("lenet", shape, self.shapes)
        activation = ACTIVATIONS[self.activation]
        # ReLU and ELU are monotone, so pooling before them gives the same values for a quarter of the work.
        return nn.Sequential(
            first_layer(self.normalization, mean, std),
            nn.Conv2d(1, 20, 5),
            nn.MaxPool2d(2),
            activation(),
            nn.Conv2d(20, 50, 5),
            nn.MaxPool2d(2),
            activation(),
            nn.Flatten(),
            nn.Linear(50 * 4 * 4, 500),
            activation(),
            nn.Linear(500, classes),
        )
