"""Draws as the tests of certificates make them: random votes, and softmax moments without votes."""

from __future__ import annotations

import numpy as np

from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.laplace import Laplace
from rs.statistics.draws import Draws, Votes

GAUSSIAN, LAPLACE = Gaussian(0.5), Laplace(0.5)


def random_votes(classes: int, images: int, n: int, seed: int = 0) -> Draws:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.r_[6.0, 1.5, np.full(classes - 2, 4 / classes)], images)
    selection, estimation = rng.multinomial(100, p), rng.multinomial(n, p)
    return Draws.from_counts(selection, estimation, dimension=784, uniform=rng.random(images))


def soft_draws(selection: np.ndarray, sums: np.ndarray, squares: np.ndarray, n: int) -> Draws:
    """Draws whose votes only say how many there were, with softmax moments at beta = 1."""
    counts = np.zeros_like(sums, np.int64)
    counts[:, 0] = n
    return Draws(
        np.arange(len(sums)),
        np.zeros(len(sums), np.int64),
        Votes(counts, {1.0: selection}, {1.0: selection}),
        Votes(counts, {1.0: sums}, {1.0: squares}),
        784,
        np.zeros(len(sums)),
    )
