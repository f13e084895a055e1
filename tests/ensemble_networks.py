"""Four small networks that mostly agree, and images under noise for them."""

from __future__ import annotations

import torch
from torch import nn

SHAPE, CLASSES, L = (1, 4, 4), 5, 4


def members(number: int = L, norm: bool = False) -> list[nn.Module]:
    """Networks that mostly agree: the first one's weights, and a little noise."""
    torch.manual_seed(0)
    networks = [
        nn.Sequential(
            nn.Conv2d(1, 3, 3),
            nn.BatchNorm2d(3) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12, CLASSES),
        )
        for _ in range(number)
    ]
    for net in networks[1:]:
        for own, shared in zip(net.parameters(), networks[0].parameters(), strict=True):
            own.data.mul_(0.3).add_(shared.data)
    for module in (m for net in networks for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(module.running_mean)
        nn.init.uniform_(module.running_var, 0.5, 2)
    return networks


def images(number: int = 64) -> torch.Tensor:
    return torch.randn(number, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
