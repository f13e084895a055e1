"""The MNIST network of "Certified Adversarial Robustness with Additive Noise" (STN; Li et al., section 6).

It has two convolutions of 64 filters and a dense layer of 128, after Tramer et al. (2017). STN gives no more;
the filters (5x5, unpadded, no pooling) are those of the network stored with its released code. Departures: no
dropout (0.25 before and 0.5 after the dense layer there; STN does not mention it), and weights start from
PyTorch's defaults, not Keras's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from rs.methods.models.architecture import Architecture


@dataclass(frozen=True)
class StnMnist(Architecture):
    """Two convolutions of 64 filters (5x5) and dense 128; 3,382,346 parameters."""

    name: ClassVar[str] = "stn_mnist"
    source: ClassVar[str] = "Li, Chen, Wang & Carin, NeurIPS 2019 (released network)"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((1, 28, 28),)

    def layers(self, channels: int, classes: int, activation: type[nn.Module]) -> list[nn.Module]:
        return [
            nn.Conv2d(channels, 64, 5),
            activation(),
            nn.Conv2d(64, 64, 5),
            activation(),
            nn.Flatten(),
            nn.Linear(64 * 20 * 20, 128),
            activation(),
            nn.Linear(128, classes),
        ]
