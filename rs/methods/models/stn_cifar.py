"""The CIFAR-10 network of "Certified Adversarial Robustness with Additive Noise" (STN; Li et al., section 6).

STN says seven convolutional layers with max-pooling. Sizes are those of the network stored with its released
code: pairs of a wide and a 1x1 convolution (96, 192, 256 filters), pooling (3x3, stride 2) after the first
two pairs, and a seventh 1x1 convolution whose outputs, averaged over the image, are the logits. It uses ELU
(the default here), no normalisation, and initial weights as in He et al. (ICCV 2015). Without any
normalisation it trains with Adam at 0.001 or SGD at 0.001; SGD with momentum at 0.01 diverges within tens of
steps. Another file of that code defines nine convolutions with group norm and strides for pooling, which is
not what the paper says. Departure: no dropout (0.5 after each pooling there; the paper does not mention it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from rs.methods.models.architecture import Architecture, he_normal
from rs.methods.models.layers import Activation


@dataclass(frozen=True)
class StnCifar(Architecture):
    """Seven convolutions (96 to 256 filters, 5x5, 3x3 and 1x1), pooled twice; 1,025,642 parameters."""

    name: ClassVar[str] = "stn_cifar"
    source: ClassVar[str] = "Li, Chen, Wang & Carin, NeurIPS 2019 (released network)"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((3, 32, 32),)

    activation: Activation = "elu"

    def layers(self, channels: int, classes: int, activation: type[nn.Module]) -> list[nn.Module]:
        # ReLU and ELU are monotone: pooling before them gives the same values for a quarter of the work.
        layers = [
            *[nn.Conv2d(channels, 96, 5, padding=2), activation()],
            *[nn.Conv2d(96, 96, 1), nn.MaxPool2d(3, 2, ceil_mode=True), activation()],
            *[nn.Conv2d(96, 192, 5, padding=2), activation()],
            *[nn.Conv2d(192, 192, 1), nn.MaxPool2d(3, 2, ceil_mode=True), activation()],
            *[nn.Conv2d(192, 256, 3, padding=1), activation()],
            *[nn.Conv2d(256, 256, 1), activation()],
            *[nn.Conv2d(256, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
        ]
        return [*he_normal(layers, "fan_in")]
