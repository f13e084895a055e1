"""Attacks that look for the nearest image: exact distances for linear classifiers, and what votes decide."""

from __future__ import annotations

import pytest
import torch
from attacked_networks import ALL, smoothed
from attacked_networks import images as images  # fixtures
from attacked_networks import linear as linear
from attacked_networks import model as model
from torch import nn

from rs.methods.attacks import boundary, carlini_wagner_l2, ddn
from rs.methods.attacks.carlini_wagner_l2 import CarliniWagnerL2
from rs.methods.attacks.ddn import Ddn
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.none import NoNoise

MINIMAL = [Ddn(steps=40, samples=8, votes=100), CarliniWagnerL2(3, 40, 8, 0.1, 10.0, votes=100)]


@pytest.mark.parametrize("attack", MINIMAL)
def test_minimal_attacks_depend_on_no_other_image(model, images, attack):
    x, y = images
    whole = attack.minimal(smoothed(model, ALL), x, y).images
    rows = [3, 1]
    part = attack.minimal(smoothed(model, rows), x[rows], y[rows]).images
    torch.testing.assert_close(part, whole[rows], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [NoNoise(), Gaussian(0.1)])
@pytest.mark.parametrize(
    "attack", [Ddn(steps=150, votes=2000), CarliniWagnerL2(6, 150, learning_rate=0.02, votes=2000)]
)
def test_minimal_attacks_find_the_distance_to_a_hyperplane(linear, attack, noise):
    """Smoothing a linear classifier moves its boundary nowhere; the votes' margin costs a little."""
    net, x, w = linear
    y = torch.zeros(5, dtype=torch.int64)
    logits = net(x)
    exact = (logits[:, 0] - logits[:, 1]) / w.norm()
    assert (exact > 0.05).all()
    found = attack.minimal(smoothed(net, ALL, noise), x, y)
    distance = (found.images - x).flatten(1).norm(dim=1)
    # 3 sqrt(2000) votes more than half: p = 0.534, where Phi(margin/sigma) = p, and what one halving leaves
    margin = 0.1 * 0.11 if isinstance(noise, Gaussian) else 0.0
    assert (distance >= exact - 1e-4).all()
    assert (distance <= 1.06 * (exact + margin)).all()
    votes = smoothed(net, ALL, noise).votes(found.images, 1001, 1001)
    assert (votes.argmax(1) == 1).all()


@pytest.mark.parametrize("attack", MINIMAL)
def test_a_misclassified_image_is_its_own_nearest_one(linear, attack):
    net, x, _ = linear
    wrong = attack.minimal(smoothed(net, ALL, NoNoise()), x, torch.ones(5, dtype=torch.int64)).images
    torch.testing.assert_close(wrong, x, rtol=0, atol=1e-5)
    constant = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    nn.init.zeros_(constant[1].weight)
    constant[1].bias.data = torch.tensor([1.0, 0.0])
    assert torch.equal(attack.minimal(smoothed(constant, ALL), x, torch.zeros(5).long()).images, x)


def test_many_votes_settle_at_the_boundary_and_few_do_where_all_is_clear(linear):
    """The distance to a hyperplane along a ray is known: 10,000 votes end 0.04 sigma beyond it, not 0.19."""
    net, x, w = linear
    y, sigma = torch.zeros(5, dtype=torch.int64), 0.1
    logits = net(x)
    exact = (logits[:, 0] - logits[:, 1]) / w.norm()
    ray = (2.5 * exact)[:, None] * w / w.norm()
    found = x + ray.reshape_as(x)
    state = smoothed(net, ALL, Gaussian(sigma))
    excess = (boundary.settle(state, x, y, found, 10_000) - x).flatten(1).norm(dim=1) - exact
    resolution = 2.5 * exact / 2**8
    assert (excess >= -0.01 * sigma).all()
    assert (excess <= 0.07 * sigma + resolution).all()
    few = (boundary.settle(state, x, y, found, 400) - x).flatten(1).norm(dim=1) - exact
    assert few.mean() > excess.mean() + 0.08 * sigma
    drawn: list[int] = []

    class Counted(Gaussian):
        def sample(self, shape, generator):
            drawn.append(shape[0])
            return super().sample(shape, generator)

    boundary.settle(smoothed(net, [0], Counted(sigma)), x[:1], y[:1], found[:1], 10_000)
    assert 400 < sum(drawn) < 0.6 * 10_000 * 9  # the far places of the nine looked at took 400 each


def test_an_iterate_counts_only_where_another_class_leads_clearly():
    votes = torch.tensor([[8, 8, 0], [4, 12, 0], [5, 11, 0], [0, 0, 16], [16, 0, 0], [5, 6, 5]])
    assert boundary.clearly_wrong(votes, torch.zeros(6).long(), 2).tolist() == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]
    one = torch.tensor([[0, 1], [1, 0]])  # without noise one vote says all
    assert boundary.clearly_wrong(one, torch.zeros(2).long(), 3).tolist() == [True, False]


def test_right_is_clear_where_the_label_leads_by_so_many_deviations():
    votes = torch.tensor([[300, 100, 0], [231, 169, 0], [229, 171, 0], [100, 300, 0], [200, 140, 60]])
    found = boundary._clearly_right(votes, torch.zeros(5).long(), 3)
    assert found.tolist() == [True, True, False, False, True]  # 3 sqrt(400) = 60 votes


def test_every_place_on_a_ray_meets_the_same_noise_and_the_next_ray_another(linear):
    """Else the luckiest of many looks would win."""
    net, x, w = linear
    drawn: list[float] = []

    class Noted(Gaussian):
        def sample(self, shape, generator):
            z = super().sample(shape, generator)
            drawn.append(float(z.flatten()[0]))
            return z

    state, y = smoothed(net, [0], Noted(0.1)), torch.zeros(1, dtype=torch.int64)
    looked = []
    for _ in range(2):
        drawn.clear()
        boundary.settle(state, x[:1], y, x[:1] + w.reshape(1, 1, 4, 4) / w.norm(), 400)
        assert len(drawn) > boundary._HALVINGS
        looked.append({*drawn})
    assert [len(each) for each in looked] == [1, 1]
    assert looked[0] != looked[1]


class Second(nn.Module):
    """Class 1 where the second coordinate is above 0.8."""

    def forward(self, x):
        above = x.flatten(1)[:, 1] - 0.8
        return torch.stack([-above, above], 1)


def test_a_ray_that_leaves_the_box_settles_inside():
    x = torch.tensor([0.9, 0.1]).reshape(1, 1, 1, 2)
    found = boundary.settle(smoothed(Second(), [0], NoNoise()), x, torch.zeros(1).long(), x + 1, 100)
    assert found.flatten().tolist() == pytest.approx([1.0, 0.8], abs=1e-2)
    assert found.max() <= 1


def test_ddn_starts_from_its_norm_and_changes_it_by_gamma(linear, monkeypatch):
    """The second of two steps judges the first one's point, which lies initial_norm (1 + gamma) away."""
    monkeypatch.setattr(ddn, "settle", lambda smoothed, x, y, found, votes: found)
    net, x, _ = linear
    for gamma in (0.1, 0.2):
        attack = Ddn(steps=2, samples=1, gamma=gamma, initial_norm=0.5)
        found = attack.minimal(smoothed(net, ALL, NoNoise()), x, torch.zeros(5, dtype=torch.int64)).images
        assert (found - x).flatten(1).norm(dim=1).tolist() == pytest.approx([0.5 * (1 + gamma)] * 5)


def test_carlini_and_wagner_search_for_the_least_c_that_succeeds(linear, monkeypatch):
    """From initial_c times 10 until one succeeds, then halfway between the last that failed and the least
    that did not.
    """
    net, x, w = linear
    logits, least = net(x), torch.tensor([0.0, 30.0, 4.0, 1e9, 30.0])
    beyond = (2 * (logits[:, 0] - logits[:, 1]) / w.norm())[:, None] * w / w.norm()
    tried = []

    def minimised(self, smoothed, x, y, c):
        tried.append(c.tolist())
        return x + torch.where((c >= least)[:, None], beyond, 0.0).reshape_as(x)

    monkeypatch.setattr(CarliniWagnerL2, "_minimise", minimised)
    attack = CarliniWagnerL2(search_steps=5, initial_c=2.0, votes=100)
    found = attack.minimal(smoothed(net, ALL, NoNoise()), x, torch.zeros(5, dtype=torch.int64)).images
    by_image = [list(c) for c in zip(*tried, strict=True)]
    assert by_image[0] == [2.0, 1.0, 0.5, 0.25, 0.125]
    assert by_image[1] == by_image[4] == [2.0, 20.0, 200.0, 110.0, 65.0]
    assert by_image[2] == [2.0, 20.0, 11.0, 6.5, 4.25]
    assert by_image[3] == [2.0, 20.0, 200.0, 2000.0, 20000.0]
    assert torch.equal(found[3], x[3])
    assert (net(found).argmax(1) == 1).tolist() == [True, True, True, False, True]


def test_the_nearest_of_carlini_and_wagners_points_is_settled_again_by_all_votes(linear, monkeypatch):
    net, x, w = linear
    settled = []

    def settle(smoothed, x, y, found, votes):
        settled.append((found, votes))
        return x + (0.3 if votes == 5000 else 0.5 / len(settled)) * w.reshape(1, 1, 4, 4)

    monkeypatch.setattr(carlini_wagner_l2, "settle", settle)
    attack = CarliniWagnerL2(search_steps=3, steps=2, samples=1, votes=5000)
    found = attack.minimal(smoothed(net, ALL, NoNoise()), x, torch.zeros(5, dtype=torch.int64)).images
    assert [votes for _, votes in settled] == [400, 400, 400, 5000]
    direction = w.reshape(1, 1, 4, 4).expand_as(x)
    torch.testing.assert_close(settled[-1][0], x + 0.5 / 3 * direction)
    torch.testing.assert_close(found, x + 0.3 * direction)


def test_a_point_of_carlini_and_wagners_is_the_mean_over_the_later_half(linear):
    net, x, _ = linear
    y, c = torch.zeros(5, dtype=torch.int64), torch.full((5,), 3.0)
    w = torch.atanh(2 * x - 1).requires_grad_()
    adam, passed = torch.optim.Adam([w], 0.05), []
    for _ in range(5):
        at = (torch.tanh(w) + 1) / 2
        lead = (net(at)[:, 0] - net(at)[:, 1]).clamp_min(0)
        (w.grad,) = torch.autograd.grad(((at - x).square().sum((1, 2, 3)) + c * lead).sum(), w)
        adam.step()
        passed.append(w.detach().clone())
    attack = CarliniWagnerL2(steps=5, samples=1, learning_rate=0.05)
    found = attack._minimise(smoothed(net, ALL, NoNoise()), x, y, c)
    later = torch.stack(passed[2:]).mean(0)
    torch.testing.assert_close(found, (torch.tanh(later) + 1) / 2, rtol=1e-4, atol=1e-5)


def test_carlini_and_wagners_first_step_is_as_long_as_the_learning_rate(linear):
    """Adam's is, in every coordinate of w; it leads towards the other class."""
    net, x, w = linear
    attack = CarliniWagnerL2(steps=1, samples=1, learning_rate=0.03)
    found = attack._minimise(
        smoothed(net, ALL, NoNoise()), x, torch.zeros(5, dtype=torch.int64), torch.ones(5)
    )
    moved = torch.atanh(2 * found - 1) - torch.atanh(2 * x - 1)
    torch.testing.assert_close(moved, 0.03 * w.sign().reshape(1, 1, 4, 4).expand_as(x), rtol=1e-3, atol=0)


def test_carlini_and_wagners_margin_is_a_mean_that_ends_at_the_confidence(model, images):
    x, y = images
    net, attack = model.eval(), CarliniWagnerL2(samples=6, confidence=0.2)
    found, z = attack._margin(smoothed(net, ALL), x, y), smoothed(net, ALL).noise_like(x, 6)
    ended = 0
    for i in range(5):
        leads = [row[y[i]] - max(row[c] for c in range(3) if c != y[i]) for row in net(x[i] + z[i]).detach()]
        ended += sum(bool(lead < -0.2) for lead in leads)
        assert found[i].item() == pytest.approx(float(sum(max(lead, -0.2) for lead in leads)) / 6, abs=1e-5)
    assert 0 < ended < 30
