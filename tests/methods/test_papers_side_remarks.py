"""Mathematical remarks of the papers that stand beside their theorems: how bounds depend on the probabilities
of classes, and what the area under a curve of certified accuracy is.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from rs.methods.certificates.probabilities import gaussian_radius
from rs.methods.certificates.renyi import renyi_radius
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.mixed_norm import MixedNorm
from rs.methods.noise.spherical import Spherical
from rs.tables.certified import Claim


def renyi_orders(p_1: float, p_2: float, orders: np.ndarray) -> np.ndarray:
    """-log(1 - 2 M_1 + 2 M_{1 - order}) of Theorem 2, in logarithms."""
    logs = np.logaddexp((1 - orders) * np.log(p_1), (1 - orders) * np.log(p_2)) - np.log(2)
    return -np.log(1 - p_1 - p_2 + 2 * np.exp(logs / (1 - orders)))


def test_the_renyi_radius_grows_with_the_first_probability_and_falls_with_the_second() -> None:
    """STN's section 5: the bound is larger where the difference is, with one of the two held. The difference
    alone does not order the bounds: 0.58 without a runner-up gives more than 0.6 without a third class.
    """
    p_1, p_2 = np.linspace(0.3, 0.95, 27), np.linspace(0.02, 0.29, 28)
    first, second = np.meshgrid(p_1, p_2, indexing="ij")
    possible = first + second <= 1
    radius = renyi_radius(1.0, 1 - first.ravel(), second.ravel()).reshape(first.shape)
    assert possible.sum() > 500
    up, down = possible[1:] & possible[:-1], possible[:, 1:] & possible[:, :-1]
    assert np.all(np.diff(radius, axis=0)[up] > 0)
    assert np.all(np.diff(radius, axis=1)[down] < 0)
    alone, two = renyi_radius(1.0, np.array([0.42, 0.2]), np.array([1e-6, 0.2]))
    assert alone > 1.9 * two


def test_the_divergence_of_laplace_noise_is_the_limit_of_all_orders() -> None:
    """STN before Theorem 3: at order infinity, |x - x'| / lambda and -log(1 - p_1 + p_2)."""
    orders = np.array([10.0, 1e3, 1e5])
    for p_1, p_2 in ((0.6, 0.3), (0.5, 0.1), (0.9, 0.05)):
        gaps = np.abs(renyi_orders(p_1, p_2, orders) + math.log(1 - p_1 + p_2))
        assert np.all(np.diff(gaps) < 0)
        assert gaps[-1] < 1e-4
    x = np.linspace(-60, 60, 1_200_001)
    shift, order = 1.7, 4.0
    moved, at = stats.laplace.logpdf(x, loc=shift), stats.laplace.logpdf(x)
    integral = np.exp(order * at + (1 - order) * moved).sum() * (x[1] - x[0])
    weights = np.array([order, order - 1]) / (2 * order - 1)
    formula = weights @ np.exp([(order - 1) * shift, -order * shift])
    assert math.log(integral) == pytest.approx(math.log(formula), rel=1e-5)


def test_the_radius_is_at_least_a_multiple_of_the_margin() -> None:
    """ADRE, connection to large margin training: the derivative of Phi^-1 is sqrt(2 pi) or more."""
    p_a, p_b = (a.ravel() for a in np.meshgrid(np.linspace(0.01, 0.999, 90), np.linspace(1e-4, 0.6, 90)))
    possible = (p_b < p_a) & (p_a + p_b <= 1)
    radius = gaussian_radius(0.5, 1 - p_a[possible], p_b[possible])
    least = math.sqrt(2 * math.pi) * 0.5 / 2 * (p_a - p_b)[possible]
    assert possible.sum() > 1_000
    assert np.all(radius >= least - 1e-9)
    assert np.min(radius / least) < 1.01  # and no larger multiple


def test_the_area_under_certified_accuracy_is_the_average_radius() -> None:
    """MACER, section 5.2: wrong and abstained images count as 0."""
    radii = np.random.default_rng(0).gamma(2.0, 0.4, 500)
    right = np.arange(500) % 5 > 0
    claim = Claim({"largest_radius": math.nan}, pd.DataFrame(), np.where(right, radii, -1.0), 1.0, None)
    grid = np.linspace(0, radii.max(), 4_001)
    certified = [row["certified_accuracy"] for row in claim.accuracies(grid)]
    assert np.trapezoid(certified, grid) == pytest.approx(claim.average()["acr"], abs=1e-3)


@pytest.mark.parametrize("noise", [Gaussian(1.0), Spherical(1.0, 1.5), MixedNorm(1.0, 1.5)])
def test_the_distance_lies_between_0_and_lambda_and_is_total_variation_at_1(noise: Gaussian) -> None:
    """Soap Bubbles, Theorem 1, part II, in 3 dimensions: D under pi_0 against D of the exchanged laws."""
    z = noise.sample((200_000, 1, 1, 3), torch.Generator().manual_seed(0)).flatten(1).double()
    shift = torch.tensor([0.7, 0.2, 0.0]).double()
    ratio, back = noise.log_ratio(z, shift).exp(), noise.log_ratio(z, -shift).exp()
    for lam in (0.3, 1.0, 2.5):
        found = float((lam - ratio).clamp_min(0).mean())
        assert 0 < found < lam
    one = float((1 - ratio).clamp_min(0).mean())
    assert one == pytest.approx(float((1 - back).clamp_min(0).mean()), abs=5e-3)  # symmetric, as a distance
    assert one == pytest.approx(float((ratio - 1).abs().mean()) / 2, abs=2e-2)
