"""Attacks on tiny networks: ball and box, exact answers for linear classifiers, somebody else's attacks."""

from __future__ import annotations

import copy
import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.attacks import boundary
from rs.methods.attacks.adre_pgd import AdrePgd
from rs.methods.attacks.autoattack import AutoAttackL2, AutoAttackLinf
from rs.methods.attacks.carlini_wagner_l2 import CarliniWagnerL2
from rs.methods.attacks.ddn import Ddn
from rs.methods.attacks.lagrangian import Lagrangian
from rs.methods.attacks.pgd_l2 import PgdL2
from rs.methods.attacks.pgd_linf import PgdLinf
from rs.methods.attacks.square import SquareLinf
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.none import NoNoise
from rs.networks.differentiable import require_gradients
from rs.smoothing.smoothed import Smoothed

RADII = (0.0, 0.25, 0.5, 1.0)
LINF = (0.0, 0.02, 0.1, 0.3)
PGD = [PgdL2(steps=6), PgdL2(steps=6, loss="mean"), PgdL2(steps=6, random_start=True)]
PGD += [PgdLinf(steps=6), PgdLinf(steps=6, loss="soft"), PgdLinf(steps=6, random_start=True)]
PGD += [AdrePgd(steps=6), AdrePgd(steps=6, redraw=True)]
MINIMAL = [Ddn(steps=40, samples=8, votes=100), CarliniWagnerL2(3, 40, 8, 0.1, 10.0, votes=100)]


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3)
    ).train()


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    x[0, 0, 0], x[1, 0, 1] = 0.0, 1.0  # on the faces of the box
    return x, torch.arange(5) % 3


@pytest.fixture(scope="module")
def linear() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Two classes, images far from the faces of the box, all of class 0, and their distances to class 1."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).requires_grad_(False)
    x = 0.4 + 0.2 * torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    w = net[1].weight[1] - net[1].weight[0]
    net[1].bias[:] = torch.tensor([float((x.flatten(1) @ w).max()) + 0.1 * float(w.norm()), 0.0])
    return net, x, w


def smoothed(model: nn.Module, rows: list[int], noise=None) -> Smoothed:
    return Smoothed(model, noise or Gaussian(0.25), [torch.Generator().manual_seed(100 + i) for i in rows])


ALL = list(range(5))


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


@pytest.mark.parametrize("attack", MINIMAL)
def test_minimal_attacks_depend_on_no_other_image(model, images, attack):
    x, y = images
    whole = attack.minimal(smoothed(model, ALL), x, y).images
    rows = [3, 1]
    part = attack.minimal(smoothed(model, rows), x[rows], y[rows]).images
    torch.testing.assert_close(part, whole[rows], rtol=1e-3, atol=1e-3)


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


def test_the_lagrangian_attack_is_one_ascent_cut_at_every_radius(model, images):
    x, y = images
    net = model.eval()
    attack = Lagrangian(gamma=0.2, steps=4, noise_in_cost=False)
    found = attack.at_radii(smoothed(net, ALL), x, y, [0.0, 0.05, 100.0])
    whole = (found.images[2] - x).flatten(1)
    assert (whole.norm(dim=1) > 0.05).any()
    for full, cut in zip(whole, (found.images[1] - x).flatten(1), strict=True):
        torch.testing.assert_close(cut, full * min(1.0, 0.05 / float(full.norm())), rtol=1e-4, atol=1e-6)
    cheap = Lagrangian(gamma=20.0, steps=4, noise_in_cost=False)
    assert (cheap.at_radii(smoothed(net, ALL), x, y, [100.0]).images[0] - x).norm() < 0.2 * whole.norm()


def test_one_sample_is_all_of_a_classifier_without_noise(model, images):
    x, y = images
    state = smoothed(model.eval(), ALL, NoNoise())
    assert state.noise_like(x, 16).shape == (5, 1, 1, 4, 4)
    assert state.votes(x, 7, 3).sum(1).tolist() == [7] * 5
    torch.testing.assert_close(state.soft_loss(x, y, 16), F.cross_entropy(model(x), y, reduction="none"))


# --- somebody else's attacks ---


@pytest.fixture(scope="module")
def toolbox(model):
    """ART's classifier on the same network, without noise."""
    art = pytest.importorskip("art.estimators.classification")
    loss = nn.CrossEntropyLoss()
    return art.PyTorchClassifier(model.eval(), loss, (1, 4, 4), 3, clip_values=(0.0, 1.0), device_type="cpu")


@pytest.mark.parametrize(("norm", "radius"), [(2, 0.3), (np.inf, 0.05)])
def test_without_noise_pgd_is_that_of_the_toolbox(model, toolbox, norm, radius):
    from art.attacks.evasion import ProjectedGradientDescent

    x = 0.4 + 0.2 * torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    y = model.eval()(x).argmax(1)
    own = (PgdL2 if norm == 2 else PgdLinf)(steps=10)
    found = own.at_radii(smoothed(model, ALL, NoNoise()), x, y, [radius]).images[0]
    settings = {"norm": norm, "eps": radius, "eps_step": 2 * radius / 10, "max_iter": 10, "verbose": False}
    theirs = ProjectedGradientDescent(toolbox, **settings).generate(x.numpy(), F.one_hot(y, 3).numpy())
    mine, other = (found - x).flatten(1), torch.tensor(theirs).flatten(1) - x.flatten(1)
    # both end on the sphere; the toolbox's gradients are of the mean over the batch, scaled away again
    assert (F.cosine_similarity(mine, other) > 0.99).all()
    torch.testing.assert_close(mine.norm(dim=1), other.norm(dim=1), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_without_noise_the_minimal_attacks_are_as_near_as_the_toolboxs(model, toolbox):
    from art.attacks.evasion import CarliniL2Method

    x = 0.3 + 0.4 * torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    y = model.eval()(x).argmax(1)
    settings = {"max_iter": 40, "binary_search_steps": 5, "learning_rate": 0.05, "initial_const": 1.0}
    theirs = CarliniL2Method(toolbox, **settings, verbose=False).generate(x.numpy(), F.one_hot(y, 3).numpy())
    theirs = torch.tensor(theirs)
    reached = model(theirs).argmax(1) != y
    assert reached.any()
    far = (theirs - x).flatten(1).norm(dim=1)[reached]
    for attack in (Ddn(steps=300), CarliniWagnerL2(steps=150, learning_rate=0.05)):
        found = attack.minimal(smoothed(model, [0, 1, 2], NoNoise()), x, y).images
        assert (model(found).argmax(1) != y).all()
        assert ((found - x).flatten(1).norm(dim=1)[reached] <= 1.1 * far).all()


@pytest.mark.parametrize("name", ["square_linf", "autoattack_l2", "autoattack_linf"])
def test_the_toolboxs_attacks_work_on_smoothed_classifiers_one_image_at_a_time(model, images, name):
    pytest.importorskip("art")
    x, y = images
    y = smoothed(model.eval(), ALL).votes(x, 500, 500).argmax(1)
    share = {"initial_share": 0.3} if name == "square_linf" else {}
    attack = catalog.build("attacks", {"name": name, "steps": 12, "samples": 4, **share})
    before, state = np.random.get_state()[1].copy(), torch.get_rng_state()
    found = attack.at_radii(smoothed(model, ALL), x, y, [0.0, 0.6])
    assert np.array_equal(np.random.get_state()[1], before)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found.images[0], x)
    assert found.images.min() >= 0
    assert found.images.max() <= 1
    distance = torch.linalg.vector_norm((found.images[1] - x).flatten(1), attack.norm, dim=1)
    assert (distance <= 0.6 * (1 + 1e-5)).all()
    assert (found.steps[0] == 0).all()
    assert (found.steps[1] > 0).all()
    loss = smoothed(model, ALL)
    assert loss.soft_loss(found.images[1], y, 500).mean() > loss.soft_loss(x, y, 500).mean()
    rows = [3, 1]
    alone = attack.at_radii(smoothed(model, rows), x[rows], y[rows], [0.6])
    torch.testing.assert_close(alone.images[0], found.images[1, rows], rtol=1e-3, atol=1e-3)


def test_white_box_pgd_is_about_as_strong_as_autoattack(images):
    """Smoothed loss at the end points: ours must not fall far behind somebody else's adaptive steps."""
    pytest.importorskip("art")
    torch.manual_seed(5)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3)).requires_grad_(False)
    x, _ = images
    y = smoothed(net, ALL).votes(x, 500, 500).argmax(1)
    for ours, theirs, radius in (
        (PgdL2(), AutoAttackL2(30, 16), 0.5),
        (PgdLinf(), AutoAttackLinf(30, 16), 0.1),
    ):
        mine = ours.at_radii(smoothed(net, ALL), x, y, [radius]).images[0]
        other = theirs.at_radii(smoothed(net, ALL), x, y, [radius]).images[0]
        judge = smoothed(net, ALL)
        clean, a, b = (judge.soft_loss(at, y, 2000).mean() for at in (x, mine, other))
        assert a - clean > 0.9 * (b - clean)


def test_a_missing_toolbox_is_one_line(model, images, monkeypatch):
    from rs.methods.attacks import toolbox

    def no_package(name: str) -> None:
        raise ModuleNotFoundError(name)

    for absent in (no_package, lambda name: None):  # no art at all; another package of that name
        monkeypatch.setattr(toolbox, "find_spec", absent)
        with pytest.raises(UserError, match=r"pip install adversarial-robustness-toolbox$") as caught:
            SquareLinf().at_radii(smoothed(model, ALL), *images, [0.1])
        assert "\n" not in str(caught.value)
    monkeypatch.undo()
    with pytest.raises(UserError, match="4x4 are too small for initial_share"):
        SquareLinf().at_radii(smoothed(model, ALL), *images, [0.1])


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
