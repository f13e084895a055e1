"""ResNet-50 for ImageNet, torchvision's, as Cohen et al. (2019), Salman et al. (2019), MACER and ADRE use it.

Images are 224x224; `standardize` is how Cohen et al. and Salman et al. train it. With `activation: elu` every
ReLU is replaced. 4.1 billion multiply-adds per image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from rs.methods.models.architecture import Architecture
from rs.methods.models.layers import Normalization


@dataclass(frozen=True)
class ResNet50(Architecture):
    """Four stages of 3, 4, 6 and 3 bottleneck blocks (256 to 2,048 channels); 25,557,032 parameters."""

    name: ClassVar[str] = "resnet50"
    source: ClassVar[str] = "He, Zhang, Ren & Sun, CVPR 2016 (torchvision)"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ((3, 224, 224),)

    normalization: Normalization = "standardize"

    def layers(self, channels: int, classes: int, activation: type[nn.Module]) -> list[nn.Module]:
        from torchvision.models import resnet50  # torchvision takes a second to import

        network = resnet50(weights=None, num_classes=classes)
        if activation is not nn.ReLU:
            for name, layer in list(network.named_modules()):
                if isinstance(layer, nn.ReLU):
                    network.set_submodule(name, activation())
        return [network]
