"""A network of three classes on 2x2 images with two channels, a batch of them, and seeded generators."""

from __future__ import annotations

import torch
from torch import nn


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def tiny(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)).to(dtype)


def batch(n: int = 4, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(n, 2, 2, 2, generator=generator).to(dtype), torch.arange(n) % 3
