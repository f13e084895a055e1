"""Noise families: samplers against one-dimensional laws and moments, likelihood ratios against densities."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from rs.errors import UserError
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.laplace import Laplace
from rs.methods.noise.mixed_norm import MixedNorm
from rs.methods.noise.radial import chi_mean, chi_table, draw
from rs.methods.noise.spherical import Spherical
from rs.methods.noise.sup_norm import SupNorm, cube_surface_mean
from rs.methods.noise.uniform import Uniform

SHAPED = (Spherical, MixedNorm, SupNorm)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(noise, d, n=20_000, seed=0):
    return noise.sample((n, 1, 1, d), generator(seed)).flatten(1).double()


def close(values, cdf):
    """Kolmogorov-Smirnov at a fixed seed."""
    assert stats.kstest(np.asarray(values), cdf).pvalue > 1e-3


@pytest.mark.parametrize("freedom", [0.05, 0.7, 1.0, 2.5, 40.0, 2572.0, 150528.0])
def test_chi_table_is_the_chi_law(freedom):
    values = draw(chi_table(freedom), 20_000, generator()).numpy()
    close(values**2, stats.chi2(freedom).cdf)
    assert np.isclose(chi_mean(freedom), stats.chi(freedom).mean(), rtol=1e-8)


def density_of_sup(m, d, k):
    """Unnormalised density of |z|_inf under mixed_norm at sigma = 1."""
    return np.exp(-k * np.log(m) - m * m / 2 + (d - 1) * np.log(special.erf(m / math.sqrt(2))))


@pytest.mark.parametrize(("d", "k"), [(1, 0.0), (2, 1.5), (5, 3.0), (64, 0.0), (64, 30.0), (64, 60.0)])
def test_mixed_norm_follows_its_density(d, k):
    z = draws(MixedNorm(2.0, k), d) / 2
    sup, where = z.abs().max(1)
    grid = np.geomspace(1e-7, 9, 20_001)
    cdf = integrate.cumulative_simpson(density_of_sup(grid, d, k), x=grid, initial=0)
    close(sup, lambda m: np.interp(m, grid, cdf / cdf[-1]))
    assert stats.chisquare(np.bincount(where, minlength=d)).pvalue > 1e-3 or d == 1
    assert abs((z.gather(1, where[:, None]) > 0).double().mean() - 0.5) < 0.02
    if d > 1:
        # another coordinate, given the sup-norm, is a truncated normal: its probability transform is uniform
        other = torch.where(where == 0, z[:, 1], z[:, 0])
        low, width = special.ndtr(-sup.numpy()), special.erf(sup.numpy() / math.sqrt(2))
        close((special.ndtr(other.numpy()) - low) / width, "uniform")


@pytest.mark.parametrize(("d", "k"), [(2, 0.0), (5, 2.5), (300, 100.0)])
def test_spherical_and_sup_norm_have_chi_norms_and_uniform_directions(d, k):
    z = draws(Spherical(0.5, k), d)
    radius = z.norm(dim=1)
    close((radius / 0.5) ** 2, stats.chi2(d - k).cdf)
    cosine = (z[:, 0] / radius).numpy()
    close(cosine**2, stats.beta(0.5, (d - 1) / 2).cdf)
    assert abs(stats.spearmanr(np.abs(cosine), radius).statistic) < 0.03
    z = draws(SupNorm(0.5, k), d)
    sup, where = z.abs().max(1)
    close((sup / 0.5) ** 2, stats.chi2(d - k).cdf)
    close(torch.where(where == 0, z[:, 1], z[:, 0]) / sup, stats.uniform(-1, 2).cdf)
    assert stats.chisquare(np.bincount(where, minlength=d)).pvalue > 1e-3


def test_independent_families_follow_their_densities():
    close(draws(Laplace(0.3), 5).flatten()[:20_000], stats.laplace(scale=0.3).cdf)
    close(draws(Uniform(0.3), 5).flatten()[:20_000], stats.uniform(-0.3, 0.6).cdf)


@pytest.mark.parametrize("family", SHAPED)
@pytest.mark.parametrize("k", [0.0, 40.5, 99.0])
def test_second_moments(family, k):
    z = draws(family(0.5, k), 100, n=40_000)
    squares = (z.abs().amax(1) if family is SupNorm else z.norm(dim=1)) ** 2
    error = 0.25 * math.sqrt(2 * (100 - k) / len(z))
    assert abs(squares.mean() - 0.25 * (100 - k)) < 4 * error
    assert torch.all(z.mean(0).abs() < 0.05)


@pytest.mark.parametrize("family", [Spherical, MixedNorm])
def test_no_exponent_is_gaussian(family):
    z, shift = draws(family(0.7), 6), torch.full((6,), 0.2)
    close(z[:, 3] / 0.7, "norm")
    close((z / 0.7).square().sum(1), stats.chi2(6).cdf)
    assert torch.allclose(family(0.7).log_ratio(z, shift), Gaussian(0.7).log_ratio(z, shift))


def test_match_gives_the_gaussian_norm():
    for family in SHAPED:
        noise = family(0.5, 300.0, "mean")
        assert abs(draws(noise, 784, n=2000).norm(dim=1).mean() / (0.5 * chi_mean(784)) - 1) < 3e-3
    assert Spherical(0.5, 500.0, "paper").scale(3072) == 0.5 * math.sqrt(3071 / 2571)
    assert MixedNorm(0.5, 500.0).scale(3072) == 0.5
    # the paper's formula matches the mode of the norm: sigma sqrt(d - 1 - k) = sigma_0 sqrt(d - 1)
    scale = Spherical(0.5, 500.0, "paper").scale(3072)
    assert math.isclose(scale * math.sqrt(3072 - 1 - 500), 0.5 * math.sqrt(3071))
    v = draws(SupNorm(1.0), 7, n=100_000)
    v = v / v.abs().amax(1, keepdim=True)
    assert abs(v.norm(dim=1).mean() - cube_surface_mean(7)) < 5e-3


LOG_DENSITIES = {
    "spherical": (Spherical(0.6, 1.5), lambda z: -1.5 * np.log(np.linalg.norm(z)) - z @ z / 0.72),
    "mixed_norm": (MixedNorm(0.6, 1.5), lambda z: -1.5 * np.log(np.abs(z).max()) - z @ z / 0.72),
    "sup_norm": (SupNorm(0.6, 1.5), lambda z: -1.5 * np.log(np.abs(z).max()) - np.abs(z).max() ** 2 / 0.72),
    "laplace": (Laplace(0.6), lambda z: -np.abs(z).sum() / 0.6),
    "gaussian": (Gaussian(0.6), lambda z: -z @ z / 0.72),
}


@pytest.mark.parametrize("name", LOG_DENSITIES)
def test_log_ratio_is_the_ratio_of_densities(name):
    noise, log_density = LOG_DENSITIES[name]
    z, shift = draws(noise, 4, n=50), np.array([0.3, -0.2, 0.0, 0.7])
    expected = [log_density(row - shift) - log_density(row) for row in z.numpy()]
    found = noise.log_ratio(z.view(50, 1, 2, 2), torch.tensor(shift).view(1, 2, 2))
    assert found.dtype == torch.float64
    assert np.allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("noise", [n for n, _ in LOG_DENSITIES.values()] + [Uniform(0.9)])
def test_ratios_integrate_to_one(noise):
    """E q(z - s) / q(z) = 1 where q(z - s) > 0 implies q(z) > 0; less by the lost overlap otherwise."""
    z = draws(noise, 3, n=100_000)
    ratio = noise.log_ratio(z, torch.tensor([0.1, 0.05, 0.0])).exp()
    expected = (1 - 0.1 / 1.8) * (1 - 0.05 / 1.8) if isinstance(noise, Uniform) else 1.0
    assert abs(ratio.mean() - expected) < 5 * ratio.std() / math.sqrt(len(z)) + 1e-3


@pytest.mark.parametrize("family", SHAPED)
@pytest.mark.parametrize("k", [0.0, 50_000.0, 150_527.5])
def test_imagenet_dimension(family, k):
    noise = family(0.5, k)
    z = noise.sample((8, 3, 224, 224), generator())
    assert z.shape == (8, 3, 224, 224)
    assert z.dtype == torch.float32
    assert torch.isfinite(z).all()
    assert torch.isfinite(noise.log_ratio(z, torch.full((3, 224, 224), 1e-3))).all()


@pytest.mark.parametrize("noise", [*(f(0.5, 2.0) for f in SHAPED), Laplace(0.5), Uniform(0.5)])
def test_every_draw_comes_from_the_generator(noise):
    shape = (3, 2, 4, 4)
    first = noise.sample(shape, generator(5))
    torch.manual_seed(99)
    assert torch.equal(first, noise.sample(shape, generator(5)))
    assert not torch.equal(first, noise.sample(shape, generator(6)))
    state = torch.get_rng_state()
    noise.sample(shape, generator(5))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("family", SHAPED)
def test_too_large_an_exponent_is_refused(family):
    with pytest.raises(UserError, match="k = 12 must be less than the number of input coordinates, 12"):
        family(0.5, 12.0).sample((2, 3, 2, 2), generator())
    with pytest.raises(UserError, match="match paper needs k < d - 1"):
        Spherical(0.5, 11.5, "paper").scale(12)
