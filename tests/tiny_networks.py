"""A network of three classes on 2x2 images with two channels, a batch of them, seeded generators; one with a
convolution on 8x8 images; and any network as if it had passed the audit.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from rs.methods.models.digits_cnn import DigitsCnn
from rs.networks.audit import Audited


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def tiny(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)).to(dtype)


def batch(n: int = 4, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(n, 2, 2, 2, generator=generator).to(dtype), torch.arange(n) % 3


def probes(shape: tuple[int, ...], n: int = 32) -> torch.Tensor:
    draws = torch.Generator().manual_seed(3)
    return torch.rand(n, *shape, generator=draws) + 0.25 * torch.randn(n, *shape, generator=draws)


def audited(network: nn.Module, shape: tuple[int, ...], classes: int, run: str = "theirs") -> Audited:
    return Audited(network, {"classes": classes, "sha256": ""}, probes(shape), run, chance=False)


def with_trained_norms(shape: tuple[int, int, int]) -> nn.Module:
    """The network of the digits with batch norms far from the identity."""
    torch.manual_seed(0)
    network = DigitsCnn().build(shape, 10, (0.3,), (0.4,))
    for _ in range(5):
        network(torch.rand(64, *shape))
    return network.eval()


class Small(nn.Module):
    """A convolution, a norm and a dense layer; `slope` is a number in its code."""

    def __init__(self, slope: float = 0.1, stride: int = 1) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, stride, padding=1), nn.BatchNorm2d(4)
        self.dense, self.slope = nn.Linear(4 * (4 // stride) ** 2, 3), slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.leaky_relu(self.norm(self.conv(x)), self.slope)
        return self.dense(F.max_pool2d(h, 2).flatten(1))


def small(slope: float = 0.1, stride: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return Small(slope, stride).eval().requires_grad_(False)
