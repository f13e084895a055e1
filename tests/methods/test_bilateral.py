"""The bilateral certificate: the Gaussian closed form, its reduction to the dual, a Monte Carlo oracle."""

import mpmath as mp
import numpy as np
import pytest
import torch
from exact_radii import kinks
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from rs.methods.certificates.bilateral import Bilateral, exact_radius
from rs.methods.certificates.divergence_table import sampled_table
from rs.methods.certificates.dual import Dual
from rs.methods.certificates.radius_table import radius_table
from rs.methods.certificates.ratio_laws import SphericalLaw, SupNormLaw
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.mixed_norm import MixedNorm
from rs.methods.noise.spherical import Spherical
from rs.methods.noise.sup_norm import SupNorm
from rs.statistics.bounds import clopper_pearson_lower, largest_upper
from rs.statistics.draws import Draws

SPHERICAL, SUP = SphericalLaw(5, 2.5), SupNormLaw(5, 3.0)
LOSS = {SphericalLaw: 3e-5, SupNormLaw: 0.03}
Q_A = np.array([0.45, 0.45, 0.3, 0.1, 0.01, 1e-6, 0.6])
P_B = np.array([0.45, 0.1, 0.05, 1e-3, 0.01, 1e-6, 0.2])


def draws(*counts, dimension=5):
    return Draws.from_counts([9, 1, 0, 0], np.array(counts), dimension)


def test_gaussian_closed_form():
    counts = [[6000, 2500, 1000, 500], [4500, 2500, 2000, 1000], [9990, 4, 3, 3]]
    found = Bilateral().certify(draws(*counts), Gaussian(0.5), 0.01)
    p_a = clopper_pearson_lower(np.array(counts)[:, 0], 10_000, 0.005)
    p_b = np.minimum(1 - p_a, largest_upper(np.array(counts)[:, 1:], 10_000, 0.005))
    assert np.allclose(found.radius, 0.25 * (special.ndtri(p_a) - special.ndtri(p_b)), rtol=1e-9)
    assert np.all(found.radius > 0)
    # p_A below one half can be certified, where the dual abstains
    assert np.array_equal(found.prediction, [0, 0, 0])
    assert Dual().certify(draws(*counts), Gaussian(0.5), 0.01).prediction[1] == -1


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 784])
def test_no_exponent_equals_the_gaussian(d):
    exact = -(special.ndtri(Q_A) + special.ndtri(P_B)) / 2
    found = exact_radius(SphericalLaw(d, 0.0), Q_A, P_B)
    assert np.all(found <= exact * (1 + 1e-12))
    assert np.allclose(found, exact, rtol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("law", [SPHERICAL, SUP])
def test_two_classes_give_the_dual(law):
    q = np.array([0.45, 0.2, 0.05, 1e-3, 1e-7])
    dual = radius_table(law).radius(q)
    found = exact_radius(law, q, q)
    assert np.all(found <= dual * (1 + 3 * radius_table(law).margin))
    # what bilateral may lose to unfavourable lambdas
    assert np.allclose(found, dual, rtol=LOSS[type(law)])
    # a smaller runner-up only helps
    assert np.all(exact_radius(law, q, q / 3) > found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Spherical, SupNorm])
def test_worst_classes_meet_at_the_radius(kind):
    """Plain Monte Carlo: the worst regions A and B of the bound are equally probable after the shift."""
    law = SPHERICAL if kind is Spherical else SUP
    noise, q_a, p_b = kind(1.0, law.k), 0.4, 0.15
    r = float(exact_radius(law, np.array([q_a]), np.array([p_b]))[0])
    delta = torch.zeros(5).double()
    delta[: 5 if kind is SupNorm else 1] = r
    z = noise.sample((100_000, 1, 1, 5), torch.Generator().manual_seed(0)).flatten(1).double()
    before, after = noise.log_ratio(z, delta).numpy(), noise.log_ratio(z + delta, delta).numpy()
    a = np.mean(after <= np.quantile(before, 1 - q_a))
    b = np.mean(after > np.quantile(before, 1 - p_b))
    assert abs(a - b) < 0.012


def survival(r, t):
    """P(T > t) under SPHERICAL in mpmath; in five dimensions a cosine has the density 3 (1 - c^2) / 4."""
    k, freedom = mp.mpf(SPHERICAL.k), mp.mpf(SPHERICAL.d - SPHERICAL.k)
    norm = (freedom / 2 - 1) * mp.log(2) + mp.loggamma(freedom / 2)

    def integrand(R):
        after = k * mp.lambertw(mp.exp((R * R - 2 * t) / k) * R * R / k).real  # |z - delta|^2 where T = t
        c = min(1, max(-1, (r * r + R * R - after) / (2 * r * R)))
        return (mp.mpf(2) - 3 * c + c**3) / 4 * mp.exp((freedom - 1) * mp.log(R) - R * R / 2 - norm)

    def touch(sign):
        return lambda R: -k * mp.log(abs(1 - sign * r / R)) + sign * r * R - r * r / 2 - t

    grid = [mp.mpf(x) / 8 for x in range(1, 96)]
    ends = [mp.mpf("1e-8"), 0.5, 1.5, 3, 6, 12, *kinks([touch(1), touch(-1)], grid, r)]
    return mp.quad(integrand, sorted(ends), maxdegree=5)


@pytest.mark.slow
@pytest.mark.parametrize(("q_a", "p_b"), [(0.4, 0.15), (0.55, 0.1)])
def test_radius_is_never_above_mpmath(q_a, p_b):
    """Two regions, no less probable than q_a and p_b, stay below 1 together after the shift, and barely."""
    r = float(exact_radius(SPHERICAL, np.array([q_a]), np.array([p_b]))[0])

    def excess(t, q):
        return float(SPHERICAL.distribution(np.array([r]), np.array([t]))[1][0]) - q

    together = 0
    for q in (q_a, p_b):
        # only a guess: what the region {T > t} has before and after the shift is mpmath's
        guess = optimize.brentq(excess, -20, 20, args=(q * (1 + 1e-9),))
        with mp.workdps(18):
            t = mp.mpf(guess)
            assert 0 <= survival(mp.mpf(r), t) - q < 1e-8
            together += 1 - survival(mp.mpf(r), -t)
    assert 1 - 1e-4 < together <= 1


@pytest.mark.slow
@pytest.mark.parametrize("law", [SPHERICAL, SUP])
def test_sampled_table_is_below_the_exact_radius(law):
    exact = exact_radius(law, Q_A, P_B)
    found = sampled_table(law, 10_000, 0, 1e-3).bilateral(Q_A, P_B)
    assert np.all(found <= exact * (1 + 1e-6))
    assert np.all(found[1:4] > 0.6 * exact[1:4])


@pytest.mark.slow
@pytest.mark.parametrize("p", [(0.55, 0.25, 0.15, 0.05), (0.4, 0.2, 0.2, 0.2)])
def test_wrong_claims_are_rarer_than_alpha(p):
    alpha, n, images = 0.1, 300, 1000
    rng = np.random.default_rng(0)
    votes = Draws.from_counts(rng.multinomial(20, p, images), rng.multinomial(n, p, images), 5)
    true = np.array([1 - p[0]]), np.array([p[1]])
    for noise in (Gaussian(1.0), Spherical(1.0, 2.5)):
        law = SphericalLaw(5, 0.0 if isinstance(noise, Gaussian) else 2.5)
        for certificate, exact in (
            (Bilateral(), exact_radius(law, *true)[0]),
            (Dual(), radius_table(law).radius(true[0])[0]),
        ):
            found = certificate.certify(votes, noise, alpha)
            # the smoothed class is 0; any other prediction claims something false
            wrong = (found.prediction > 0) | ((found.prediction == 0) & (found.radius > exact * (1 + 1e-4)))
            assert wrong.mean() < alpha + 3 * np.sqrt(alpha * (1 - alpha) / images)
            assert certificate.rigorous


NOISES = [Gaussian(0.5), Spherical(0.5, 2.5), SupNorm(0.5, 3.0), MixedNorm(0.5, 2.0)]


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    shares=st.lists(st.integers(0, 1000), min_size=3, max_size=3),
    top=st.integers(1, 3000),
    alpha=st.floats(1e-5, 0.1),
)
def test_monotone_in_counts_and_alpha(noise, shares, top, alpha):
    certificate = Bilateral(table_draws=2000)
    # one vote moves from the runner-up to class 0
    first = np.array([top, *shares])
    second = first.copy()
    if second[1:].max() > 0:
        runner = 1 + second[1:].argmax()
        second[[0, runner]] += [1, -1]
    found = certificate.certify(draws(first, second), noise, alpha)
    # verified guesses differ by what they lose; closed form and sampled table are exactly monotone
    loss = {Spherical: LOSS[SphericalLaw], SupNorm: LOSS[SupNormLaw]}.get(type(noise), 0.0)
    assert found.radius[0] <= found.radius[1] * (1 + loss)
    assert np.all(found.radius[found.prediction < 0] == 0)
    looser = certificate.certify(draws(first, second), noise, min(4 * alpha, 0.5))
    assert np.all(found.radius <= looser.radius * (1 + loss))


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES[1:])
def test_radii_scale_with_sigma(noise):
    certificate, votes = Bilateral(table_draws=2000), draws([6000, 2500, 1000, 500], [9990, 4, 3, 3])
    one = certificate.certify(votes, noise, 0.001).radius
    four = certificate.certify(votes, type(noise)(2.0, noise.k), 0.001).radius
    assert np.allclose(4 * one, four, rtol=1e-12)
    assert np.all(one > 0)
