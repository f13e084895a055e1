"""The Monte Carlo oracle against the closed forms that are known."""

import math

import numpy as np
import pytest
import torch
from scipy import special

from rs.errors import UserError
from rs.methods.certificates import neyman_pearson
from rs.methods.certificates.cohen import Cohen
from rs.methods.certificates.laplace_l1 import LaplaceL1
from rs.methods.certificates.neyman_pearson import NeymanPearson, likelihood_ratios, required_probability
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.laplace import Laplace
from rs.methods.noise.none import NoNoise
from rs.methods.noise.uniform import Uniform
from rs.statistics.draws import Draws

N = 50_000
RADII = np.array([0.1, 0.4, 0.9])


def needed(noise, norm, d=3):
    return required_probability(
        *likelihood_ratios(noise, norm, d, RADII.tolist(), N, torch.Generator().manual_seed(0))
    )


def test_gaussian_needs_the_normal_probability():
    assert np.abs(needed(Gaussian(0.5), 2.0) - special.ndtr(RADII / 0.5)).max() < 0.01
    at_vertex = needed(Gaussian(0.5), math.inf)
    assert np.abs(at_vertex - special.ndtr(RADII * math.sqrt(3) / 0.5)).max() < 0.01


def test_laplace_needs_the_published_probability():
    # radius -scale log(2 (1 - p)); the ratio has atoms at both ends, which the randomised threshold splits
    assert np.abs(needed(Laplace(0.7), 1.0) - (1 - np.exp(-RADII / 0.7) / 2)).max() < 0.01


def test_uniform_needs_the_lost_overlap():
    # radius 2 width (p - 1/2) for a shift along an axis
    assert np.abs(needed(Uniform(1.0), 1.0) - (0.5 + RADII / 2)).max() < 0.01


def test_radii_are_near_the_closed_forms():
    draws = Draws.from_counts(
        np.tile([90, 10], (3, 1)), [[50_000, 50_000], [70_000, 30_000], [95_000, 5000]], 4
    )
    oracle = NeymanPearson(draws=20_000, radii=100)
    for noise, certificate in ((Gaussian(0.5), Cohen()), (Laplace(0.5), LaplaceL1(alpha_share=1.0))):
        exact = certificate.certify(draws, noise, 0.001)
        found = oracle.certify(draws, noise, 0.001)
        assert np.array_equal(found.prediction, exact.prediction)
        assert np.allclose(found.radius, exact.radius, rtol=0.06, atol=0.03)
        assert found.radius[0] == 0
    assert not NeymanPearson.rigorous


def test_refuses_noise_without_a_density():
    with pytest.raises(UserError, match="no theorem for noise none"):
        NeymanPearson().certify(Draws.from_counts([1, 0], [9, 1], 4), NoNoise(), 0.001)


def test_the_threshold_is_randomised_by_hand():
    """Half of T1 is wanted: a quarter lies below 1, a third of the rest at 1; so it is of T0."""
    found = required_probability(np.array([[0.0, 0, 1, 1]]), np.array([[0.0, 1, 1, 1]]))
    assert found[0] == pytest.approx(1 / 2 + 1 / 3 * 1 / 2)


def test_draws_come_in_pieces(monkeypatch):
    monkeypatch.setattr(neyman_pearson, "_CHUNK", 3 * 20_000)
    assert np.abs(needed(Gaussian(0.5), 2.0) - special.ndtr(RADII / 0.5)).max() < 0.01


def test_radii_rest_on_as_many_draws_of_the_seed_as_are_set(monkeypatch):
    made, plain = [], neyman_pearson.likelihood_ratios

    def noted(noise, norm, d, radii, draws, generator):
        made.append((len(radii), draws, generator.initial_seed()))
        return plain(noise, norm, d, radii, draws, generator)

    monkeypatch.setattr(neyman_pearson, "likelihood_ratios", noted)
    votes = Draws.from_counts([90, 10], [950, 50], 4)
    NeymanPearson(draws=700, radii=6, seed=5).certify(votes, Gaussian(0.5), 0.001)
    assert made[-1] == (6, 700, 5)
    assert {seed for _, _, seed in made} == {5}


def test_radii_lie_on_the_grid_from_0_on():
    votes = [[500_500_000_000, 499_500_000_000], [10**12, 0]]  # p_A just above 1/2, and near 1
    draws = Draws.from_counts(np.tile([90, 10], (2, 1)), votes, 4)
    found = NeymanPearson(draws=2_000, radii=4).certify(draws, Gaussian(0.5), 0.001)
    assert found.prediction.tolist() == [0, 0]
    assert found.radius[0] == 0
    assert found.radius[1] == 1.5  # of 0.5, 1, 1.5 and 2: at 2, four sigmas, no draw supports a claim
