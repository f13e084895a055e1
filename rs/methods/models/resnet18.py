"""ResNet-18 for small images, as NAL trains it on CIFAR-10 and Tiny ImageNet (Tables 1, 2, 4-6).

The network of He et al. (CVPR 2016, table 1) has a 7x7 stem of stride 2 and pooling, which leaves one pixel
of a 32x32 image. NAL does not say what it changes. This is the usual form for small images, a 3x3 stem of
stride 1 without pooling, at both sizes: feature maps end at 4x4 and 8x8 and are averaged. NAL gives no
normalisation either; the default is that of the other residual networks. Parameter names are torchvision's.
0.56 and 2.22 billion multiply-adds per image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from rs.methods.models.architecture import Architecture
from rs.methods.models.layers import Normalization
from rs.methods.models.residual import residual_network


@dataclass(frozen=True)
class ResNet18(Architecture):
    """Four stages of 2 basic blocks (64 to 512 filters) after a 3x3 stem; 11,173,962 parameters."""

    name: ClassVar[str] = "resnet18"
    source: ClassVar[str] = "He, Zhang, Ren & Sun, CVPR 2016, with a stem for small images"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((3, 32, 32), (3, 64, 64))

    normalization: Normalization = "standardize"

    def layers(self, channels: int, classes: int, activation: type[nn.Module]) -> list[nn.Module]:
        return [residual_network(channels, (64, 128, 256, 512), 2, classes, activation)]
