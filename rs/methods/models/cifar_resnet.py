"""The residual networks of depth 6n + 2 for 32x32 images (He et al., CVPR 2016, section 4.2).

ResNet-110 is what Cohen et al. (2019), Salman et al. (2019), MACER (CIFAR-10 and SVHN) and ADRE certify. A
3x3 stem without pooling is followed by three stages of 16, 32 and 64 filters with n basic blocks each.

Departure from He et al., as in the code that Cohen et al. and MACER released: a shortcut that changes the
shape is a 1x1 convolution with batch norm (option B), with 2,752 more parameters; the paper pads with zeros
(option A). Parameter names are those of that code, so that checkpoints of Cohen et al. and Salman et al.
load; their first layer is `standardize`, the default here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from rs.methods.models.architecture import Architecture
from rs.methods.models.layers import Normalization
from rs.methods.models.residual import residual_network


@dataclass(frozen=True)
class CifarResNet(Architecture):
    """Shared by the three depths."""

    source: ClassVar[str] = "He, Zhang, Ren & Sun, CVPR 2016, as Cohen et al., ICML 2019, released it"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((3, 32, 32),)
    blocks: ClassVar[int]  # of each stage

    normalization: Normalization = "standardize"

    def layers(self, channels: int, classes: int, activation: type[nn.Module]) -> list[nn.Module]:
        return [residual_network(channels, (16, 32, 64), self.blocks, classes, activation)]


@dataclass(frozen=True)
class ResNet20(CifarResNet):
    """Three stages of 3 basic blocks (16, 32, 64 filters); 272,474 parameters."""

    name: ClassVar[str] = "resnet20"
    blocks: ClassVar[int] = 3


@dataclass(frozen=True)
class ResNet56(CifarResNet):
    """Three stages of 9 basic blocks (16, 32, 64 filters); 855,770 parameters."""

    name: ClassVar[str] = "resnet56"
    blocks: ClassVar[int] = 9


@dataclass(frozen=True)
class ResNet110(CifarResNet):
    """Three stages of 18 basic blocks (16, 32, 64 filters); 1,730,714 parameters."""

    name: ClassVar[str] = "resnet110"
    blocks: ClassVar[int] = 18
