"""Attacks at given radii on tiny networks: ball and box, exact answers for linear classifiers."""

from __future__ import annotations

import copy
import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from attacked_networks import ALL, smoothed
from attacked_networks import images as images  # fixtures
from attacked_networks import linear as linear
from attacked_networks import model as model
from torch import nn
from torch.nn import functional as F

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.attacks.adre_pgd import AdrePgd
from rs.methods.attacks.autoattack import AutoAttackL2
from rs.methods.attacks.lagrangian import Lagrangian
from rs.methods.attacks.pgd_l2 import PgdL2
from rs.methods.attacks.pgd_linf import PgdLinf
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.none import NoNoise
from rs.networks.differentiable import require_gradients
from rs.smoothing.ascent import input_gradient

RADII = (0.0, 0.25, 0.5, 1.0)
LINF = (0.0, 0.02, 0.1, 0.3)
PGD = [PgdL2(steps=6), PgdL2(steps=6, loss="mean"), PgdL2(steps=6, random_start=True)]
PGD += [PgdLinf(steps=6), PgdLinf(steps=6, loss="soft"), PgdLinf(steps=6, random_start=True)]
PGD += [AdrePgd(steps=6), AdrePgd(steps=6, redraw=True)]


@pytest.mark.parametrize("attack", PGD)
def test_inside_ball_and_box(model, images, attack):
    x, y = images
    flags = [m.training for m in model.modules()]
    statistics = model[2].running_mean.clone()
    radii = RADII if attack.norm == 2 else LINF
    found = attack.at_radii(smoothed(model, ALL), x, y, radii)
    assert found.images.shape == (4, *x.shape)
    assert 0 <= found.images.min() <= found.images.max() <= 1
    assert torch.equal(found.images[0], x)
    assert found.steps.tolist() == [[0] * 5, *[[6] * 5] * 3]
    for radius, proposed in zip(radii[1:], found.images[1:], strict=True):
        distance = torch.linalg.vector_norm((proposed - x).flatten(1), attack.norm, dim=1)
        assert (distance <= radius * (1 + 1e-5)).all()
        assert (distance > 0.5 * radius).all()
    assert [m.training for m in model.modules()] == flags
    assert torch.equal(model[2].running_mean, statistics)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("attack", PGD)
@pytest.mark.parametrize("noise", [Gaussian(0.25), NoNoise()])
def test_raises_the_smoothed_loss_more_in_larger_balls(model, images, attack, noise):
    x, y = images
    found = attack.at_radii(smoothed(model, ALL, noise), x, y, RADII if attack.norm == 2 else LINF)
    judge = [smoothed(model, ALL, noise).soft_loss(proposed, y, 2000) for proposed in found.images]
    for smaller, larger in pairwise(judge):
        assert larger.mean() > smaller.mean()
        assert (larger > judge[0]).all()


@pytest.mark.parametrize("attack", [*PGD, Lagrangian(gamma=0.05, steps=5)])
def test_depends_on_no_other_image_and_no_other_radius(model, images, attack):
    x, y = images
    whole = attack.at_radii(smoothed(model, ALL), x, y, RADII).images
    rows = [3, 1]
    part = attack.at_radii(smoothed(model, rows), x[rows], y[rows], [1.0]).images
    torch.testing.assert_close(part[0], whole[3, rows], rtol=1e-4, atol=1e-5)
    state = smoothed(model, ALL)
    state.noise_like(x, 3)  # a generator that was used before starts again
    assert torch.equal(attack.at_radii(state, x, y, [0.5]).images[0], whole[2])


def test_more_noise_samples_follow_the_exact_gradient(linear):
    """For a linear classifier of two classes the best direction is known, whatever the noise."""
    net, x, w = linear
    y = torch.zeros(5, dtype=torch.int64)
    out = PgdL2(steps=8).at_radii(smoothed(net, ALL), x, y, [0.3]).images[0]
    cosine = F.cosine_similarity((out - x).flatten(1), w.expand(5, -1))
    assert (cosine > 0.999).all()
    assert (out - x).flatten(1).norm(dim=1).tolist() == pytest.approx([0.3] * 5)
    out = PgdLinf(steps=8).at_radii(smoothed(net, ALL), x, y, [0.05]).images[0]
    torch.testing.assert_close(out - x, 0.05 * w.sign().reshape(1, 1, 4, 4).expand_as(x))


@pytest.mark.parametrize("relative_step", [0.25, 0.5])
@pytest.mark.parametrize("kind", [PgdL2, PgdLinf, AdrePgd])
def test_a_step_is_as_long_as_its_share_of_the_radius(linear, kind, relative_step):
    net, x, _ = linear
    attack = kind(steps=1, relative_step=relative_step)
    found = attack.at_radii(smoothed(net, ALL), x, torch.zeros(5, dtype=torch.int64), [0.2]).images[0]
    length = torch.linalg.vector_norm((found - x).flatten(1), attack.norm, dim=1)
    assert length.tolist() == pytest.approx([relative_step * 0.2] * 5)


def test_adre_ascends_its_equation(model, images):
    """One step along the gradient of -log G_y + lambda log max of the others, on the same noise."""
    x, y = images
    net = model.eval()
    state = smoothed(net, ALL)
    found = AdrePgd(lambda_=0.7, steps=1, relative_step=1.0).at_radii(state, x, y, [0.01]).images[0]
    z = smoothed(net, ALL).noise_like(x, 16).double()
    at = x.double().requires_grad_()
    copies = (at[:, None] + z).flatten(0, 1)
    g = copy.deepcopy(net).double()(copies).softmax(1).unflatten(0, (5, 16)).mean(1)
    total = 0.0
    for i in range(5):
        others = [g[i, c] for c in range(3) if c != y[i]]
        total = total - g[i, y[i]].log() + 0.7 * torch.stack(others).max().log()
    (gradient,) = torch.autograd.grad(total, at)
    unit = gradient / gradient.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    free = (x > 0.02) & (x < 0.98)
    torch.testing.assert_close((found - x)[free], (0.01 * unit).float()[free], rtol=0.02, atol=2e-5)


@pytest.mark.parametrize(("redraw", "drawn"), [(False, 1), (True, 5)])
def test_adre_keeps_its_noise_unless_it_is_told_to_redraw(model, images, redraw, drawn):
    seen: list[int] = []

    class Counted(Gaussian):
        def sample(self, shape, generator):
            seen.append(shape[0])
            return super().sample(shape, generator)

    x, y = images
    AdrePgd(steps=5, redraw=redraw).at_radii(smoothed(model, [0], Counted(0.25)), x[:1], y[:1], [0.5])
    assert seen == [16] * drawn


def test_the_lagrangian_attack_is_one_ascent_cut_at_every_radius(model, images):
    x, y = images
    net = model.eval()
    attack = Lagrangian(gamma=0.2, steps=4, noise_in_cost=False)
    found = attack.at_radii(smoothed(net, ALL), x, y, [0.0, 0.05, 100.0])
    assert 0 <= found.images.min() <= found.images.max() <= 1
    whole = (found.images[2] - x).flatten(1)
    assert (whole.norm(dim=1) > 0.05).any()
    for full, cut in zip(whole, (found.images[1] - x).flatten(1), strict=True):
        torch.testing.assert_close(cut, full * min(1.0, 0.05 / float(full.norm())), rtol=1e-4, atol=1e-6)
    cheap = Lagrangian(gamma=20.0, steps=4, noise_in_cost=False)
    assert (cheap.at_radii(smoothed(net, ALL), x, y, [100.0]).images[0] - x).norm() < 0.2 * whole.norm()


@pytest.mark.parametrize(("given", "length"), [({}, 0.5 / 2.0), ({"step_size": 0.1}, 0.1)])
def test_a_step_of_the_lagrangian_attack_is_its_step_size_times_the_gradient(linear, given, length):
    """The first one starts from the image, where the price has no gradient."""
    net, x, _ = linear
    y = torch.zeros(5, dtype=torch.int64)
    attack = Lagrangian(gamma=2.0, steps=1, noise_in_cost=False, **given)
    found = attack.at_radii(smoothed(net, ALL, NoNoise()), x, y, [100.0]).images[0]
    gradient = input_gradient(lambda at: F.cross_entropy(net(at), y, reduction="none"), x)
    torch.testing.assert_close(found - x, length * gradient, rtol=1e-3, atol=1e-6)


def test_one_sample_is_all_of_a_classifier_without_noise(model, images):
    x, y = images
    state = smoothed(model.eval(), ALL, NoNoise())
    assert state.noise_like(x, 16).shape == (5, 1, 1, 4, 4)
    assert state.votes(x, 7, 3).sum(1).tolist() == [7] * 5
    torch.testing.assert_close(state.soft_loss(x, y, 16), F.cross_entropy(model(x), y, reduction="none"))


# --- what cannot be attacked, and settings ---


class ThroughNumpy(nn.Module):
    def forward(self, x):
        return torch.as_tensor(x.flatten(1).numpy()[:, :3])


class InPlace(nn.Module):
    def forward(self, x):
        return x.sub_(0.5).flatten(1)


class Shapeless(nn.Module):
    def forward(self, x):
        return x.flatten(1) @ torch.ones(7, 3)


def test_a_network_that_fails_under_gradients_is_one_line(images):
    x, _ = images
    manifest = Path("model.json")
    require_gradients(InPlace(), x[0], manifest, "ddn")
    with pytest.raises(UserError) as caught:
        require_gradients(ThroughNumpy(), x[0], manifest, "ddn")
    assert re.fullmatch(
        r"model.json: the model has no gradients with respect to its images \(RuntimeError: .*numpy.*\); "
        "ddn needs them; attack it with square_linf, or by transfer from a run that has them",
        str(caught.value),
    )
    with pytest.raises(UserError, match=r"^model.json: the model fails on images \[1, 4, 4\]: RuntimeError"):
        require_gradients(Shapeless(), x[0], manifest, "ddn")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("pgd_l2", "relative_step"),
        ("pgd_linf", "relative_step"),
        ("adre_pgd", "lambda"),
        ("ddn", "initial_norm"),
        ("carlini_wagner_l2", "initial_c"),
        ("carlini_wagner_l2", "learning_rate"),
        ("lagrangian", "gamma"),
        ("lagrangian", "step_size"),
    ],
)
def test_settings_that_float32_cannot_hold_are_one_line(name, key):
    with pytest.raises(UserError, match=rf"^{name}.{key}: Input should be less than or equal to 1000000$"):
        catalog.build("attacks", {"name": name, key: 1e300})
    assert catalog.build("attacks", {"name": name, key: 1e6})


def test_the_defaults_are_those_of_the_papers():
    attack = PgdL2()
    assert (attack.steps, attack.relative_step, attack.samples) == (20, 2.0, 16)
    assert (PgdLinf().norm, PgdLinf().loss) == (math.inf, "mean")  # STN averages the losses' gradients
    assert (AutoAttackL2().steps, AutoAttackL2().samples) == (100, 20)  # version rand
    assert (Lagrangian().steps, Lagrangian().noise_in_cost) == (15, True)  # NAL, section 5
