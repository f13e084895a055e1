"""Digits and a classifier of them that needs no training: the class of the nearest mean image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [1797, 1, 8, 8] in [0, 1] and labels int64 [1797]."""
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32).reshape(-1, 1, 8, 8), y


@pytest.fixture
def nearest_mean(digits: tuple[np.ndarray, np.ndarray]) -> nn.Module:
    x, y = digits
    means = torch.from_numpy(np.stack([x[y == c].mean(0).reshape(-1) for c in range(10)]))
    linear = nn.Linear(64, 10)
    linear.load_state_dict({"weight": means, "bias": -means.square().sum(1) / 2})
    return nn.Sequential(nn.Flatten(), linear)
