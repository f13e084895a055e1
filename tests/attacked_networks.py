"""Networks and images that attacks are tried on, as fixtures: batch norm and a kink, and a linear one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rs.methods.noise.gaussian import Gaussian
from rs.smoothing.smoothed import Smoothed


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3)
    ).train()


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    x[0, 0, 0], x[1, 0, 1] = 0.0, 1.0  # on the faces of the box
    return x, torch.arange(5) % 3


@pytest.fixture(scope="module")
def linear() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Two classes, images far from the faces of the box, all of class 0, and their distances to class 1."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).requires_grad_(False)
    x = 0.4 + 0.2 * torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    w = net[1].weight[1] - net[1].weight[0]
    net[1].bias[:] = torch.tensor([float((x.flatten(1) @ w).max()) + 0.1 * float(w.norm()), 0.0])
    return net, x, w


def smoothed(model: nn.Module, rows: list[int], noise=None) -> Smoothed:
    return Smoothed(model, noise or Gaussian(0.25), [torch.Generator().manual_seed(100 + i) for i in rows])


ALL = list(range(5))
