"""Certificates of Cohen, ADRE, STN, PixelDP and MACER: limit cases, oracles, properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from certificate_draws import GAUSSIAN, random_votes, soft_draws
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from rs.errors import UserError
from rs.methods.certificates.cohen import Cohen
from rs.methods.certificates.laplace_l1 import LaplaceL1
from rs.methods.certificates.pixeldp import PixelDP, PixelDPSoft, gaussian_dp_radius, laplace_dp_radius
from rs.methods.certificates.probabilities import gaussian_radius
from rs.methods.certificates.renyi import Renyi, RenyiSound, renyi_radius
from rs.methods.certificates.soft import SoftBernstein, SoftHoeffding
from rs.methods.certificates.tcertify import GRID, TCertify, TCertifySound
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.laplace import Laplace
from rs.statistics import bounds
from rs.statistics.draws import Draws

# --- Cohen ----------------------------------------------------------------------------------------


def test_largest_radii_of_the_published_logs() -> None:
    draws = Draws.from_counts([100, 0], [100_000, 0], 3072)
    assert Cohen().certify(draws, Gaussian(1.0), 0.001).radius[0] == pytest.approx(3.8115, abs=1e-4)
    assert Cohen().certify(draws, Gaussian(1.0), 0.01).radius[0] == pytest.approx(3.9105, abs=1e-4)


def test_randomised_radii_are_never_smaller() -> None:
    draws = random_votes(10, 200, 100)
    plain, lucky = (Cohen(randomised=r).certify(draws, GAUSSIAN, 0.01) for r in (False, True))
    assert np.all(lucky.radius >= plain.radius)
    assert lucky.radius.sum() > plain.radius.sum() * 1.01
    assert np.all(np.isfinite(lucky.radius))


# --- T-CERTIFY ------------------------------------------------------------------------------------


def radius_at(estimation: np.ndarray, alpha: float, share: float) -> float:
    """sigma = 1 radius of Algorithm 2 at one alpha' by bisection of eq. 14 as it is written."""
    n = int(estimation.sum())
    low = float(bounds.clopper_pearson_lower(estimation[0], n, share * alpha))
    high = 1 - low
    if share < 1:

        def excess(p: float) -> float:
            return sum(stats.binom.cdf(c, n, p) for c in estimation[1:]) - (1 - share) * alpha

        high = min(high, optimize.brentq(excess, 0, 1, xtol=1e-15))
    return (stats.norm.ppf(low) - stats.norm.ppf(high)) / 2 if low > 0.5 else 0.0


@pytest.mark.parametrize(
    "estimation",
    [
        [700, 100, 100, 100],
        [700, 290, 5, 5],
        [560, 430, 10, 0],
        [600, *[20] * 20],
        [990, 10, 0, 0],
        [500, 300, 200, 0],
    ],
)
def test_tcertify_is_algorithm_2(estimation: list[int]) -> None:
    draws = Draws.from_counts(estimation, estimation, 10)
    expected = max(radius_at(np.array(estimation), 0.01, g) for g in GRID)
    found = TCertify().certify(draws, Gaussian(1.0), 0.01)
    assert found.radius[0] == pytest.approx(expected, rel=1e-8, abs=1e-12)
    assert found.prediction[0] == (0 if expected > 0 else -1)


def test_tcertify_is_never_below_cohen_and_equals_it_for_two_classes() -> None:
    draws = random_votes(10, 300, 10_000)
    cohen, published = (c.certify(draws, GAUSSIAN, 0.001) for c in (Cohen(), TCertify()))
    assert np.all(published.radius >= cohen.radius)
    assert np.array_equal(published.prediction, cohen.prediction)
    assert published.radius.mean() > 1.01 * cohen.radius.mean()
    two = Draws.from_counts([60, 40], [[900, 100], [600, 400]], 784)
    for certificate in (TCertify(), TCertifySound(alpha_share=1.0)):
        assert np.array_equal(
            certificate.certify(two, GAUSSIAN, 0.001).radius, Cohen().certify(two, GAUSSIAN, 0.001).radius
        )


def test_largest_other_count_beats_equation_14_and_a_fixed_share_beats_the_grid() -> None:
    draws = random_votes(30, 300, 5_000)
    by_sum, by_largest = (TCertify(runner_up=r).certify(draws, GAUSSIAN, 0.01) for r in ("eq14", "largest"))
    assert np.all(by_largest.radius >= by_sum.radius)
    both = TCertifySound(mode="grid"), TCertifySound(alpha_share=10 / 19)
    grid, fixed = (certificate.certify(draws, GAUSSIAN, 0.01) for certificate in both)
    assert np.all(fixed.radius >= grid.radius * (1 - 1e-9))


def test_certifies_below_one_half_where_classes_are_apart() -> None:
    draws = Draws.from_counts([45, 20, 20, 15], [4_500, 2_000, 2_000, 1_500], 784)
    assert Cohen().certify(draws, GAUSSIAN, 0.001).prediction[0] == -1
    assert TCertify().certify(draws, GAUSSIAN, 0.001).prediction[0] == -1  # it asks for more than one half
    for certificate in (TCertifySound(), RenyiSound(), PixelDP()):
        found = certificate.certify(draws, GAUSSIAN, 0.001)
        assert found.prediction[0] == 0
        assert found.radius[0] > 0.05


# --- Renyi ----------------------------------------------------------------------------------------


def test_renyi_has_no_radius_where_the_classes_leave_no_room() -> None:
    """p2 above p1, or a p2 of 0, for which Theorem 2 says nothing."""
    q_1, p_2 = np.array([0.6, 0.2, 0.5, 0.3]), np.array([0.5, 0.0, 0.5, 0.2])
    found = renyi_radius(2.0, q_1, p_2)
    assert found[:3].tolist() == [0.0, 0.0, 0.0]
    assert found[3] == pytest.approx(2 * renyi_radius(1.0, q_1, p_2)[3], rel=1e-12)
    assert found[3] > 0


def test_renyi_bound_is_the_least_divergence_that_changes_the_class() -> None:
    """Lemma 1 against numeric minimisation over distributions Q with q_2 >= q_1."""
    p, order = np.array([0.6, 0.25, 0.1, 0.05]), 3.0
    mean = np.mean(p[:2] ** (1 - order)) ** (1 / (1 - order))
    found = optimize.minimize(
        lambda q: np.log(np.sum(q**order * p ** (1 - order))) / (order - 1),
        np.full(4, 0.25),
        bounds=[(1e-9, 1)] * 4,
        constraints=[
            {"type": "eq", "fun": lambda q: q.sum() - 1},
            {"type": "ineq", "fun": lambda q: q[1] - q[0]},
        ],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found.fun == pytest.approx(-np.log(1 - p[0] - p[1] + 2 * mean), abs=1e-6)


def test_published_renyi_certifies_overlapping_intervals() -> None:
    tie = Draws.from_counts([50, 50], [51, 49], 784)
    published = Renyi().certify(tie, GAUSSIAN, 0.05)
    assert published.prediction[0] == 0
    assert published.radius[0] > 0.05
    assert Renyi(abstain_on_overlap=True).certify(tie, GAUSSIAN, 0.05).prediction[0] == -1
    assert RenyiSound().certify(tie, GAUSSIAN, 0.05).prediction[0] == -1
    pooled = Draws.from_counts([0, 100], [60, 40], 784)
    assert Renyi(sample="pooled").certify(pooled, GAUSSIAN, 0.05).prediction[0] == 1


probabilities = st.tuples(st.floats(1e-12, 0.5), st.floats(1e-6, 1.0))


@given(st.lists(probabilities, min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_renyi_and_pixeldp_never_exceed_the_bilateral_radius(pairs: list[tuple[float, float]]) -> None:
    p_b = np.array([p for p, _ in pairs])
    q_a = p_b + (1 - 2 * p_b) * np.array([share for _, share in pairs]) * 0.999  # p_B <= q_A < 1 - p_B
    with np.errstate(divide="ignore"):
        tight = -(stats.norm.ppf(q_a) + stats.norm.ppf(p_b)) / 2
    assert np.all(gaussian_radius(1.0, q_a, p_b) <= tight)
    assert np.all(renyi_radius(1.0, q_a, p_b) <= tight + 1e-12)
    assert np.all(gaussian_dp_radius(1.0, q_a, p_b) <= tight + 1e-12)


# --- Laplace --------------------------------------------------------------------------------------


def worst_case(p: float, shift: float, sign: int) -> float:
    """Least (sign 1) or largest (-1) probability, after a shift of scale-1 Laplace noise, of a set of size p.

    The best set takes points by likelihood ratio, whose law under the noise lies on a fine grid of quantiles.
    """
    z = torch.tensor(stats.laplace.ppf((np.arange(400_000) + 0.5) / 400_000))[:, None]
    ratio = Laplace(1.0).log_ratio(z, torch.tensor([shift], dtype=torch.float64)).exp().numpy()
    chosen = np.sort(ratio)[::sign][: round(p * len(ratio))]
    return float(chosen.mean() * p)


@pytest.mark.parametrize("p_a", [0.55, 0.8, 0.99])
def test_laplace_l1_is_tight_for_two_classes(p_a: float) -> None:
    radius = -np.log(2 * (1 - p_a))
    assert worst_case(p_a, radius, 1) == pytest.approx(0.5, abs=1e-4)
    n = 10**12
    draws = Draws.from_counts([90, 10], [round(p_a * n), n - round(p_a * n)], 784)
    for certificate in (LaplaceL1(alpha_share=1.0), LaplaceL1()):
        assert certificate.certify(draws, Laplace(2.0), 0.001).radius[0] == pytest.approx(
            2 * radius, rel=1e-3
        )


@pytest.mark.slow
@given(st.floats(0.3, 0.98), st.floats(0.01, 0.99))
@settings(max_examples=15, deadline=None)
def test_laplace_radii_hold_for_the_worst_classifier(p_a: float, part: float) -> None:
    p_b = part * min(p_a, 1 - p_a) * 0.98
    radii = -np.log(1 - p_a + p_b), laplace_dp_radius(1.0, np.array([1 - p_a]), np.array([p_b]))[0]
    for radius in radii:
        assert worst_case(p_a, radius, 1) >= worst_case(p_b, radius, -1) - 1e-3


# --- PixelDP --------------------------------------------------------------------------------------


def test_gaussian_mechanism_is_private_where_it_is_used() -> None:
    eps, delta = np.meshgrid(np.linspace(0.001, 1, 60), np.geomspace(1e-12, 0.4, 60))
    shift = eps / np.sqrt(2 * np.log(1.25 / delta))
    exact = stats.norm.cdf(shift / 2 - eps / shift) - np.exp(eps) * stats.norm.cdf(-shift / 2 - eps / shift)
    assert np.all(exact <= delta)


@pytest.mark.parametrize(("q_a", "p_b"), [(0.1, 0.1), (0.3, 0.05), (0.001, 0.0005), (0.45, 0.44)])
def test_pixeldp_is_the_best_of_a_fine_grid(q_a: float, p_b: float) -> None:
    eps, delta = np.meshgrid(np.geomspace(1e-4, 1, 3_000), np.geomspace(1e-6, 0.4, 1_000))
    allowed = 1 - q_a > np.exp(2 * eps) * p_b + (1 + np.exp(eps)) * delta
    best = np.max(np.where(allowed, eps / np.sqrt(2 * np.log(1.25 / delta)), 0))
    found = gaussian_dp_radius(1.0, np.array([q_a]), np.array([p_b]))[0]
    assert best * (1 - 1e-9) <= found <= best * 1.02


# --- soft -----------------------------------------------------------------------------------------


def test_soft_certificates_are_algorithm_2() -> None:
    n, alpha = 5_000, 0.001
    scores = np.random.default_rng(0).beta(8, 1.5, n)
    sums = np.array([[scores.sum(), (1 - scores).sum(), 0.0]])
    squares = np.array([[(scores**2).sum(), ((1 - scores) ** 2).sum(), 0.0]])
    draws = soft_draws(np.array([[9.0, 1.0, 0.0]]), sums, squares, n)
    hoeffding = scores.mean() - np.sqrt(-np.log(alpha) / (2 * n))
    log_term = np.log(2 / alpha)
    bernstein = scores.mean() - np.sqrt(2 * scores.var(ddof=1) * log_term / n) - 7 * log_term / (3 * (n - 1))
    for certificate, lower in ((SoftHoeffding(), hoeffding), (SoftBernstein(), bernstein)):
        found = certificate.certify(draws, GAUSSIAN, alpha)
        assert found.prediction[0] == 0
        assert found.radius[0] == pytest.approx(0.5 * stats.norm.ppf(lower), rel=1e-8)
    # with three classes whose rest is split, a bound of its own for z_B certifies more
    even = soft_draws(
        np.array([[8.0, 1.0, 1.0]]), np.array([[0.8, 0.1, 0.1]]) * n, np.array([[0.66, 0.02, 0.02]]) * n, n
    )
    one, two = (SoftBernstein(alpha_share=s).certify(even, GAUSSIAN, alpha).radius[0] for s in (1.0, 0.5))
    assert two > one
    tied = soft_draws(np.array([[6.0, 4.0]]), np.array([[0.5, 0.5]]) * n, np.array([[0.3, 0.3]]) * n, n)
    for certificate in (SoftHoeffding(), SoftBernstein()):
        assert certificate.certify(tied, GAUSSIAN, alpha).prediction[0] == -1


def test_soft_certificates_name_what_they_lack() -> None:
    draws = soft_draws(np.ones((1, 2)), np.array([[9.0, 1.0]]), np.array([[9.0, 1.0]]), 10)
    for kind in (SoftHoeffding, SoftBernstein, PixelDPSoft):
        with pytest.raises(UserError, match="beta = 16: the draws hold no softmax moments at it; stored: 1"):
            kind(beta=16.0).certify(draws, GAUSSIAN, 0.01)
    with pytest.raises(UserError, match="stored: none"):
        SoftBernstein().certify(random_votes(3, 2, 100), GAUSSIAN, 0.01)
    unnormalised = soft_draws(np.ones((1, 2)), np.array([[9.0, 3.0]]), np.array([[9.0, 3.0]]), 10)
    with pytest.raises(UserError, match="do not sum to 1"):
        SoftBernstein().certify(unnormalised, GAUSSIAN, 0.01)
