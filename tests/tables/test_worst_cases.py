"""Adversaries that no bound has seen: their mixtures, the checks that they may fail, ascents that diverge."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import optimize

from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.none import NoNoise
from rs.settings.distributional import Distributional
from rs.stages.distributional import Adversary
from rs.tables import bound_checks, distributional_observations, worst_cases
from rs.tables import distributional as wasserstein
from rs.tables.distributional_observations import Independent, Observed, Setting
from rs.tables.worst_cases import mixture

SIGMA, IMAGES = 0.3, 60


class Plateau(torch.nn.Module):
    """Sure far below 0, wrong above: from where it is sure there is hardly a gradient."""

    def forward(self, x):
        along = 12.0 * x.flatten(1).sum(1) / math.sqrt(x[0].numel())
        return torch.stack([torch.zeros_like(along), along], 1)


def observe(start=-1.6, **changes):
    """Rows of all adversaries of images that lie around `start` along the one direction that matters."""
    given = {"gammas": (0.05, 0.1, 0.2, 0.4), "samples": 8, "steps": 10, "estimates": 64}
    settings = Distributional(loss="error_probability", **{**given, **changes})
    x = start / 2 + 0.1 * torch.randn(IMAGES, 1, 2, 2, generator=torch.Generator().manual_seed(5))
    seen = Adversary(Plateau(), Gaussian(SIGMA), settings, x, torch.zeros(IMAGES, dtype=int), range(IMAGES))
    rows = seen.rows("smoothed", Gaussian(SIGMA)) + seen.independent("smoothed", Gaussian(SIGMA))
    return pd.DataFrame(rows + seen.rows("base", NoNoise()) + seen.independent("base", NoNoise()))


def derived(frame, rhos=(0.0, 0.5, 1.0, 2.0), gammas=(0.05, 0.1, 0.2, 0.4), **changes):
    found, settings = (
        distributional_observations.observed(frame),
        {"bound": 1.0, "sigma": SIGMA, "dimension": 4},
    )
    settings |= {"estimates": 64, "alpha": 0.001, "gammas": gammas, "rhos": rhos, **changes}
    claims = list(wasserstein.certificates(found, Setting(**settings)))
    mixed = list(worst_cases.mixtures(distributional_observations.independent(frame), rhos, 64))
    return claims, mixed, {r["certificate"]: r for r in bound_checks.checks(claims, mixed)}


@pytest.mark.parametrize(("bound", "cut"), [(1.0, True), (0.5, False)])
def test_a_mean_loss_ends_at_the_bound_of_losses_that_stay_within_it(bound, cut):
    loss = np.array([[0.0], [1.0], [1.0]])
    points = Independent(np.ones((3, 1)), loss, loss**2, loss)
    (row,) = worst_cases.mixtures({"smoothed": points}, [2.0], 64, bound)
    assert row["loss"] == pytest.approx(2 / 3)
    assert (row["high"] == 1.0) == cut
    assert row["high"] == pytest.approx(min(2 / 3 + 4.3026528 / 3, 1.0 if cut else np.inf))
    assert row["low"] == 0
    (row,) = worst_cases.mixtures({"smoothed": replace(points, squared_distance=3 * loss[::-1])}, [2.5], 64)
    assert (row["rho"], row["rho_low"], row["rho_high"]) == (2, 0, pytest.approx(2 + 4.3026528))


def test_pgd_refutes_an_estimate_whose_ascent_found_nothing_but_no_proof():
    """The ascent stays on the plateau; PGD, whose steps have unit length, leaves it."""
    _, mixed, checks = derived(observe())
    assert checks["nal"]["verdict"] == "fails"
    assert checks["nal"]["excess"] > 0.1
    assert not checks["nal"]["rigorous"]
    assert checks["neyman_pearson"]["verdict"] == "holds"
    assert checks["neyman_pearson"]["rigorous"]
    assert max(row["loss"] for row in mixed) > 0.5


def test_an_estimate_that_is_at_the_supremum_holds():
    concave = (3.0, 6.0, 12.0)  # beyond 2.7
    frame = observe(start=-0.2, gammas=concave, attack_radii=(0.1, 0.2, 0.4, 0.8))
    _, _, checks = derived(frame, (0.0, 0.01, 0.05, 0.1), concave)
    held = {name for name, row in checks.items() if row["verdict"] == "holds"}
    assert {
        "nal",
        "nal_gap",
        "sinha_theorem_3",
        "neyman_pearson",
    } <= held  # the base classifier is not concave


def test_no_surrogate_sees_a_point_of_the_independent_adversary():
    frame = observe()
    alone = frame[~frame["adversary"].str.startswith("pgd_")]
    assert derived(alone)[0] == derived(frame)[0]
    assert derived(alone)[1:] == ([], {})
    assert derived(alone.drop(columns=["radius", "chosen_loss"]))[1] == []  # a file of before


def test_a_proven_bound_that_is_too_low_fails():
    frame = observe(start=-0.2)
    claims, mixed, _ = derived(frame)
    low = [{**row, "loss": row["loss"] - 0.3} for row in claims if row["rigorous"]]
    assert all(row["verdict"] == "fails" for row in bound_checks.checks(low, mixed))


def random_points(images=6, radii=4, seed=0):
    draw = np.random.default_rng(seed)
    distance = np.concatenate([np.zeros((images, 1)), draw.uniform(0, 2, (images, radii))], 1)
    loss = draw.uniform(0, 1, distance.shape)
    return Independent(distance, loss, loss**2, loss)


@pytest.mark.parametrize("seed", range(4))
def test_a_mixture_is_the_best_there_is(seed):
    """Against a linear program over all weights."""
    points = random_points(seed=seed)
    n, m = points.loss.shape
    for rho in (1e-3, 0.1, 0.4, 3.0):
        weights = mixture(points, rho)
        assert np.allclose(weights.sum(1), 1)
        assert (weights >= 0).all()
        assert (weights * points.squared_distance).sum(1).mean() <= rho * (1 + 1e-6) + 1e-9
        equal = np.kron(np.eye(n), np.ones(m))
        best = optimize.linprog(
            -points.loss.ravel(),
            A_ub=points.squared_distance.reshape(1, -1),
            b_ub=[rho * n],
            A_eq=equal,
            b_eq=np.ones(n),
        )
        assert (weights * points.loss).sum() == pytest.approx(-best.fun, rel=1e-6)


def test_a_mixture_is_chosen_by_other_noise_than_it_is_measured_with():
    """Of many points that are all alike, the luckiest does not count."""
    draw, shape = np.random.default_rng(0), (500, 20)
    distance = np.concatenate([np.zeros((500, 1)), np.full((500, 19), 0.5)], 1)
    measured, chosen = draw.normal(1, 0.2, shape), draw.normal(1, 0.2, shape)
    points = Independent(distance, measured, measured**2 + 0.04, chosen)
    (case,) = worst_cases.mixtures({"base": points}, [0.5], 10)
    assert case["loss"] == pytest.approx(1, abs=0.03)
    assert case["noise_error"] > 0


def test_points_that_are_no_numbers_are_left_out():
    points = random_points()
    points.chosen_loss[0, 2], points.squared_distance[1, 3] = np.nan, np.inf
    weights = mixture(points, 0.4)
    assert weights[0, 2] == weights[1, 3] == 0


def diverged():
    """Of three images: a good ascent, one that flew off, one that left the numbers."""
    ones = np.ones((3, 1))
    loss = np.array([[0.5, 0.2], [0.9, 0.2], [np.nan, 0.2]])
    distance = np.array([[0.2, 0.0], [80.0, 0.0], [np.inf, 0.0]])
    return Observed(np.array([0.5, np.inf]), distance, loss, loss**2, ones * np.ones(2))


def test_an_ascent_that_ends_below_its_start_is_refused():
    points = diverged()
    refused = points.refused(64)
    assert refused.tolist() == [[False, False], [True, False], [True, False]]
    kept = points.without(refused)
    assert kept.own(0.5) == pytest.approx([0.4, 0.2, 0.2])
    setting = Setting(1.0, SIGMA, 4, 64, 0.001, [0.5], [0.0, 0.1], training_gamma=0.5)
    rows = list(wasserstein.certificates({"base": points}, setting))
    for row in rows:
        assert 0 <= row["own_point"] <= row["loss"] + 1e-12
        assert row["refused"] == pytest.approx(2 / 3)
    (end,) = worst_cases.ends({"base": points}, [0.5], 64)
    assert (end["rho"], end["loss"]) == pytest.approx((0.2 / 3, 0.3))
    assert end["refused"] == pytest.approx(2 / 3)


def test_noise_alone_refuses_nothing():
    loss = np.array([[0.199, 0.2]])
    points = Observed(np.array([0.5, np.inf]), np.zeros((1, 2)), loss, loss**2 + 0.01, loss)
    assert not points.refused(64).any()


def test_the_line_at_the_training_gamma_is_straight_and_above_the_best():
    rhos = (0.0, 0.5, 1.0, 40.0)
    claims, _, checks = derived(observe(start=-0.2), rhos, training_gamma=0.1)
    line = [row["loss"] for row in claims if row["certificate"] == "nal_line"]
    best = [row["loss"] for row in claims if row["certificate"] == "nal"]
    slopes = [(b - a) / (s - r) for (a, r), (b, s) in itertools.pairwise(zip(line, rhos, strict=True))]
    assert slopes == pytest.approx([0.1] * 3)
    assert all(low <= high + 1e-12 for low, high in zip(best, line, strict=True))
    assert line[-1] > 1  # no bound of the loss cuts it
    assert "nal_line" in checks
    own = [row["own_point"] for row in claims if row["certificate"] == "nal_line"]
    assert own[0] <= line[0] + 1e-12
    between, _, _ = derived(observe(start=-0.2), rhos, training_gamma=0.15)  # at none of the ascents
    assert all(math.isnan(r["own_point"]) for r in between if r["certificate"] == "nal_line")
