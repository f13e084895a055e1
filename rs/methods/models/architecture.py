"""Shared by most architectures: options, the check of the image shape, normalisation as the first layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from rs.errors import UserError
from rs.methods.models.layers import ACTIVATIONS, Activation, Normalization, first_layer


@dataclass(frozen=True)
class Architecture(ABC):
    """A subclass states `name` (its name in a study), `source`, `shapes` (of the images) and `layers`."""

    name: ClassVar[str]
    source: ClassVar[str]
    shapes: ClassVar[tuple[tuple[int, int, int], ...]]

    activation: Activation = "relu"
    normalization: Normalization = "none"

    def build(
        self, shape: tuple[int, int, int], classes: int, mean: Sequence[float], std: Sequence[float]
    ) -> nn.Module:
        """`Sequential(normalisation, *layers)`: [B, C, H, W] in [0, 1] -> logits [B, classes].

        Raises UserError where the network does not take images of this shape.
        """
        if tuple(shape) not in self.shapes:
            takes = " or ".join("x".join(map(str, s)) for s in self.shapes)
            raise UserError(f"model {self.name} takes images of {takes}, not {'x'.join(map(str, shape))}")
        layers = self.layers(shape[0], classes, ACTIVATIONS[self.activation])
        return nn.Sequential(first_layer(self.normalization, mean, std), *layers)

    @abstractmethod
    def layers(self, channels: int, classes: int, activation: type[nn.Module]) -> Sequence[nn.Module]:
        """The layers after the normalisation, for images with `channels` channels."""


def he_normal(layers: Sequence[nn.Module], mode: Literal["fan_in", "fan_out"]) -> Sequence[nn.Module]:
    """Starts every convolution as He et al. (ICCV 2015) do: normal of variance 2 / fan, biases 0."""
    for convolution in (m for layer in layers for m in layer.modules() if isinstance(m, nn.Conv2d)):
        nn.init.kaiming_normal_(convolution.weight, mode=mode, nonlinearity="relu")
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    return layers
