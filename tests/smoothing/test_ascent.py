"""Projections, steps, and the inner loops: projected ascent, DDN, Lagrangian ascent."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import batch, generators, tiny
from torch.nn import functional as F

from rs.methods.noise.gaussian import Gaussian
from rs.smoothing import ascent
from rs.smoothing import smoothed as smoothing

# --- projections and steps ----------------------------------------------------------------------------------

scales = st.floats(1e-20, 1e20)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), scale=scales, radius=st.floats(0, 1e10))
def test_l2_projection_is_the_nearest_point_of_the_ball(seed, scale, radius):
    delta = torch.randn(3, 2, 2, 2, generator=generators(seed)[0]) * scale
    inside = ascent.project_l2(delta, radius)
    norms = ascent.l2_norm(delta)
    assert inside.isfinite().all()
    torch.testing.assert_close(ascent.l2_norm(inside), norms.clamp(max=radius), rtol=1e-5, atol=0)
    keep = norms <= radius
    assert torch.equal(inside[keep], delta[keep])
    if radius > 1e-20:  # same direction
        cosine = F.cosine_similarity(ascent.unit_l2(inside).flatten(1), ascent.unit_l2(delta).flatten(1))
        assert (cosine > 1 - 1e-5).all()
    torch.testing.assert_close(ascent.project_l2(inside, radius), inside, rtol=1e-5, atol=0)


def test_projections_take_one_radius_per_image():
    delta = torch.full((3, 1, 2, 2), 1.0)  # norm 2
    radii = torch.tensor([0.0, 1.0, 5.0])
    torch.testing.assert_close(ascent.l2_norm(ascent.project_l2(delta, radii)), torch.tensor([0.0, 1.0, 2.0]))
    assert ascent.project_linf(delta, radii / 2).amax((1, 2, 3)).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_unit_gradient_at_any_scale_and_zero_where_it_is_zero(scale):
    gradient = torch.randn(3, 2, 2, 2, generator=generators(0)[0]) * scale
    gradient[1] = 0
    unit = ascent.unit_l2(gradient)
    assert unit.flatten(1).norm(dim=1).tolist() == pytest.approx([1, 0, 1])
    assert F.cosine_similarity(unit[0].flatten(), (gradient[0] / scale).flatten(), 0).item() == pytest.approx(
        1
    )


@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_every_image_gets_its_own_uniform_perturbation(norm):
    x = torch.zeros(4000, 1, 2, 1)
    delta = ascent.random_perturbations(x, 2.0, norm, generators(0)[0])
    assert delta.shape == x.shape
    sizes = delta.flatten(1).norm(p=norm, dim=1)
    assert sizes.max() <= 2.0 + 1e-6
    # uniform in a disc or a square: P(size <= r) = (r/2)^2, and the mean is 0
    assert (sizes <= 1.0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert delta.mean(0).abs().max() < 0.06


def test_gradients_of_images_are_independent_and_parameters_are_left_alone():
    model, (x, y) = tiny(), batch()

    def loss(rows: slice):
        return lambda at: F.cross_entropy(model(at), y[rows], reduction="none")

    whole = ascent.input_gradient(loss(slice(None)), x)
    for i in range(len(x)):
        alone = ascent.input_gradient(loss(slice(i, i + 1)), x[i : i + 1])
        torch.testing.assert_close(whole[i : i + 1], alone)
    assert all(p.grad is None for p in model.parameters())
    with torch.no_grad():
        torch.testing.assert_close(ascent.input_gradient(loss(slice(None)), x), whole)


# --- projected ascent ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_pgd_finds_the_maximum_of_a_linear_loss(norm):
    w = torch.tensor([3.0, -4.0]).reshape(1, 1, 1, 2)
    x0 = torch.full((2, 1, 1, 2), 0.5)
    out = ascent.pgd(lambda x: (x * w).flatten(1).sum(1), x0, torch.tensor([0.1, 0.2]), 10, 0.05, norm)
    direction = w / 5 if norm == 2 else w.sign()
    torch.testing.assert_close(out - x0, torch.cat([0.1 * direction, 0.2 * direction]))


def test_pgd_stays_in_ball_and_box_and_a_zero_gradient_stays_put():
    x0 = torch.tensor([[0.0, 0.9], [1.0, 0.3]]).reshape(2, 1, 1, 2)
    out = ascent.pgd(lambda x: (x.flatten(1) ** 2).sum(1), x0, 0.7, 8, 0.3)
    assert out.min() >= 0
    assert out.max() <= 1
    assert (ascent.l2_norm(out - x0) <= 0.7 * (1 + 1e-6)).all()
    free = ascent.pgd(lambda x: (x.flatten(1) ** 2).sum(1), x0, 0.7, 8, 0.3, box=None)
    assert free.max() > 1
    assert torch.equal(ascent.pgd(lambda x: (x * 0).flatten(1).sum(1), x0, 0.7, 3, 0.3), x0)
    start = torch.full_like(x0, 10.0)
    moved = ascent.pgd(lambda x: (x * 0).flatten(1).sum(1), x0, 0.25, 1, 0.3, start=start)
    assert ascent.l2_norm(moved - x0).tolist() == pytest.approx([0.25, 0.25])
    assert moved.max() <= 1


# --- decoupled direction and norm ---------------------------------------------------------------------------

PLANE = torch.tensor([3.0, 4.0]).reshape(1, 1, 1, 2) / 5


def beyond(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Adversarial where <w, x> > 0.6, |w| = 1: the distance to the plane is known."""
    margin = (x * PLANE).flatten(1).sum(1) - 0.6
    return margin, margin > 0


def test_ddn_finds_the_closest_adversarial_point():
    x0 = torch.tensor([[0.2, 0.2], [0.4, 0.4], [0.3, 0.0], [0.5, 0.5]]).reshape(4, 1, 1, 2)
    true = -beyond(x0)[0].clamp(max=0)
    out, found = ascent.ddn(beyond, x0, 100)
    size = ascent.l2_norm(out - x0)
    assert found.all()
    assert beyond(out)[1].all()
    assert (size >= true).all()
    assert (size <= 1.06 * true).all()  # the norm moves in steps of 5 %
    assert torch.equal(out[3], x0[3])  # is adversarial itself
    assert out.min() >= 0
    assert out.max() <= 1
    alone, _ = ascent.ddn(beyond, x0[1:2], 100)
    assert torch.equal(alone, out[1:2])  # no neighbour has a say


def test_ddn_returns_the_image_where_it_finds_nothing():
    x0 = torch.full((2, 1, 1, 2), 0.2)
    never = torch.zeros(2, dtype=torch.bool)
    out, found = ascent.ddn(lambda x: (beyond(x)[0], never), x0, 20)
    assert not found.any()
    assert torch.equal(out, x0)
    # without a gradient nothing turns; the first evaluation is of the image itself
    calls = []

    def flat(x):
        calls.append(x.detach())
        return (x * 0).flatten(1).sum(1), never

    out, found = ascent.ddn(flat, x0, 5)
    assert len(calls) == 5
    assert all(torch.equal(x, x0) for x in calls)
    assert not found.any()


def test_ddn_in_a_ball_pulls_back_what_it_found():
    x0 = torch.full((3, 1, 1, 2), 0.2)
    free, _ = ascent.ddn(beyond, x0, 60)
    out, found = ascent.ddn(beyond, x0, 60, radius=torch.tensor([0.0, 0.1, 2.0]))
    assert found.all()  # the search, which the ball does not limit
    sizes = ascent.l2_norm(out - x0)
    assert sizes.tolist() == pytest.approx([0.0, 0.1, ascent.l2_norm(free - x0)[2].item()])
    torch.testing.assert_close(ascent.unit_l2(out - x0)[1], ascent.unit_l2(free - x0)[1])


def test_ddn_without_a_box():
    x0 = torch.full((1, 1, 1, 2), 51 / 255)
    far, found = ascent.ddn(lambda x: (beyond(x)[0], beyond(x)[0] > 2), x0, 100, box=None)
    assert found.all()
    assert far.max() > 1


# --- Lagrangian ascent --------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise_in_cost", [True, False])
def test_a_step_of_half_over_gamma_forgets_where_it_was(noise_in_cost):
    """It lands at x0 - mean z + grad/(2 gamma), without mean z where the cost has no noise."""
    model, (x0, y), gamma = tiny(torch.float64), batch(dtype=torch.float64), 0.7
    noise, kept, visited = Gaussian(0.3), [], []
    generator = generators(5)[0]

    def draw() -> torch.Tensor:
        kept.append(smoothing.draw_noise(x0, noise, 3, generator).double())
        return kept[-1]

    def loss(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        visited.append(x.detach())
        return smoothing.mean_cross_entropy(model, x, z, y)

    out = ascent.lagrangian_ascent(loss, draw, x0, gamma, 3, noise_in_cost=noise_in_cost)
    assert len(kept) == 3
    assert not torch.equal(kept[0], kept[1])  # fresh noise in every step
    gradient = ascent.input_gradient(
        lambda x: smoothing.mean_cross_entropy(model, x, kept[-1], y), visited[-1]
    )
    centre = x0 - kept[-1].mean(1) if noise_in_cost else x0
    torch.testing.assert_close(out, centre + gradient / (2 * gamma))


def test_lagrangian_step_is_the_gradient_of_the_penalised_loss():
    """Against autograd of mean_j [l(x + z_j) - gamma ||x + z_j - x0||^2] at a point that is not x0."""
    model, (x0, y), gamma, eta = tiny(torch.float64), batch(dtype=torch.float64), 2.0, 0.1
    draws = [torch.randn(4, 3, 2, 2, 2, generator=g, dtype=torch.float64) for g in generators(1, 2)]
    queue = iter(draws)
    out = ascent.lagrangian_ascent(
        lambda x, z: smoothing.mean_cross_entropy(model, x, z, y), lambda: next(queue), x0, gamma, 2, eta
    )
    x = x0
    for z in draws:
        x = x.detach().requires_grad_()
        value = 0.0
        for j in range(3):
            cost = (x + z[:, j] - x0).square().sum((1, 2, 3))
            value = (
                value + (F.cross_entropy(model(x + z[:, j]), y, reduction="none") - gamma * cost).sum() / 3
            )
        x = x + eta * torch.autograd.grad(value, x)[0]
    torch.testing.assert_close(out, x.detach())


def test_lagrangian_ascent_reaches_the_known_maximum_of_a_quadratic():
    """l(x) = <a, x> without noise: l - gamma |x - x0|^2 is largest at x0 + a/(2 gamma), not clipped."""
    x0, a = torch.zeros(2, 1, 1, 3), torch.tensor([30.0, 0.0, -3.0]).reshape(1, 1, 1, 3)
    nothing = torch.zeros(2, 1, 1, 1, 3)
    out = ascent.lagrangian_ascent(lambda x, z: (x * a).flatten(1).sum(1), lambda: nothing, x0, 1.5, 15, 0.2)
    torch.testing.assert_close(out, (x0 + a / 3).expand_as(out), rtol=1e-3, atol=1e-3)
