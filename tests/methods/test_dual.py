"""The dual certificate: limit cases, oracles (mpmath, Neyman-Pearson, Monte Carlo), and paper's claims."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from rs.errors import UserError
from rs.methods.certificates import divergence_table
from rs.methods.certificates.cohen import Cohen
from rs.methods.certificates.divergence_table import exact_table, mean_margin, sampled_table
from rs.methods.certificates.dual import Dual
from rs.methods.certificates.dual_published import DualPublished, estimate
from rs.methods.certificates.neyman_pearson import likelihood_ratios, required_probability
from rs.methods.certificates.quadrature import decrease
from rs.methods.certificates.radius_table import radius_table, required_quantile
from rs.methods.certificates.ratio_laws import MixedNormLaw, SphericalLaw, SupNormLaw
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.laplace import Laplace
from rs.methods.noise.mixed_norm import MixedNorm
from rs.methods.noise.spherical import Spherical
from rs.methods.noise.sup_norm import SupNorm
from rs.statistics.draws import Draws

EXACT = [SphericalLaw(5, 2.5), SupNormLaw(5, 3.0)]
Q = np.array([0.45, 0.3, 0.1, 1e-2, 1e-4, 1e-8])


def votes(hits, n=100_000, dimension=3072):
    """Two classes; `hits` votes of n for class 0, which selection has chosen."""
    hits = np.atleast_1d(hits)
    return Draws.from_counts(np.tile([90, 10], (len(hits), 1)), np.stack([hits, n - hits], 1), dimension)


@pytest.mark.parametrize("d", [2, 3, 17, 784, 3072])
def test_no_exponent_equals_cohen(d):
    draws = votes([50_200, 51_000, 60_000, 86_300, 99_000, 99_999, 100_000], dimension=d)
    for sigma in (0.25, 1.0):
        expected = Cohen().certify(draws, Gaussian(sigma), 0.001)
        found = Dual().certify(draws, Spherical(sigma), 0.001)
        assert np.array_equal(found.prediction, expected.prediction)
        assert np.all(found.radius <= expected.radius)
        assert np.abs(found.radius - expected.radius).max() < 1e-6
        assert np.array_equal(Dual().certify(draws, Gaussian(sigma), 0.001).radius, expected.radius)


def test_no_exponent_equals_cohen_for_huge_counts():
    draws = votes([10**12, 10**12 - 5], n=10**12)
    expected = Cohen().certify(draws, Gaussian(0.5), 0.001).radius
    found = Dual().certify(draws, Spherical(0.5), 0.001).radius
    assert np.all(found <= expected)
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("k", [1e-9, 0.3, 700.0])
def test_threshold_solves_its_equation(k):
    a, t = np.meshgrid([1e-3, 1.0, 3000.0], [-5.0, -1e-9, 1e-9, 5.0])
    w = decrease(a, t, k)
    digits = (1 - w > 1e-3) | (t < 0)  # w = 1 - tiny has lost the digits that this equation needs
    assert np.allclose((a * w - k * np.log1p(-w))[digits], 2 * t[digits], rtol=1e-9)
    assert np.all(np.sign(w) == np.sign(t))


def spherical_survival(law, r, t):
    """P(T > t) at sigma = 1 in mpmath for SphericalLaw, integrated piece by piece between its kinks."""
    d, k, freedom = law.d, mp.mpf(law.k), mp.mpf(law.d - law.k)
    norm = (freedom / 2 - 1) * mp.log(2) + mp.loggamma(freedom / 2)

    def integrand(R):
        a = R * R
        after = k * mp.lambertw(mp.exp((a - 2 * t) / k) * a / k).real
        c = (r * r + a - after) / (2 * r * R)
        if abs(c) >= 1:
            share = mp.mpf(int(c < 0))
        else:
            share = mp.betainc(mp.mpf(d - 1) / 2, 0.5, 0, (1 - c) * (1 + c), regularized=True) / 2
            share = share if c > 0 else 1 - share
        return share * mp.exp((freedom - 1) * mp.log(R) - a / 2 - norm)

    middle = mp.sqrt(freedom)
    grid = [middle * mp.mpf(x) / 8 for x in range(1, 64)]

    def touch(R):
        return -k * mp.log(abs(1 - r / R)) + r * R - r * r / 2 - t

    kinks = [
        mp.findroot(touch, (a, b), solver="anderson", tol=1e-12)
        for a, b in itertools.pairwise(grid)
        if touch(a) * touch(b) < 0 and not a <= r <= b
    ]
    ends = [mp.mpf("1e-8"), middle / 3, middle, middle + 2, middle + 5, middle + 10]
    return mp.quad(integrand, sorted([*ends, *kinks]), maxdegree=5)


def sup_survival(law, r, t):
    """The same for SupNormLaw: given m = |z|_inf, its coordinate is -m or +m with equal probability."""
    d, k, freedom = law.d, mp.mpf(law.k), mp.mpf(law.d - law.k)
    norm = (freedom / 2 - 1) * mp.log(2) + mp.loggamma(freedom / 2)

    def integrand(m):
        # T > t where the norm after the shift is below `reach`
        reach = mp.sqrt(k * mp.lambertw(mp.exp((m * m - 2 * t) / k) * m * m / k).real)
        share = mp.mpf(int(reach > m + r)) / 2
        if reach > abs(m - r):  # at +m the norm is r less the least of d - 1 uniform coordinates
            share += (1 - min(1, max(0, (m + r - reach) / (2 * m)))) ** (d - 1) / 2
        return share * mp.exp((freedom - 1) * mp.log(m) - m * m / 2 - norm)

    middle = mp.sqrt(freedom)
    grid = [middle * mp.mpf(x) / 8 for x in range(1, 64)]

    def touch(m, sign):
        return -k * mp.log(abs(1 - sign * r / m)) + sign * r * m - r * r / 2 - t

    kinks = [
        mp.findroot(lambda m, sign=sign: touch(m, sign), (a, b), solver="anderson", tol=1e-12)
        for a, b in itertools.pairwise(grid)
        for sign in (1, -1)
        if touch(a, sign) * touch(b, sign) < 0 and not a <= r <= b
    ]
    ends = [mp.mpf("1e-8"), middle / 3, middle, middle + 2, middle + 5, middle + 10]
    return mp.quad(integrand, sorted([*ends, *kinks]), maxdegree=5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "q"),
    [
        (EXACT[0], 0.05),
        (SphericalLaw(784, 300.0), 1e-5),
        (EXACT[1], 0.05),
        (EXACT[1], 1e-4),
    ],
)
def test_radius_is_never_above_mpmath(law, q):
    survival = {SphericalLaw: spherical_survival, SupNormLaw: sup_survival}[type(law)]
    with mp.workdps(18):
        r = mp.mpf(float(radius_table(law).radius(np.array([q]))[0]))
        x, log_lambda = required_quantile(law, np.array([float(r)]))
        t = mp.mpf(float(log_lambda[0]))
        # a t with P(T > -t) >= 1/2 - tiny is the median; P(T > t) is then the largest q that r allows
        assert abs(survival(law, r, -t) - 0.5) < 1e-9
        allowed = survival(law, r, t)
        assert allowed >= q
        assert allowed < q * (1 + 1e-4)
        assert abs(float(-special.ndtri(float(allowed))) - x[0]) < 1e-7


@pytest.mark.parametrize("law", [SphericalLaw(5, 2.5), SupNormLaw(5, 3.0), MixedNormLaw(5, 3.0)])
def test_neyman_pearson_agrees(law):
    kind, norm = {SphericalLaw: (Spherical, 2.0), SupNormLaw: (SupNorm, math.inf)}.get(
        type(law), (MixedNorm, math.inf)
    )
    r = [0.05, 0.3, 1.0]
    n = 40_000
    oracle = required_probability(
        *likelihood_ratios(kind(1.0, law.k), norm, 5, r, n, torch.Generator().manual_seed(3))
    )
    if isinstance(law, MixedNormLaw):
        ratios = law.sample(n, torch.Generator().manual_seed(4))
        found = np.array([np.mean(ratios(x) <= -np.median(ratios(x))) for x in r])
    else:
        found = special.ndtr(required_quantile(law, np.array(r))[0])
    assert np.abs(oracle - found).max() < 0.012


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Spherical, SupNorm])
def test_worst_classifier_is_at_one_half(kind):
    """Plain Monte Carlo, d = 5: the worst region has probability p_A before and 1/2 after the shift."""
    d, sigma, q = 5, 0.7, 0.1
    law = EXACT[0] if kind is Spherical else EXACT[1]
    noise, r = kind(sigma, law.k), float(radius_table(law).radius(np.array([q]))[0])
    log_lambda = required_quantile(law, np.array([r]))[1][0]
    delta = torch.zeros(d).double()
    delta[: d if kind is SupNorm else 1] = sigma * r
    z = noise.sample((100_000, 1, 1, d), torch.Generator().manual_seed(0)).flatten(1).double()
    before = (noise.log_ratio(z, delta) <= log_lambda).double().mean()
    after = (noise.log_ratio(z + delta, delta) <= log_lambda).double().mean()
    assert abs(before - (1 - q)) < 0.004
    assert abs(after - 0.5) < 0.007


@pytest.mark.slow
@pytest.mark.parametrize("law", EXACT)
def test_sampled_table_is_below_the_exact_radius_and_not_far(law):
    exact = radius_table(law).radius(Q)
    table = sampled_table(law, 10_000, 0, 1e-3)
    assert np.all(table.radius(Q) <= exact)
    assert np.all(table.radius(Q[1:]) > 0.85 * exact[1:])
    # the mean that it rests on, against quadrature: lambda P(T > t) + 1/2 - P(T <= -t)
    width = math.sqrt(math.log(1e3) / 20_000)
    few = np.arange(len(table.r))[::64]
    for r, t, margin in zip(table.r[few], table.t[few], table.margin[few], strict=True):
        rows, kept = np.full(len(t), r), t < 30  # beyond, quadrature times lambda has no digits
        true = np.exp(t) * law.distribution(rows, t)[1] - law.distribution(rows, -t)[0]
        assert np.all(margin[kept] <= true[kept] + 1e-6)
        assert np.all(margin[kept] >= true[kept] - 2 * width)


@pytest.mark.slow
def test_a_sampled_table_is_wrong_no_more_often_than_it_says(monkeypatch):
    """Over many tables, for one image at a time: one bound pays for all radii and multipliers."""
    monkeypatch.setattr(divergence_table, "SAMPLED_RADII", 48)
    monkeypatch.setattr(divergence_table, "_PILOT", 1000)
    monkeypatch.setattr(divergence_table, "farthest", lambda ratios: 4.0)  # the same radii for every seed
    law, error, tables = EXACT[0], 0.2, 100
    r = np.geomspace(4.0 / 400, 4.0, 48)[[32, 38, 44]]
    # the least q at which these radii are false claims: none is as easily made
    q, wrong = special.ndtr(-required_quantile(law, r)[0]) * (1 + 1e-6), np.zeros(3)
    for seed in range(tables):
        wrong += sampled_table(law, 1001, seed, error).radius(q) >= r * (1 - 1e-9)
    assert stats.binom.sf(wrong.max() - 1, tables, error) > 1e-3


def test_mean_margin_is_the_mean():
    T, t = np.random.default_rng(1).normal(size=500) * 4, np.array([-3.0, 0.0, 2.0, 600.0])
    plain = np.exp(np.minimum(T[:, None] + t, 0)).mean(0) - 0.5
    assert np.allclose(mean_margin(T, t), plain, atol=2e-9)
    assert np.all(mean_margin(T, t) <= plain)
    assert mean_margin(np.array([-800.0, 800.0, 0.0]), np.array([-700.0, 600.0])) == pytest.approx(
        [1 / 3 - 0.5, 2 / 3 - 0.5], abs=2e-9
    )


def test_a_sampled_table_does_not_end_where_its_draws_do():
    """2,000 draws, and radii whose region only one draw in a million or ten million enters."""
    law, rare = EXACT[0], np.array([1e-6, 1e-7])
    exact, found = radius_table(law).radius(rare), sampled_table(law, 2000, 0, 1e-3).radius(rare)
    assert np.all(found <= exact)
    assert np.all(found > 0.9 * exact)


@pytest.mark.slow
def test_exact_grid_is_below_the_curve():
    law = EXACT[0]
    assert np.all(exact_table(law).radius(Q) <= radius_table(law).radius(Q) * (1 + 1e-5))
    assert np.all(exact_table(law).radius(Q[1:]) > 0.9 * radius_table(law).radius(Q[1:]))


@pytest.mark.slow
def test_mixed_norm_without_exponent_is_below_the_gaussian_vertex():
    hits = np.array([80_000, 95_000, 99_500])
    draws = votes(hits, dimension=50)
    limit = Cohen().certify(draws, Gaussian(0.5), 0.001).radius / math.sqrt(50)
    found = Dual().certify(draws, MixedNorm(0.5), 0.001).radius
    assert np.all(found < limit)
    assert np.all(found > 0.88 * limit)


def divergence(T, log_lambda):
    return np.maximum(np.exp(log_lambda) - np.exp(T), 0).mean()


@pytest.mark.parametrize("kind", [Spherical, MixedNorm, SupNorm])
def test_vertex_is_the_worst_shift_of_the_cube(kind):
    """Theorems 5 and 6, also for `sup_norm`. Theorem 3: under `spherical` it equals sqrt(d) r on an axis."""
    d, r, noise = 3, 0.4, kind(1.0, 1.5)
    z = noise.sample((100_000, 1, 1, d), torch.Generator().manual_seed(0)).flatten(1)
    vertex = noise.log_ratio(z, torch.full((d,), r)).numpy()
    shifts = (torch.rand((12, d), generator=torch.Generator().manual_seed(1)) * 2 - 1) * r
    for shift in shifts:
        other = noise.log_ratio(z, shift).numpy()
        assert divergence(other, 0.0) < divergence(vertex, 0.0)
    if kind is Spherical:
        axis = noise.log_ratio(z, torch.tensor([math.sqrt(d) * r, 0.0, 0.0])).numpy()
        law = SphericalLaw(d, 1.5)
        t = np.array([-0.5, 0.0, 0.7])
        exact = 0.5 + law.distribution(np.full(3, math.sqrt(d) * r), t)[0]
        for T in (axis, vertex):
            assert np.abs((T[:, None] <= t).mean(0) - exact).max() < 0.006


@pytest.mark.slow
def test_toy_pareto_frontier():
    """Figure 4: d = 5, f = 1{|x|_2 <= 0.65}; per accuracy the least total variation over k, shift 0.1."""
    d, shift, exponents = 5, 0.1, (0.0, 1.0, 2.0, 3.0, 4.0, 4.5)
    samples = {k: MixedNormLaw(d, k).sample(100_000, torch.Generator().manual_seed(0)) for k in exponents}
    norms = {
        k: SupNorm(1.0, k).sample((100_000, 1, 1, d), torch.Generator().manual_seed(1)).flatten(1).norm(dim=1)
        for k in exponents
    }
    for accuracy in (0.6, 0.8, 0.95):
        spherical, mixed, sup = [], [], []
        for k in exponents:
            # |z|_2 has the same law, sigma chi(d - k), under the first two families
            sigma = 0.65 / stats.chi(d - k).ppf(accuracy)
            zero = np.zeros(1)
            r = np.array([shift / sigma])
            spherical.append(2 * SphericalLaw(d, k).distribution(math.sqrt(d) * r, zero)[0][0])
            mixed.append(2 * np.mean(samples[k](float(r[0])) <= 0) - 1)
            sigma = 0.65 / float(np.quantile(norms[k].numpy(), accuracy))
            sup.append(2 * SupNormLaw(d, k).distribution(np.array([shift / sigma]), zero)[0][0])
        assert min(mixed) < min(spherical) + 0.005
        assert min(mixed) < min(sup) + 0.005


def test_at_matched_norm_the_spherical_family_needs_the_gaussian_probability():
    d, radius, sigma = 3072, 0.5, 0.5
    for match in ("paper", "mean"):
        for k in (100.0, 500.0, 2000.0):
            scale = Spherical(sigma, k, match).scale(d)
            x = required_quantile(SphericalLaw(d, k), np.array([radius / scale]))[0][0]
            assert abs(special.ndtr(x) - special.ndtr(radius / sigma)) < 1e-4


def test_at_matched_norm_the_mixed_norm_needs_more():
    d, scale = 3072, MixedNorm(0.5, 250.0, "paper").scale(3072)
    ratio = MixedNormLaw(d, 250.0).sample(12_000, torch.Generator().manual_seed(0))(2 / 255 / scale)
    assert abs(np.mean(ratio <= -np.median(ratio)) - 0.931) < 0.012
    assert abs(special.ndtr(2 / 255 * math.sqrt(d) / 0.5) - 0.808) < 5e-4


NOISES = [Spherical(0.5, 2.5), SupNorm(0.5, 3.0), MixedNorm(0.5, 2.0)]


@pytest.mark.parametrize("noise", NOISES)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(hits=st.integers(0, 9_999), more=st.integers(1, 500), alpha=st.floats(1e-6, 0.2))
def test_monotone_in_counts_and_alpha(noise, hits, more, alpha):
    certificate = Dual(table_draws=5000)
    draws = votes([hits, min(hits + more, 10_000)], n=10_000, dimension=5)
    first = certificate.certify(draws, noise, alpha)
    assert first.radius[0] <= first.radius[1]
    assert np.all(first.radius[first.prediction < 0] == 0)
    looser = certificate.certify(draws, noise, min(2 * alpha, 0.5))
    assert np.all(first.radius <= looser.radius)
    assert np.all((first.prediction < 0) | (looser.prediction == first.prediction))


@pytest.mark.parametrize("noise", NOISES)
def test_radii_scale_with_sigma(noise):
    certificate, draws = Dual(table_draws=5000), votes([60_000, 90_000, 99_900], dimension=5)
    wide = type(noise)(2.0, noise.k)
    one, four = certificate.certify(draws, noise, 0.001), certificate.certify(draws, wide, 0.001)
    assert np.allclose(4 * one.radius, four.radius, rtol=1e-12)
    assert one.radius[1] > 0


def test_abstains_and_refuses():
    found = Dual().certify(votes([0, 50_000, 50_100]), Spherical(0.5, 100.0), 0.001)
    assert np.array_equal(found.prediction, [-1, -1, -1])
    assert np.array_equal(found.radius, [0, 0, 0])
    with pytest.raises(UserError, match=r"no theorem for noise laplace; allowed: gaussian, mixed_norm, sph"):
        Dual().certify(votes([90_000]), Laplace(0.5), 0.001)
    with pytest.raises(UserError, match="k = 4000 must be less than"):
        Dual().certify(votes([90_000]), Spherical(0.5, 4000.0), 0.001)
    with pytest.raises(UserError, match=r"k = 3071.9: .* in 3072 dimensions it must be below 3071.9"):
        Dual().certify(votes([90_000], dimension=3072), Spherical(0.5, 3071.9), 0.001)
    with pytest.raises(UserError, match="needs at least 2"):
        Dual().certify(votes([90_000], dimension=1), Spherical(0.5), 0.001)


def test_published_grid_of_multipliers_is_neither_empty_nor_endless():
    for grid, says in (
        ({"lambda_start": 2.0, "lambda_end": 1.0}, "lambda_end: 1: must be at least lambda_start, 2"),
        ({"lambda_step": 1e-9}, "lambda_step: 1e-09: .* at most 10000 multipliers"),
    ):
        with pytest.raises(UserError, match=says):
            DualPublished(**grid)


def test_published_estimate_is_the_mean():
    T, grid = np.random.default_rng(0).normal(size=500), np.array([0.1, 1.0, 7.5])
    assert np.allclose(estimate(T, grid), np.maximum(grid[:, None] - np.exp(T), 0).mean(1))


def test_published_procedure_is_close_below_for_a_gaussian():
    draws = votes([60_000, 80_000, 95_000, 99_000], dimension=100)
    draws = Draws.from_counts(draws.estimation.counts // 10, draws.estimation.counts, 100)
    exact = Cohen().certify(draws, Gaussian(0.5), 0.001).radius
    found = DualPublished(draws=40_000).certify(draws, Gaussian(0.5), 0.001)
    assert np.all(found.radius <= exact)
    assert np.all(found.radius[:3] > 0.75 * exact[:3])
    assert not DualPublished.rigorous
