"""Noise families: samplers against one-dimensional laws and moments, likelihood ratios against densities."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from rs.errors import UserError
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.laplace import Laplace
from rs.methods.noise.mixed_norm import MixedNorm, truncated_normal
from rs.methods.noise.radial import chi_mean, chi_table, draw, sup_table
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


@pytest.mark.parametrize("freedom", [0.05, 0.7, 1.0, 2.5, 40.0, 2572.0, 150528.0])
def test_chi_draws_are_the_inverse_transform_within_a_millionth_of_a_deviation(freedom):
    """No test of a sample sees a tail that is cut off at 1e-4."""
    law, (_, t) = stats.chi(freedom), chi_table(freedom)
    u = torch.rand(2000, generator=generator(), dtype=torch.float64).numpy()
    found = draw(chi_table(freedom), 2000, generator()).numpy()
    assert np.abs(found - law.ppf(u)).max() < 1e-6 * law.std()
    ends = np.exp(2 * t[[0, -1]]) / 2
    assert special.gammainc(freedom / 2, ends[0]) < 1e-21
    assert special.gammaincc(freedom / 2, ends[1]) < 1e-21


def test_the_sup_norm_has_its_power_law_near_0_where_erf_is_its_leading_term():
    """Its density is m^(d - k - 1) for small m: the distribution function falls as m^(d - k)."""
    cdf, t = sup_table(2, 1.95)
    low = np.log(np.interp([-200, -60, -20], t, cdf))
    assert np.diff(low) == pytest.approx([0.05 * 140, 0.05 * 40], rel=1e-5)


def test_a_bound_that_no_draw_reaches_leaves_normal_draws_as_they_are():
    """The inverse transform in float32 has no values beyond 5.4, and an infinite one."""
    z = truncated_normal(torch.tensor([40.0, 2.5]).double(), 500, generator())
    plain = torch.randn((2, 500), generator=generator())
    assert torch.equal(z[0], plain[0])
    inside = plain[1].abs() <= 2.5
    assert torch.equal(z[1, inside], plain[1, inside])
    assert not inside.all()
    assert z[1].abs().max() <= 2.5


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


def test_the_mean_norm_of_the_cubes_surface():
    """Exact in one and two dimensions; in many, sqrt of the mean square less its variance's share."""
    assert cube_surface_mean(1) == pytest.approx(1, rel=1e-9)
    assert cube_surface_mean(2) == pytest.approx((math.sqrt(2) + math.asinh(1)) / 2, rel=1e-9)
    square, variance = 1 + 150_527 / 3, 150_527 * 4 / 45
    expected = math.sqrt(square) * (1 - variance / (8 * square**2))
    assert cube_surface_mean(150_528) == pytest.approx(expected, rel=1e-9)


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


@pytest.mark.parametrize(
    ("family", "match"), [(f, m) for f in SHAPED for m in ("paper", "mean") if (f, m) != (SupNorm, "paper")]
)
def test_matched_noise_has_the_draws_and_the_ratios_of_its_density(family, match):
    noise, shift = family(0.6, 1.5, match), torch.tensor([0.3, -0.2, 0.0, 0.7])
    plain = family(noise.scale(4), 1.5)
    assert abs(plain.sigma - 0.6) > 0.03
    z = draws(noise, 4, n=50)
    assert torch.equal(z, draws(plain, 4, n=50))
    assert torch.equal(noise.log_ratio(z, shift), plain.log_ratio(z, shift))


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


@pytest.mark.parametrize("family", SHAPED)
def test_too_large_an_exponent_is_refused(family):
    with pytest.raises(UserError, match="k = 12 must be less than the number of input coordinates, 12"):
        family(0.5, 12.0).sample((2, 3, 2, 2), generator())
    with pytest.raises(UserError, match="match paper needs k < d - 1"):
        Spherical(0.5, 11.5, "paper").scale(12)
