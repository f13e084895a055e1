"""DnCNN (Zhang et al., "Beyond a Gaussian Denoiser", IEEE TIP 2017, section III): it predicts the noise,
which is subtracted. Salman et al. (NeurIPS 2020) put it before classifiers ("denoised smoothing").

It has `depth` 3x3 convolutions of `width` filters, with batch norm and ReLU between all but the first and the
last. Depth 17 and width 64 are published (for 32x32 images and larger); 6 and 16 see 13x13 pixels of a small
image for a hundredth of the work. Images go in and come out as they are, [0, 1] plus noise, and are not
clipped.

Departures: none from the paper, whose weights start as He et al.'s. Salman et al.'s code starts from
orthogonal weights and has a momentum of 0.95 in batch norm (which in torch forgets nearly all of the past);
it is 0.1 here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from rs.methods.models.architecture import he_normal
from rs.methods.models.layers import first_layer


class Residual(nn.Module):
    """x - layers(x): the image without the predicted noise; x [B, C, H, W]."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.noise = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x - self.noise(x)
        return found


@dataclass(frozen=True)
class DnCnn:
    """A denoiser: `depth` 3x3 convolutions of `width` filters that predict the noise."""

    name: ClassVar[str] = "dncnn"
    source: ClassVar[str] = "Zhang, Zuo, Chen, Meng & Zhang, IEEE Transactions on Image Processing, 2017"
    shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ()
    output: ClassVar[str] = "image"

    depth: Annotated[int, Field(ge=2, le=100)] = 17
    width: Annotated[int, Field(ge=1, le=1024)] = 64

    def build(
        self, shape: tuple[int, int, int], classes: int, mean: Sequence[float], std: Sequence[float]
    ) -> nn.Module:
        """Noisy images [B, C, H, W] -> denoised images of the same shape; `classes`, `mean` and `std` are not
        used.
        """
        channels, width = shape[0], self.width
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(self.depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers.append(nn.Conv2d(width, channels, 3, padding=1))
        return nn.Sequential(first_layer("none", mean, std), Residual(he_normal(layers, "fan_in")))
