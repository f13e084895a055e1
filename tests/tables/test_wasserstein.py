"""The distributional certificate against exact values of a network whose smoothed loss is an integral."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats
from torch import nn

from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.none import NoNoise
from rs.settings.distributional import Distributional
from rs.stages.distributional import Adversary
from rs.tables import distributional as wasserstein
from rs.tables import distributional_observations, worst_cases
from rs.tables import distributional_proofs as wasserstein_proofs

SIGMA, SLOPE, IMAGES = 0.5, 6.0, 400
SETTING = {"gammas": (0.5, 1.0, 2.0, 4.0, 8.0), "samples": 16, "steps": 12, "estimates": 256}
NODES, WEIGHTS = special.roots_hermitenorm(101)
WEIGHTS /= WEIGHTS.sum()


class Linear(nn.Module):
    """1 - softmax_0 is a logistic function of the mean of the coordinates, over their standard deviation."""

    def forward(self, x):
        along = SLOPE * x.flatten(1).sum(1) / math.sqrt(x[0].numel())
        return torch.stack([torch.zeros_like(along), along], 1)


PLACES = np.linspace(-6, 6, 6001)
VALUES = special.expit(SLOPE * (PLACES[:, None] + SIGMA * NODES)) @ WEIGHTS


def smoothed_loss(along):
    """E of the error probability where the image lies `along` the one direction that matters."""
    return np.interp(along, PLACES, VALUES)


def exact(along, gamma):
    """phi_gamma: a search in one dimension."""
    ends = np.linspace(0, 1 / math.sqrt(gamma), 2001)
    return (smoothed_loss(along[:, None] + ends) - gamma * ends**2).max(1)


@pytest.fixture(scope="module")
def points():
    """Observations of `IMAGES` images of 4 coordinates, and where they lie along the direction."""
    x = torch.rand(IMAGES, 1, 2, 2, generator=torch.Generator().manual_seed(3)) - 0.9
    settings = Distributional(loss="error_probability", **SETTING)
    adversary = Adversary(
        Linear(), Gaussian(SIGMA), settings, x, torch.zeros(IMAGES, dtype=int), range(IMAGES)
    )
    rows = adversary.rows("base", NoNoise()) + adversary.rows("smoothed", Gaussian(SIGMA))
    return distributional_observations.observed(pd.DataFrame(rows)), (x.sum((1, 2, 3)) / 2).double().numpy()


def setting(rhos=(0.0, 0.05, 0.2), **changes):
    given = {"bound": 1.0, "sigma": SIGMA, "dimension": 4, "estimates": 256, "alpha": 0.001}
    return distributional_observations.Setting(
        **{**given, "gammas": SETTING["gammas"], "rhos": rhos, **changes}
    )


def claims(points, *args, **changes):
    return pd.DataFrame(wasserstein.certificates(points, setting(*args, **changes)))


def test_every_bound_is_above_the_exact_one_and_the_estimate_is_at_it(points):
    found, along = points
    table = claims(found).pivot(index="rho", columns="certificate", values="loss")
    for rho, row in table.iterrows():
        true = min(gamma * rho + exact(along, gamma).mean() for gamma in SETTING["gammas"])
        assert row["nal"] == pytest.approx(true, abs=0.01)
        for proven in ("nal_gap", "neyman_pearson"):
            assert true <= row[proven] <= true + 0.35


def test_a_proven_gap_closes_with_more_images_and_noises(points):
    found, _ = points
    product = found["smoothed"].gradient_product[:, 3]
    bounds = [
        wasserstein_proofs.gradient_upper(np.tile(product, more), setting(estimates=256 * more), 1e-4)
        for more in (1, 10, 100)
    ]
    assert bounds[0] > bounds[1] > bounds[2] > product.mean()


def test_a_proven_gap_counts_the_noise_of_every_coordinate():
    """Gradients of squared norm Q in d = 10,000 coordinates: their products scatter by sqrt(2 v Q + d v^2),
    so that a bound without d lies below Q far more often than alpha.
    """
    draw, d, n, alpha = np.random.default_rng(0), 10_000, 20, 0.3
    settings = setting(dimension=d, bound=2.0, sigma=1.0, estimates=2)
    v, q = 1.0, 10.0  # M^2 / (4 sigma^2 n)
    products = q + math.sqrt(2 * v * q + d * v * v) * draw.standard_normal((2000, n))
    bounds = np.array([wasserstein_proofs.gradient_upper(row, settings, alpha) for row in products])
    assert (bounds < q).mean() < alpha
    k = (1 / alpha - 1) / n
    for row, bound in zip(products[:50], bounds[:50], strict=True):
        apart = (bound - row.mean()) ** 2
        assert bound == 0 or apart == pytest.approx(k * (2 * v * bound + d * v * v), rel=1e-9)


def test_the_product_of_two_gradients_estimates_the_squared_norm(points):
    found, along = points
    smoothed = found["smoothed"]
    i = smoothed.at(2.0)
    # the score's own derivative, by quadrature, where the ascent ended: all movement is along the direction
    end = along + np.sqrt(smoothed.squared_distance[:, i])
    slope = smoothed_loss(end + 0.01) - smoothed_loss(end - 0.01)
    norm = slope / 0.02 - 2 * 2.0 * (end - along)
    product = smoothed.gradient_product[:, i]
    error = product.std() / math.sqrt(IMAGES)
    assert abs(product.mean() - (norm**2).mean()) < 4 * error
    upper = wasserstein_proofs.gradient_upper(product, setting(), 1e-3)
    assert (norm**2).mean() < upper < 0.1


def test_ascents_meet_the_certificate(points):
    """Where the inner problem is concave the ends of the ascents lie on the bound: it is tight there."""
    found, _ = points
    worst = pd.DataFrame(worst_cases.ends(found, SETTING["gammas"], 256))
    mine = worst[worst["adversary"] == "smoothed"].sort_values("rho")
    table = claims(found, tuple(mine["rho"])).query("certificate == 'nal'").sort_values("rho")
    assert np.abs(table["loss"].to_numpy() - mine["loss"].to_numpy()).max() < 0.01
    assert (table["own_point"] <= table["loss"] + 1e-12).all()
    assert (mine["refused"] == 0).all()


def test_theorem_3_holds_and_at_the_same_movement_does_not(points):
    found, _ = points
    table = claims(found).pivot(index="rho", columns="certificate", values="loss")
    assert (table["nal"] <= table["sinha_theorem_3"] + 1e-12).all()
    assert table.loc[0.0, "nal"] > table.loc[0.0, "sinha"]  # noise raises a small loss


def test_theorem_1_is_false_where_noise_and_image_are_coupled():
    """P_0 on {-a, a}, P at 0, l = 1: the bound of eq. (3) at rho = W_c(S, P_0) is below the loss."""
    a = SIGMA * math.sqrt(2 / math.pi)
    z = SIGMA * NODES
    cost = ((np.abs(z) - a) ** 2) @ WEIGHTS  # of sending z to the point of its sign
    assert cost == pytest.approx(SIGMA**2 * (1 - 2 / math.pi), rel=0.05)  # a kink at 0
    for gamma in (0.5, 1.5):
        surrogate = 1 - gamma * SIGMA**2  # sup over x of E[l - gamma |x + z - x_0|^2], at x = x_0
        assert gamma * cost + surrogate < 1


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), st.floats(-3, 3))
def test_no_loss_is_less_smooth_than_the_constant(levels, at):
    edges = np.concatenate([[-np.inf], np.linspace(-3, 3, 7), [np.inf]])
    inside = np.diff([0.0 if math.isinf(e) else (e - at) * stats.norm.pdf(e - at) for e in edges])
    curvature = -np.dot(levels, inside)  # E[l (w^2 - 1)], from the antiderivative -w pdf(w)
    assert abs(curvature) <= wasserstein_proofs.smoothness(1.0, 1.0) + 1e-12


def test_the_smoothness_constant_is_attained():
    beyond = 2 * stats.norm.pdf(1)  # l = 1 outside of [-1, 1]
    assert wasserstein_proofs.smoothness(3.0, 0.5) == pytest.approx(3 * beyond / 0.25)
    assert wasserstein_proofs.smoothness(1.0, 0.0) == wasserstein_proofs.smoothness(math.inf, 1.0) == math.inf


@pytest.mark.parametrize("price", [0.01, 0.2, 3.0])
def test_neyman_pearson_is_the_concave_envelope(price):
    """Against a linear program over shares of images at q moved by t, whose mean is p."""
    q = special.ndtr(np.linspace(-5, 5, 161))
    t = np.linspace(0, 1 / math.sqrt(price), 200)
    h = (special.ndtr(special.ndtri(q)[:, None] + t) - price * t * t).max(1)
    for p in (0.01, 0.1, 0.5, 0.9):
        solved = optimize.linprog(-h, A_eq=[np.ones_like(q), q], b_eq=[1, p])
        bound = wasserstein_proofs.neyman_pearson(p, price)
        assert -solved.fun <= bound <= -solved.fun + 0.01
    assert wasserstein_proofs.neyman_pearson(1.0, price) == 1
    assert wasserstein_proofs.neyman_pearson(0.3, 1e6) == pytest.approx(0.3, abs=0.002)
    assert wasserstein_proofs.neyman_pearson(0.3, 1e-7) > 0.99
    assert wasserstein_proofs.neyman_pearson(0.3, 1e-300) == wasserstein_proofs.neyman_pearson(0.3, 0.0) == 1


def test_an_unbounded_loss_proves_nothing(points):
    found, _ = points
    table = claims(found, bound=math.inf)
    assert set(table["certificate"]) == {"nal", "sinha", "sinha_theorem_3"}
    assert not table["rigorous"].any()
    assert not table["concave"].any()
    bounded = claims(found)
    assert bounded.groupby("certificate")["rigorous"].all().to_dict() == {
        "nal": False,
        "sinha": False,
        "sinha_theorem_3": False,
        "nal_gap": True,
        "neyman_pearson": True,
    }
    assert (bounded["gamma_concave"] == wasserstein_proofs.smoothness(1.0, SIGMA) / 2).all()
    assert (bounded["rho_with_noise"] - bounded["rho"]).to_numpy() == pytest.approx(4 * SIGMA**2)
    assert claims(found, (1e6,))["loss"].max() == 1  # gamma = 0: the bound of the loss itself


@pytest.mark.parametrize("sigma", [0.0, 1e-300, 1e-10])
def test_noise_that_is_next_to_none_proves_nothing_but_the_bound_itself(points, sigma):
    found, _ = points
    table = claims(found, sigma=sigma)
    assert not table["concave"].any()
    assert (table["gamma_concave"] > 1e15).all()
    proven = table[table["rigorous"]]
    assert (proven["loss"] == 1).all()
    assert (proven["gamma"] == 0).all()


def test_intervals_hold_the_noise_and_the_images(points):
    found, _ = points
    row = claims(found, (0.05,)).set_index("certificate").loc["nal"]
    values = found["smoothed"].surrogate(row["gamma"])
    half = stats.t.ppf(0.975, IMAGES - 1) * values.std(ddof=1) / math.sqrt(IMAGES)
    assert row["high"] - row["loss"] == pytest.approx(half)
    assert 0 < row["noise_error"] < half / 2
