"""VGG-16 for small images, as NAL trains it on CIFAR-10 (Table 1, Figure 3).

Configuration D of Simonyan & Zisserman (ICLR 2015): thirteen 3x3 convolutions, pooled five times. NAL does
not say how it fits small images. This is the usual form: batch norm after every convolution (which has the
bias), and instead of three dense layers one, on the averaged last feature map (1x1, or 2x2 for 64x64 images).
NAL gives no normalisation either; the default is that of the residual networks. 0.31 and 1.25 billion
multiply-adds per image. Pooling comes before activations; both activations are monotone, so the values are
the same for a quarter of the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from rs.methods.models.architecture import Architecture, he_normal
from rs.methods.models.layers import Normalization

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # filters, convolutions; each ends with pooling


@dataclass(frozen=True)
class Vgg16(Architecture):
    """Thirteen 3x3 convolutions (64 to 512 filters, batch norm), one dense layer; 14,724,042 parameters."""

    name: ClassVar[str] = "vgg16"
    source: ClassVar[str] = "Simonyan & Zisserman, ICLR 2015, with batch norm and one dense layer"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((3, 32, 32), (3, 64, 64))

    normalization: Normalization = "standardize"

    def layers(self, channels: int, classes: int, activation: type[nn.Module]) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for filters, convolutions in STAGES:
            for i in range(convolutions):
                layers += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters)]
                layers += [nn.MaxPool2d(2)] if i == convolutions - 1 else []
                layers += [activation()]
                channels = filters
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
        return [*he_normal(layers, "fan_out"), *head]
