"""Objectives that maximise in a ball or under a penalty, against their formulas and limit cases."""

from __future__ import annotations

import json
import math

import pytest
import torch
from objective_checks import (
    BATCH,
    SHAPE,
    Tiny,
    check,
    climb,
    generator,
    images,
    norms,
    probabilities,
    run,
    same,
)
from pydantic import TypeAdapter
from torch.nn import functional as F

from rs.methods.noise.none import NoNoise
from rs.methods.objectives.adre_adv import AdreAdv
from rs.methods.objectives.clean import Clean
from rs.methods.objectives.gaussian import GaussianTraining
from rs.methods.objectives.nal import Nal
from rs.methods.objectives.pgd import Pgd
from rs.methods.objectives.smoothadv import SmoothAdv
from rs.methods.objectives.trades import Trades
from rs.methods.objectives.wrm import Wrm
from rs.plan.calibrated import resolve_epsilon
from rs.settings.training import Calibrated

EVERY = torch.arange(BATCH)


def true_class(model, x, y):
    """-log P(y|x) of every image, plainly."""
    return -probabilities(model, x)[EVERY, y].log()


def soft(model, x, z):
    """Mean softmax over the noise [B, K]."""
    return sum(probabilities(model, x + z[:, j]) for j in range(z.shape[1])) / z.shape[1]


# --- pgd ----------------------------------------------------------------------------------------------------


def test_pgd_is_the_loss_at_the_end_of_the_ascent():
    def formula(model, x0, y, draw):
        x = climb(lambda x: true_class(model, x, y).sum(), x0, 0.5, 4, 1.5 * 0.5 / 4)
        return true_class(model, x, y).mean()

    check(Pgd(0.5, steps=4, relative_step=1.5, random_start=False), formula)


def test_pgd_in_the_linf_ball_from_a_uniform_start():
    def formula(model, x0, y, draw):
        start = 0.2 * (2 * torch.rand(BATCH, *SHAPE, generator=draw.generator) - 1)
        x = climb(lambda x: true_class(model, x, y).sum(), x0, 0.2, 5, 2 * 0.2 / 5, "linf", start)
        return true_class(model, x, y).mean()

    check(Pgd(0.2, norm="linf", steps=5), formula)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_pgd_without_a_ball_is_plain_training(norm):
    same(Pgd(0.0, norm=norm), Clean())
    same(Pgd(0.5, norm=norm, warmup=0.5), Clean(), progress=0.0)
    assert run(Pgd(0.2, norm=norm))[0] > run(Clean())[0]


# --- smoothadv ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("redraw", "given"), [(True, {}), (False, {"relative_step": 1.3})])
def test_smoothadv_is_pgd_on_the_soft_smoothed_loss(redraw, given):
    epsilon, steps, m = 0.7, 4, 3

    def formula(model, x0, y, draw):
        z = draw(m)

        def value(x):
            nonlocal z
            z = draw(m) if redraw else z
            return -soft(model, x, z)[EVERY, y].log().sum()

        x = climb(value, x0, epsilon, steps, given.get("relative_step", 2) * epsilon / steps)
        z = draw(m) if redraw else z
        return sum(true_class(model, x + z[:, j], y).mean() for j in range(m)) / m

    check(SmoothAdv(epsilon=epsilon, steps=steps, samples=m, redraw=redraw, **given), formula)


def test_smoothadv_with_ddn_takes_the_closest_image_most_copies_miss():
    """Image by image: Algorithm 1 of Rony et al. from the norm epsilon, then back onto the ball."""
    epsilon, steps, m, gamma = 0.6, 7, 3, 0.1
    seen = set()

    def formula(model, x0, y, draw):
        z, total = draw(m), 0.0
        for i in range(BATCH):
            x, norm, best = x0[i], epsilon, None
            for k in range(steps):
                x = x.detach().requires_grad_()
                p = probabilities(model, x + z[i])
                (g,) = torch.autograd.grad(-p.mean(0)[y[i]].log(), x)
                x = x.detach()
                votes = [int((p.argmax(1) == c).sum()) for c in range(3)]
                missed = votes.index(max(votes)) != y[i]
                delta = x - x0[i]
                if missed and (best is None or delta.norm() < best.norm()):
                    best = delta
                norm = min(
                    norm * (1 - gamma if missed else 1 + gamma), torch.maximum(x0[i], 1 - x0[i]).norm()
                )
                delta = delta + (0.01 + 0.99 * (1 + math.cos(math.pi * k / steps)) / 2) * g / g.norm()
                x = (x0[i] + norm * delta / delta.norm()).clamp(0, 1)
            seen.add("none" if best is None else "itself" if best.norm() == 0 else "outside")
            best = torch.zeros(SHAPE).double() if best is None else best
            best = best * min(1.0, epsilon / max(float(best.norm()), 1e-30))
            total = total - probabilities(model, x0[i] + best + z[i])[:, y[i]].log().mean()
        return total / BATCH

    objective = SmoothAdv(epsilon=epsilon, steps=steps, samples=m, attack="ddn", ddn_gamma=gamma)
    check(objective, formula, Tiny(4.0))
    assert {"itself", "outside"} <= seen


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
def test_smoothadv_with_epsilon_zero_is_gaussian_on_the_same_noise(attack):
    same(SmoothAdv(epsilon=0.0, samples=3, attack=attack), GaussianTraining(samples=3))
    half = SmoothAdv(epsilon=1.0, samples=3, warmup=0.5, attack=attack)
    same(half, GaussianTraining(samples=3), progress=0.0)
    same(half, SmoothAdv(epsilon=0.5, samples=3, attack=attack), progress=0.25)
    same(half, SmoothAdv(epsilon=1.0, samples=3, attack=attack), progress=0.75)


# --- trades -------------------------------------------------------------------------------------------------


def kl(p, q):
    return (p * (p.log() - q.log())).sum(1)


@pytest.mark.parametrize(("norm", "epsilon", "relative"), [("l2", 0.6, 2.0), ("linf", 0.2, 1.3)])
def test_trades_is_cross_entropy_and_the_worst_divergence_under_one_noise(norm, epsilon, relative):
    m, steps, beta = 3, 4, 2.5

    def formula(model, x0, y, draw):
        z = draw(m)
        start = 0.001 * torch.randn(BATCH, *SHAPE, generator=draw.generator)

        def value(x):
            sums = (
                kl(probabilities(model, x0 + z[:, j]), probabilities(model, x + z[:, j])) for j in range(m)
            )
            return sum(sums).sum() / m

        x = climb(value, x0, epsilon, steps, relative * epsilon / steps, norm, start)
        natural = sum(true_class(model, x0 + z[:, j], y).mean() for j in range(m)) / m
        return natural + beta * value(x) / BATCH

    objective = Trades(epsilon, beta=beta, norm=norm, steps=steps, samples=m, relative_step=relative)
    check(objective, formula, Tiny(4.0))


def test_trades_without_noise_is_the_published_one():
    def formula(model, x0, y, draw):
        start = 0.001 * torch.randn(BATCH, *SHAPE, generator=draw.generator)
        clean = probabilities(model, x0).detach()
        x = climb(lambda x: kl(clean, probabilities(model, x)).sum(), x0, 0.5, 10, 0.1, "l2", start)
        return (
            F.cross_entropy(model(x0), y) + 6 * kl(probabilities(model, x0), probabilities(model, x)).mean()
        )

    check(Trades(0.5), formula, noise=NoNoise())
    same(Trades(0.5, samples=1), Trades(0.5, samples=4), noise=NoNoise())


def test_trades_without_beta_or_ball_is_gaussian_on_the_same_noise():
    same(Trades(0.5, beta=0.0, samples=3), GaussianTraining(samples=3))
    same(Trades(0.0, samples=3), GaussianTraining(samples=3))
    same(Trades(0.5, samples=3, warmup=0.5), GaussianTraining(samples=3), progress=0.0)


# --- wrm ----------------------------------------------------------------------------------------------------


def test_wrm_is_the_loss_at_the_end_of_the_lagrangian_ascent():
    gamma, eta = 0.8, 0.2

    def formula(model, x0, y, draw):
        x = x0
        for _ in range(5):
            x = x.detach().requires_grad_()
            value = true_class(model, x, y).sum() - gamma * (x - x0).square().sum()
            x = (x + eta * torch.autograd.grad(value, x)[0]).detach()
        return true_class(model, x, y).mean()

    check(Wrm(steps=5, gamma=gamma, step_size=eta), formula, noise=NoNoise())


def test_wrm_is_nal_without_noise_and_plain_training_under_a_large_penalty():
    same(Wrm(steps=4), Nal(samples=1), noise=NoNoise())
    (loss, gradients, _), (clean, others, _) = run(Wrm(gamma=1e10), noise=NoNoise()), run(Clean())
    torch.testing.assert_close(loss, clean)
    for mine, theirs in zip(gradients, others, strict=True):
        torch.testing.assert_close(mine, theirs)
    assert run(Wrm(), noise=NoNoise())[0] > clean


# --- noise and references -----------------------------------------------------------------------------------


def test_without_noise_the_samples_do_not_matter_and_the_attack_hurts():
    clean = run(Clean())[0]
    for attack in ("pgd", "ddn"):
        one, four = (SmoothAdv(0.5, samples=m, attack=attack) for m in (1, 4))
        same(one, four, noise=NoNoise())
        assert run(one, noise=NoNoise())[0] > clean
    same(SmoothAdv(0.5, steps=4), Pgd(0.5, steps=4, random_start=False), noise=NoNoise())


@pytest.mark.parametrize("cls", [Pgd, SmoothAdv, Trades, AdreAdv])
def test_epsilon_may_be_a_reference_that_must_be_replaced(cls, tmp_path):
    reference = {"calibrated": "nal/settings", "cost": "with_noise"}
    given = TypeAdapter(cls).validate_python({"epsilon": reference})
    assert given.epsilon == Calibrated("nal/settings", "with_noise")
    with pytest.raises(TypeError, match="'nal/settings'"):
        given.loss(Tiny(), *images(), NoNoise(), generator(), 0.5)
    path = tmp_path / "calibration.json"
    rho = {"rho_with_noise": 0.0625, "rho_without_noise": 0.015625}
    epsilon = {"epsilon_with_noise": 0.25, "epsilon_without_noise": 0.125}
    path.write_text(json.dumps({**rho, **epsilon, "provenance": {"spec_digest": "settings", "run": "nal"}}))
    resolved, values = resolve_epsilon(given, {"epsilon": path}, 784)
    assert resolved == cls(0.25)
    assert values == {"epsilon": 0.25}


def test_a_study_may_calibrate_on_wrm_but_not_in_linf(tiny, plan_of, refusal):
    tiny["smoothing"] = [tiny["noise"]]
    tiny["runs"]["wrm"] = {"objective": {"name": "wrm"}, "noise": {"name": "none"}, "calibration": {}}
    trades = {"name": "trades", "epsilon": {"calibrated": "wrm"}}
    tiny["runs"]["trades"] = {"objective": trades}
    plan = plan_of(tiny)
    wrm, found = (next(p for p in plan.runs if p.run.label == label) for label in ("wrm", "trades"))
    assert found.spec["objective"]["epsilon"]["calibrated"] == f"{wrm.id}/{wrm.calibration.stem}"
    trades["norm"] = "linf"
    message = "runs.trades.objective.epsilon: a calibrated epsilon is an l2 radius: norm must be l2"
    assert message in refusal(tiny)


@pytest.mark.parametrize("objective", [{"name": "clean"}, {"name": "wrm"}, {"name": "pgd", "epsilon": 0.1}])
def test_a_method_without_noise_says_so(tiny, refusal, objective):
    tiny["runs"]["plain"] = {"objective": objective}
    assert f"{objective['name']} trains under none, not gaussian" in refusal(tiny)


def test_attacked_images_stay_in_the_ball():
    for objective in (Pgd(0.3), SmoothAdv(0.3, attack="ddn", steps=20), Trades(0.3), AdreAdv(0.3)):
        assert 0 < run(objective, Tiny(4.0))[2]["distance"] <= 0.3 * (1 + 1e-6)
    delta = torch.full((1, 1, 2, 2), 0.5)
    assert norms(delta).item() == 1  # the yardstick
