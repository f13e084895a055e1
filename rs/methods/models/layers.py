"""Layers that the architectures share: normalisation as the first layer, and activations by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["relu", "elu"]
Normalization = Literal["none", "center", "standardize"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "elu": nn.ELU}


class Normalize(nn.Module):
    """(x - mean) / std per channel; x [B, C, H, W]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(list(mean)).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(list(std)).reshape(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def first_layer(normalization: Normalization, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """`center` subtracts the data set's mean, `standardize` also divides by its std, `none` does nothing.

    Radii and sigma stay in image units with any of them, because noise is added before the model.
    """
    if normalization == "none":
        return nn.Identity()
    return Normalize(mean, std if normalization == "standardize" else [1.0] * len(mean))
