"""Every method of every table of contents, and of installed plug-ins, keeps its kind's contract."""

from __future__ import annotations

import dataclasses
import inspect
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from built_methods import SCHEMA, build
from torch import nn

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.interfaces import MinimalAttack
from rs.networks import checkpoints
from rs.smoothing.smoothed import Smoothed
from rs.statistics.draws import Draws, Votes
from rs.statistics.paired_draws import PairedDraws
from rs.study.feasibility import least_votes
from rs.study.schema import defaults

METHODS = [(kind, name) for kind in catalog.TABLES for name in catalog.table(kind)]


@pytest.mark.parametrize(("kind", "name"), METHODS)
def test_every_method_is_a_described_frozen_dataclass(kind, name):
    cls = catalog.find(kind, name)
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen
    assert isinstance(cls.source, str)
    assert cls.source.strip()
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{cls.__name__}("), "the automatic docstring says nothing"
    assert inspect.getmodule(cls).__doc__
    made = build(kind, name)
    assert hash(made) == hash(build(kind, name))
    for fact in ("norms", "needs", "rigorous") if kind == "certificates" else ():
        assert hasattr(cls, fact)
    if kind == "certificates":
        assert cls.needs <= {"counts", "soft_moments", "paired_counts"}
        assert cls.norms.keys() <= set(catalog.table("noises"))
        assert all(norm in (1, 2, math.inf) for norm in cls.norms.values())


@pytest.mark.parametrize("name", catalog.table("datasets"))
def test_datasets_state_their_facts(name):
    data = build("datasets", name)
    assert len(data.shape) == 3
    if "shape" not in SCHEMA["$defs"]["datasets"][name]["x-parameters"]:  # else they are measured
        assert len(data.mean) == len(data.std) == data.shape[0]
    assert data.classes >= 2
    assert set(data.sizes) == {"train", "test"}


MODELS = [
    (name, shape, activation)
    for name in catalog.table("models")
    for shape in catalog.find("models", name).shapes
    for activation in SCHEMA["$defs"]["models"][name]["properties"].get("activation", {}).get("enum", [None])
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape", "activation"), MODELS)
def test_models_give_logits_for_every_shape_and_activation(name, shape, activation):
    model = build("models", name, **({"activation": activation} if activation else {}))
    torch.manual_seed(0)
    network = model.build(shape, 7, [0.5] * shape[0], [0.25] * shape[0])
    x = torch.rand(3, *shape)
    logits = network(x)
    assert logits.shape == (3, 7)
    assert logits.isfinite().all()
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    network.eval()
    torch.testing.assert_close(network(x)[:2], network(x[:2]))  # no image depends on its batch


@pytest.mark.parametrize(("name", "shape"), {name: shape for name, shape, _ in MODELS}.items())
def test_models_load_their_weights_by_names_alone(name, shape):
    """Files of ours keep no versions of modules: one that converts what tells none would load as another."""
    given = (shape, 7, [0.5] * shape[0], [0.25] * shape[0])
    trained, again = (build("models", name).build(*given).eval() for _ in range(2))
    checkpoints.load_state(again, dict(trained.state_dict()), Path("weights"), name)
    found = again.state_dict()
    assert all(torch.equal(found[key], value) for key, value in trained.state_dict().items())
    x = torch.rand(2, *shape)
    torch.testing.assert_close(again(x), trained(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", catalog.table("noises"))
def test_noises_have_shape_dtype_and_come_from_the_generator(name):
    noise = build("noises", name)
    shape = (5, 2, 4, 4)
    before = torch.get_rng_state()
    first, again, other = (noise.sample(shape, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.shape == shape
    assert (first.dtype, first.device.type) == (torch.float32, "cpu")
    assert first.isfinite().all()
    assert torch.equal(first, again)
    assert name == "none" or not torch.equal(first, other)
    if name != "none":  # it has no density
        ratio = noise.log_ratio(first, torch.zeros(shape[1:]))
        torch.testing.assert_close(ratio, torch.zeros(5, dtype=ratio.dtype))


class Denoiser(nn.Module):
    """Images to images, with batch norm as `Net` has it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        images: torch.Tensor = self.body(x)
        return images


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.body(x)
        return logits


def compatible_noises(objective: str) -> list[str]:
    only = SCHEMA["$defs"]["objectives"][objective].get("x-noises")
    return only or list(catalog.table("noises"))


TRAININGS = [(o, n) for o in catalog.table("objectives") for n in compatible_noises(o)]


@pytest.mark.parametrize(("objective", "noise"), TRAININGS)
def test_objectives_give_a_finite_scalar_with_gradients(objective, noise):
    facts, z = SCHEMA["$defs"]["objectives"][objective], build("noises", noise)
    others = {key: Net().eval().requires_grad_(False) for key in facts.get("x-networks", {})}
    method = dataclasses.replace(build("objectives", objective), **others)
    trained = Denoiser if facts.get("x-output") == "image" else Net
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    y = torch.arange(6)
    for progress in (0.0, 0.99):
        net = trained().train()
        loss, scalars = method.loss(net, x.clone(), y, z, torch.Generator().manual_seed(4), progress)
        assert loss.shape == ()
        assert loss.isfinite()
        loss.backward()
        gradients = [p.grad for p in net.parameters()]
        assert all(g is not None and g.isfinite().all() for g in gradients)
        assert any(bool((g != 0).any()) for g in gradients)
        assert all(v.dim() == 0 and not v.requires_grad and v.isfinite() for v in scalars.values())
        assert all(m.training for m in net.modules())  # inner attacks give the mode back
        again, _ = method.loss(trained().train(), x.clone(), y, z, torch.Generator().manual_seed(4), progress)
        assert torch.equal(loss, again)


@pytest.mark.parametrize("name", catalog.table("attacks"))
@pytest.mark.parametrize("noise", ["gaussian", "none"])
def test_attacks_stay_in_ball_and_box(name, noise):
    if catalog.find("attacks", name).access == "transfer":
        return  # a plan puts the source's own attack in its place: tests/stages/test_attacking.py
    quick = {"steps": 3, "samples": 2, "votes": 20, "search_steps": 2}
    fields = SCHEMA["$defs"]["attacks"][name]["properties"]
    attack = build("attacks", name, **{k: v for k, v in quick.items() if k in fields})
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    generators = [torch.Generator().manual_seed(i) for i in range(4)]
    smoothed = Smoothed(Net().eval(), build("noises", noise), generators)
    radii = [0.0, 0.3, 1.5]
    y = torch.arange(4)
    if isinstance(attack, MinimalAttack):
        found = attack.minimal(smoothed, x, y)
        assert found.images.shape == x.shape
        assert found.steps.tolist() == [int(found.steps[0])] * 4
        assert 0 <= found.images.min() <= found.images.max() <= 1
        return
    found = attack.at_radii(smoothed, x, y, radii)
    assert found.images.shape == (3, 4, 1, 8, 8)
    assert found.steps.shape == (3, 4)
    assert torch.equal(found.images[0], x)
    assert (found.steps[0] == 0).all()
    assert 0 <= found.images.min() <= found.images.max() <= 1
    for radius, images in zip(radii, found.images, strict=True):
        distance = torch.linalg.vector_norm((images - x).double().flatten(1), attack.norm, dim=1)
        assert (distance <= radius * (1 + 1e-6)).all()


CLAIMS = [(c, n) for c in catalog.table("certificates") for n in catalog.find("certificates", c).norms]
TABLES_BY_QUADRATURE = [("bilateral", "spherical"), ("bilateral", "sup_norm")]  # take a second each
QUICK = {"table_draws": 2000, "draws": 500, "first_draws": 200, "radii": 8}
D, N = 64, 1000


def draws(counts: list[list[int]]) -> Draws:
    """N estimation votes per row, of a first network too; moments as if every vote were sure."""
    est = np.array(counts)
    plain = Draws.from_counts(est, est, D)
    moments = {1.0: est.astype(float)}
    votes = Votes(est, moments, moments)
    given = {**vars(plain), "selection": votes, "estimation": votes}
    return PairedDraws(**given, first=votes, beside=est, both=est)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "noise"), CLAIMS)
def test_certificates_abstain_on_ties_and_grow_with_the_votes(name, noise):
    parameters = SCHEMA["$defs"]["certificates"][name]["properties"]
    certificate = build("certificates", name, **{k: v for k, v in QUICK.items() if k in parameters})
    z = build("noises", noise)
    rows = [[500, 500, 0], [334, 333, 333], [0, 520, 480], [0, 20, 980], [0, 5, 995], [1000, 0, 0]]
    found = certificate.certify(draws(rows), z, 0.001)
    assert found.prediction.dtype == np.int64
    assert found.radius.dtype == np.float64
    assert np.all(found.radius >= 0)
    assert np.all(found.radius[found.prediction == -1] == 0)
    assert np.all(np.isfinite(found.radius))
    assert all(p in (-1, top) for p, top in zip(found.prediction[3:], (2, 2, 0), strict=True))
    assert found.radius[3] <= found.radius[4] <= found.radius[5]
    again = certificate.certify(draws(rows), z, 0.001)
    assert np.array_equal(found.radius, again.radius)
    if certificate.rigorous:  # the others are as published: STN's symmetric formula certifies ties
        assert list(found.prediction[:3]) == [-1, -1, -1]
        looser = certificate.certify(draws(rows), z, 0.05)
        assert np.all(looser.radius >= found.radius * (1 - 1e-9))


@pytest.mark.parametrize(
    ("name", "noise"),
    [
        pytest.param(*c, marks=[pytest.mark.slow] if c in TABLES_BY_QUADRATURE else [])
        for c in CLAIMS
        if catalog.find("certificates", c[0]).needs
        != {"paired_counts"}  # the rule of its draws says how many
    ],
)
@pytest.mark.parametrize("share", [0.2, 0.9])
@pytest.mark.parametrize("alpha", [0.001, 0.25])
def test_fewer_votes_than_the_least_only_abstain(name, noise, share, alpha):
    """The plan's refusal is exact: one vote more, all for one class, and the certificate does not abstain."""
    facts = SCHEMA["$defs"]["certificates"][name]
    given = {k: v for k, v in {**QUICK, "alpha_share": share}.items() if k in facts["properties"]}
    use = defaults(facts, {"name": name, "alpha": alpha, **given})
    n0, bound = 2, use.get("bound", facts.get("x-bound", ""))
    least = least_votes(use, facts, noise, n0)
    for n in range(max(least - 1, 1), least + 1):
        sure = Votes(np.array([[n, 0, 0]]), {1.0: np.array([[n, 0.0, 0]])}, {1.0: np.array([[n, 0.0, 0]])})
        base = Draws.from_counts([[n0, 0, 0]], [[n, 0, 0]], D)
        selection = dataclasses.replace(sure, counts=np.array([[n0, 0, 0]]))
        votes = dataclasses.replace(base, selection=selection, estimation=sure)
        if bound == "bernstein" and n == 1:
            continue  # no variance
        found = build("certificates", name, **given).certify(votes, build("noises", noise), alpha)
        assert (found.prediction[0] == -1) == (n < least)


@pytest.mark.parametrize("name", catalog.table("certificates"))
def test_certificates_refuse_other_noises(name):
    other = SimpleNamespace(sigma=1.0)
    with pytest.raises((UserError, ValueError, TypeError)):
        build("certificates", name).certify(draws([[900, 100]]), other, 0.001)
