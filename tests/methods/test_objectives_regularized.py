"""ADRE, consistency and SmoothMix against their formulas and limit cases."""

from __future__ import annotations

import math

import pytest
import torch
from objective_checks import (
    BATCH,
    NOISE,
    FromTable,
    Tiny,
    check,
    climb,
    generator,
    norms,
    probabilities,
    run,
    same,
)
from scipy import stats
from torch.nn import functional as F

from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.none import NoNoise
from rs.methods.objectives.adre import Adre
from rs.methods.objectives.adre_adv import AdreAdv
from rs.methods.objectives.clean import Clean
from rs.methods.objectives.consistency import Consistency
from rs.methods.objectives.gaussian import GaussianTraining
from rs.methods.objectives.smoothadv import SmoothAdv
from rs.methods.objectives.smoothmix import SmoothMix

# --- adre ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_adre_is_algorithm_1(single, smoothing):
    k, lambda_ = 4, 0.3

    def formula(model, x, y, draw):
        z, total = draw(k), 0.0
        for i in range(BATCH):
            p = probabilities(model, x[i] + z[i])
            target = (1 - smoothing) * F.one_hot(y[i], 3) + smoothing / 3
            per = -(target * p.log()).sum(1)
            g = p.mean(0)
            runner_up = max((c for c in range(3) if c != y[i]), key=lambda c: g[c].item())
            total = total + (per[0] if single else per.mean()) - lambda_ * -g[runner_up].log()
        return total / BATCH

    check(Adre(k=k, lambda_=lambda_, single_sample=single, label_smoothing=smoothing), formula, Tiny(4.0))


def test_adre_eq_10_takes_the_certified_radius_of_right_and_wrong_images():
    k, lambda_, wrong = 4, 0.3, 0

    def formula(model, x, y, draw):
        nonlocal wrong
        z, total = draw(k), 0.0
        for i in range(BATCH):
            p = probabilities(model, x[i] + z[i])
            second, first = p.mean(0).sort().values[-2:]
            wrong += int(p.mean(0).argmax() != y[i])
            gap = torch.special.ndtri(first) - torch.special.ndtri(second)
            total = total - p[:, y[i]].log().mean() - lambda_ * gap
        return total / BATCH

    check(Adre(k=k, lambda_=lambda_, regularizer="radius"), formula, Tiny(4.0))
    assert wrong


def test_adre_without_lambda_is_gaussian():
    same(Adre(k=4, lambda_=0.0), GaussianTraining(samples=4))
    same(Adre(k=4, lambda_=0.0, regularizer="radius"), GaussianTraining(samples=4))
    same(Adre(k=1), Adre(k=1, single_sample=True))
    same(Adre(k=1), Adre(k=4), noise=NoNoise())


def reward(objective, margin: float):
    """What the regulariser adds for one image that is right by `margin`, and the slope of it."""
    model = FromTable(torch.tensor([[margin, 0.0]]))
    x, y = torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.int64)
    loss, scalars = objective.loss(model, x, y, Gaussian(1.0), generator(), 0.0)
    (slope,) = torch.autograd.grad(loss, model.logits)
    return scalars["reward"].item(), slope


@pytest.mark.parametrize("regularizer", ["cross_entropy", "radius"])
def test_adre_stops_rewarding_at_the_floor(regularizer):
    """-log q and Phi^-1(1 - q) - Phi^-1(q) at q = max(1e-10, 1/(1 + e^margin)), exact where float32 is 1."""
    objective = Adre(k=1, lambda_=1.0, regularizer=regularizer)
    for margin in (2.0, 20.0, 30.0, 1e4):
        q = max(1e-10, 1 / (1 + math.exp(min(margin, 700))))
        expected = -math.log(q) if regularizer == "cross_entropy" else -2 * stats.norm.ppf(q)
        value, slope = reward(objective, margin)
        assert value == pytest.approx(expected, rel=1e-5)
        assert slope[0, 0] < -0.1 if margin <= 20 else slope.abs().max() < 1e-12


# --- adre_adv -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "epsilon"),
    [
        ({}, 0.6),
        ({"relative_step": 1.3, "label_smoothing": 0.1}, 0.6),
        ({"floor": 0.4}, 0.6),
        ({"floor": 0.45}, 0.02),
    ],
)
def test_adre_adv_is_pgd_on_the_regularised_loss_then_adre_with_the_same_noise(given, epsilon):
    """The floor counts in the ascent and, for images that stay below it, in the update."""
    steps, k, lambda_ = 3, 4, 0.3
    smoothing, floor, under = given.get("label_smoothing", 0.0), given.get("floor", 1e-10), []

    def formula(model, x0, y, draw):
        z, every = draw(k), torch.arange(BATCH)

        def at(x):
            p = torch.stack([probabilities(model, x + z[:, j]) for j in range(k)])
            wrong = p.mean(0).masked_fill(F.one_hot(y, 3).bool(), 0.0).amax(1)
            under.append(set((wrong < floor).tolist()))
            return p, wrong.clamp_min(floor).log()

        def value(x):
            p, wrong = at(x)
            return (-p.mean(0)[every, y].log() + lambda_ * wrong).sum()

        x = climb(value, x0, epsilon, steps, given.get("relative_step", 2) * epsilon / steps)
        p, wrong = at(x)
        target = (1 - smoothing) * F.one_hot(y, 3) + smoothing / 3
        return -(target * p.log()).sum(2).mean() + lambda_ * wrong.mean()

    check(AdreAdv(epsilon, steps=steps, k=k, lambda_=lambda_, **given), formula, Tiny(4.0))
    both = {True, False} if "floor" in given else {False}
    assert under[0] == both
    assert under[-1] == both or epsilon > 0.1


def test_adre_adv_is_smoothadv_without_lambda_and_adre_without_a_ball():
    same(AdreAdv(0.5, steps=4, k=3, lambda_=0.0), SmoothAdv(0.5, steps=4, samples=3))
    same(AdreAdv(0.0, k=3, lambda_=0.2), Adre(k=3, lambda_=0.2))
    same(AdreAdv(1.0, k=3, warmup=0.5), AdreAdv(0.5, k=3), progress=0.25)
    same(AdreAdv(0.5, k=1), AdreAdv(0.5, k=4), noise=NoNoise())


# --- consistency --------------------------------------------------------------------------------------------


def test_consistency_is_divergence_from_the_mean_and_its_entropy():
    m, lambda_, eta = 3, 2.0, 0.7

    def formula(model, x, y, draw):
        z, total = draw(m), 0.0
        for i in range(BATCH):
            p = probabilities(model, x[i] + z[i])
            mean = p.mean(0)
            total = total - p[:, y[i]].log().mean() - eta * (mean * mean.log()).sum()
            for j in range(m):
                total = total + lambda_ * (mean * (mean / p[j]).log()).sum() / m
        return total / BATCH

    check(Consistency(samples=m, lambda_=lambda_, eta=eta), formula, Tiny(4.0))


def test_consistency_of_equal_predictions_is_nothing():
    same(Consistency(samples=4, lambda_=0.0, eta=0.0), GaussianTraining(samples=4))
    same(Consistency(samples=1, lambda_=9.0, eta=0.0), GaussianTraining())
    same(Consistency(samples=3, lambda_=9.0, eta=0.0), Clean(), noise=NoNoise())
    assert run(Consistency(), Tiny(4.0))[2]["divergence"] > 0


# --- smoothmix ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_step", [True, False])
def test_smoothmix_trains_on_mixtures_with_unrestricted_adversarial_images(one_step):
    m, steps, alpha, eta = 3, 3, 0.2, 2.0
    correct = []

    def formula(model, x0, y, draw):
        z = draw(m)
        u = torch.rand(BATCH, generator=draw.generator).double() / 2

        def soft(x):
            return sum(probabilities(model, x + z[:, j]) for j in range(m)) / m

        def value(x):
            return -soft(x)[torch.arange(BATCH), y].log().sum()

        worst = climb(value, x0, 1e9, steps, alpha)
        clean = climb(value, x0, 1e9, 1, alpha)
        # half of the warm-up is done
        clean = x0 + (clean - x0) * (alpha / 2 / norms(clean - x0)).clamp(max=1) if one_step else x0
        total = 0.0
        for i in range(BATCH):
            mixed = (1 - u[i]) * clean[i] + u[i] * worst[i]
            p, q = probabilities(model, clean[i] + z[i]), probabilities(model, mixed + z[i])
            total = total - p[:, y[i]].log().mean()
            target = (1 - u[i]) * p.mean(0) + u[i] / 3
            correct.append(bool(p.mean(0).argmax() == y[i]))
            if correct[-1]:
                total = total + eta / 2 * (target * (target / q).log()).sum(1).mean()
        return total / BATCH

    objective = SmoothMix(samples=m, steps=steps, step_size=alpha, eta=eta, one_step=one_step, warmup=0.5)
    check(objective, formula, Tiny(4.0), progress=0.25)
    assert {True, False} == set(correct)


def test_smoothmix_without_eta_is_gaussian():
    same(SmoothMix(samples=3, eta=0.0), GaussianTraining(samples=3))
    same(SmoothMix(samples=3, warmup=0.5, one_step=True), GaussianTraining(samples=3), progress=0.0)
    loss, _, scalars = run(SmoothMix(samples=2), Tiny(4.0), NOISE)
    torch.testing.assert_close(loss.detach(), scalars["classification"] + 5 * scalars["mixture"])


def test_smoothmix_without_noise_does_not_depend_on_the_number_of_samples():
    """`none` takes nothing from the generator, so the shares of the mixture are the same."""
    same(SmoothMix(samples=1), SmoothMix(samples=4), noise=NoNoise())
