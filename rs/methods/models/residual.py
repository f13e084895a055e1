"""Residual networks for small images (He et al., CVPR 2016): a 3x3 stem, basic blocks, a dense layer.

Shortcuts that change the shape are 1x1 convolutions with batch norm (option B). Names and shapes of the
parameters are torchvision's, which are also those of the networks that Cohen et al. (2019) and Salman et al.
(2019) released. Global average pooling takes the last feature map whatever its size. Every batch norm
directly follows a convolution, so that inference can fold the two.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from rs.methods.models.architecture import he_normal


def convolution(channels: int, filters: int, size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the image size at stride 1 and halves it at stride 2. It has no bias; the
    batch norm after it does.
    """
    return nn.Conv2d(channels, filters, size, stride, padding=size // 2, bias=False)


class BasicBlock(nn.Module):
    """activation(two 3x3 convolutions of x + shortcut of x) for x [B, channels, H, W]."""

    def __init__(self, channels: int, filters: int, stride: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.conv1 = convolution(channels, filters, 3, stride)
        self.bn1 = nn.BatchNorm2d(filters)
        self.inner = activation()
        self.conv2 = convolution(filters, filters, 3)
        self.bn2 = nn.BatchNorm2d(filters)
        self.outer = activation()
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != filters:
            shortcut = convolution(channels, filters, 1, stride)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(filters))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.inner(self.bn1(self.conv1(x)))))
        activated: Tensor = self.outer(out + self.downsample(x))
        return activated


def residual_network(
    channels: int, widths: Sequence[int], blocks: int, classes: int, activation: type[nn.Module]
) -> nn.Sequential:
    """`blocks` basic blocks of each width; the first block of every stage but the first halves the image."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv1"] = convolution(channels, widths[0], 3)
    parts["bn1"] = nn.BatchNorm2d(widths[0])
    parts["act1"] = activation()
    before = widths[0]
    for number, width in enumerate(widths, start=1):
        first = BasicBlock(before, width, 1 if number == 1 else 2, activation)
        others = [BasicBlock(width, width, 1, activation) for _ in range(blocks - 1)]
        parts[f"layer{number}"] = nn.Sequential(first, *others)
        before = width
    parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(before, classes)
    he_normal(list(parts.values()), "fan_out")
    return nn.Sequential(parts)
