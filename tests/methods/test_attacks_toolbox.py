"""Somebody else's attacks: ours beside them without noise, theirs on smoothed classifiers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from attacked_networks import ALL, smoothed
from attacked_networks import images as images  # fixtures
from attacked_networks import model as model
from torch import nn
from torch.nn import functional as F

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.attacks.autoattack import AutoAttackL2, AutoAttackLinf
from rs.methods.attacks.carlini_wagner_l2 import CarliniWagnerL2
from rs.methods.attacks.ddn import Ddn
from rs.methods.attacks.pgd_l2 import PgdL2
from rs.methods.attacks.pgd_linf import PgdLinf
from rs.methods.attacks.square import SquareLinf
from rs.methods.noise.none import NoNoise


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


class Given:
    """In place of a toolbox's attack: keeps what it is made with, and changes no image."""

    made: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, classifier: Any, **settings: Any) -> None:
        self.made.append(settings)

    def generate(self, image: np.ndarray, label: np.ndarray) -> np.ndarray:
        return image


@pytest.mark.parametrize(("kind", "norm"), [(AutoAttackL2, 2), (AutoAttackLinf, np.inf)])
def test_apgd_has_the_settings_of_the_version_for_randomised_defences(model, images, monkeypatch, kind, norm):
    """First step 2 epsilon, one start; the second loss where the first did not break the image."""
    evasion = pytest.importorskip("art.attacks.evasion")
    monkeypatch.setattr(evasion, "AutoProjectedGradientDescent", Given)
    monkeypatch.setattr(Given, "made", [])
    x, state = images[0][:1], smoothed(model.eval(), [0], NoNoise())
    right = model(x).argmax(1)
    both, wrong = ["cross_entropy", "difference_logits_ratio"], (right + 1) % 3
    for y, losses in ((right, both), (wrong, both[:1])):
        Given.made.clear()
        kind(steps=7, samples=2).at_radii(state, x, y, [0.25])
        same = {"norm": norm, "eps": 0.25, "eps_step": 0.5, "max_iter": 7, "nb_random_init": 1}
        assert Given.made == [same | {"loss_type": loss, "verbose": False} for loss in losses]


def test_the_square_attack_has_its_settings(model, images, monkeypatch):
    evasion = pytest.importorskip("art.attacks.evasion")
    monkeypatch.setattr(evasion, "SquareAttack", Given)
    monkeypatch.setattr(Given, "made", [])
    x, y = images
    attack = SquareLinf(steps=9, samples=2, initial_share=0.3)
    attack.at_radii(smoothed(model.eval(), [0], NoNoise()), x[:1], y[:1], [0.1, 0.2])
    same = {"norm": np.inf, "max_iter": 9, "p_init": 0.3, "verbose": False}
    assert Given.made == [same | {"eps": eps} for eps in (0.1, 0.2)]


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
