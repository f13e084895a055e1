"""Networks whose smoothed classifiers are known: what they answer depends on t = <u, x> alone, |u| = 1.

Around an image the noise moves t by N(0, sigma^2), so a class's probability is a sum of normal probabilities
over its cells of t, and the nearest image with another smoothed answer lies along u. `linear` has two cells,
the case in which Cohen et al.'s radius is the true one as n grows; `nearest_mean` has ten classes in a row;
`tabulated` reads its answer from a table in which classes come back.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import special
from torch import Tensor, nn

SIGMA = 0.5
EDGES = {"linear": [2.2], "nearest_mean": [0.9 + 1.4 * i for i in range(9)]}
EDGES["tabulated"] = [0.3, 1.0, 1.2, 1.6, 2.9, 3.1, 4.0]
CELLS = {"linear": [0, 1], "nearest_mean": list(range(10)), "tabulated": [3, 0, 2, 0, 1, 0, 1, 2]}


def linear() -> nn.Module:
    layer = nn.Linear(64, 10)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(-1e3)
        layer.weight[1], layer.bias[1] = 1 / 8, -EDGES["linear"][0]
        layer.weight[0], layer.bias[0] = -1 / 8, EDGES["linear"][0]
    return nn.Sequential(nn.Flatten(), layer)


class NearestMean(nn.Module):
    """Means along u, 1.4 apart; the logit of a class is its mean's squared distance, negated."""

    def __init__(self) -> None:
        super().__init__()
        place = 0.2 + 1.4 * torch.arange(10.0)
        self.register_buffer("means", (place[:, None] / 8).expand(10, 64).clone())

    def forward(self, x: Tensor) -> Tensor:
        return -(x.flatten(1)[:, None] - self.means).square().sum(2)


class Tabulated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("edges", torch.tensor(EDGES["tabulated"]))
        self.register_buffer("cells", torch.eye(10)[CELLS["tabulated"]])

    def forward(self, x: Tensor) -> Tensor:
        return self.cells[torch.bucketize(x.flatten(1).sum(1) / 8, self.edges)]


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "linear": linear,
    "nearest_mean": NearestMean,
    "tabulated": Tabulated,
}


def probabilities(name: str, t: np.ndarray) -> np.ndarray:
    """Of each class at t [N]: [N, 10]."""
    ends = np.array([-np.inf, *EDGES[name], np.inf])
    below = special.ndtr((ends - t[:, None]) / SIGMA)
    found = np.zeros((len(t), 10))
    for cell, label in enumerate(CELLS[name]):
        found[:, label] += below[:, cell + 1] - below[:, cell]
    return found


def truth(name: str, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smoothed class [N] and the distance to the nearest image of another one [N], from below by 1e-3."""
    t = images.reshape(len(images), -1).astype(np.float64).sum(1) / 8
    top = probabilities(name, t).argmax(1)
    steps = np.arange(0, 6, 1e-3)
    radius = np.empty(len(t))
    for i in range(len(t)):
        moved = np.stack([probabilities(name, t[i] + sign * steps).argmax(1) for sign in (-1, 1)])
        radius[i] = steps[(moved != top[i]).any(0).argmax()] - 1e-3
    return top, radius
