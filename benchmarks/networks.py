"""The networks that benchmarks time: built as a study builds them, untrained, the same at every call."""

from __future__ import annotations

import torch
from torch import nn

from rs.methods import catalog

CLASSES = 10


def shape_of(name: str) -> tuple[int, int, int]:
    """[C, H, W] of the architecture's images; of several sizes the first."""
    shape: tuple[int, int, int] = catalog.build("models", {"name": name}).shapes[0]
    return shape


def network_of(name: str) -> nn.Module:
    """A network with logits of CLASSES classes, in evaluation mode. Seeds torch's generator."""
    torch.manual_seed(0)
    shape = shape_of(name)
    channels = [0.5] * shape[0]
    network: nn.Module = catalog.build("models", {"name": name}).build(shape, CLASSES, channels, channels)
    return network.eval()
