"""What Soap Bubbles states without a network: the norm under a larger exponent, shifts in a ball, noise of
the sup norm in high dimension, the width of Theorem 7.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from rs.methods.certificates.bilateral import exact_radius
from rs.methods.certificates.radius_table import radius_table
from rs.methods.certificates.ratio_laws import SphericalLaw
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.mixed_norm import MixedNorm
from rs.methods.noise.spherical import Spherical
from rs.methods.noise.sup_norm import SupNorm


def draws(noise: Spherical | MixedNorm | SupNorm | Gaussian, n: int, d: int) -> torch.Tensor:
    return noise.sample((n, 1, 1, d), torch.Generator().manual_seed(0)).flatten(1).double()


def distance(
    noise: Spherical | MixedNorm | SupNorm, z: torch.Tensor, shift: torch.Tensor, lam: float
) -> float:
    """D(lambda pi_0 || pi_shift) of Theorem 1, the mean of (lambda - pi_shift / pi_0)_+ over z."""
    return float((lam - noise.log_ratio(z, shift).exp()).clamp_min(0).mean())


def test_an_exponent_moves_the_mean_of_the_norm_and_keeps_its_variance() -> None:
    """Figure 1, d = 100: a larger k, against a smaller sigma with the same mean."""
    start = stats.chi(100)
    for k in (20, 50, 80):
        norm = draws(Spherical(1.0, float(k)), 20_000, 100).norm(dim=1)
        assert float(norm.mean()) == pytest.approx(stats.chi(100 - k).mean(), abs=0.02)
        assert float(norm.var()) / start.var() > 0.93
        assert (
            float(norm.mean()) / start.mean()
        ) ** 2 < 1 - k / 100 + 0.02  # the variance of the smaller sigma


@pytest.mark.parametrize("lam", [0.5, 1.0, 2.0])
def test_the_worst_shift_of_a_ball_is_on_its_boundary(lam: float) -> None:
    """Theorems 2 and 6: the distance grows with the length of the shift."""
    for noise in (Spherical(1.0, 1.5), MixedNorm(1.0, 1.5), Gaussian(1.0)):
        z = draws(noise, 200_000, 4)
        axis = torch.tensor([1.0, 0.0, 0.0, 0.0]).double()
        found = [distance(noise, z, r * axis, lam) for r in (0.1, 0.3, 0.6, 1.0, 1.5)]
        assert np.all(np.diff(found) > 0)


def test_noise_of_the_sup_norm_fails_in_high_dimension() -> None:
    """Theorem 4: with the mode of the norm at 5 r, the distance at the vertex tends to lambda, its most."""
    found = {}
    for d in (5, 20, 100, 500):
        k, r = d // 10, 1.0
        noise = SupNorm(5 * r / math.sqrt(d - 1 - k), float(k))
        found[d] = distance(noise, draws(noise, 4_000, d), torch.full((d,), r).double(), 1.0)
    assert list(found.values()) == sorted(found.values())
    assert found[5] < 0.6
    assert found[500] > 0.999


def test_the_width_of_theorem_7_lacks_a_factor_of_two() -> None:
    """Its two-sided probability has the bound of one side. With Gaussian noise, r = 20 sigma, and lambda at
    the median of the ratio, (lambda - ratio)_+ is nearly 0 or lambda, each with probability 1/2.
    """
    z = draws(Gaussian(1.0), 20_000, 1)[:, 0]
    ratio = (-20 * z - 200).exp()  # N(z; -20, 1) / N(z; 0, 1)
    lam = math.exp(-200)
    values = (lam - ratio).clamp_min(0) / lam
    off = float(((values - values.mean()).abs() >= 0.45).double().mean())
    assert off > 0.9 > math.exp(-2 * 0.45**2)  # the printed bound for N = 1
    assert off <= 2 * math.exp(-2 * 0.45**2)


@pytest.mark.slow
def test_the_bilateral_form_is_never_below_the_one_of_two_classes() -> None:
    """Appendix D, for known probabilities: more classes share 1 - p_A, so the runner-up has less of it."""
    law = SphericalLaw(784, 300.0)
    q_a = np.array([0.4, 0.2, 0.05, 1e-3])
    one_sided = radius_table(law).radius(q_a)
    both = np.array([exact_radius(law, q_a, q_a * share) for share in (0.25, 0.5, 1.0)])
    assert np.all(both[2] >= one_sided * (1 - 1e-3))
    assert np.all(both[:-1] > both[1:])


def test_algorithm_1_errs_more_often_the_finer_its_grid() -> None:
    """Appendix B: new votes and a bound of level alpha for each lambda; the largest result counts. With the
    exact distance of Gaussian noise (appendix A.2) and a radius just beyond the true one, one lambda errs
    with probability alpha, ten near the best one with almost ten times as much.
    """
    n, alpha, radius = 2_000, 0.01, 0.5  # sigma = 1
    p = stats.norm.cdf(radius) - 1e-9
    best = math.exp(radius * stats.norm.ppf(p) - radius**2 / 2)
    counts = np.arange(n + 1)
    lower = stats.beta.ppf(alpha, counts, n - counts + 1)

    def errs(lam: np.ndarray) -> float:
        at = np.log(lam) / radius
        least = (stats.norm.cdf(radius / 2 + at) - stats.norm.cdf(at - radius / 2) / lam) + 0.5 / lam
        each = [stats.binom.pmf(counts[lower >= one], n, p).sum() for one in least]
        return float(1 - np.prod(1 - np.array(each)))

    one = errs(np.array([best]))
    assert 0.5 * alpha < one <= alpha
    assert errs(best * (1 + 0.01 * np.linspace(-1, 1, 10))) > 5 * alpha
