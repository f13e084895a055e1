"""Every objective against its paper's formula in plain float64 (value and gradient), its limit cases, and
logits so large that float32 probabilities are exactly 0 and 1.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch
from objective_checks import (
    BATCH,
    NOISE,
    Tiny,
    check,
    generator,
    images,
    probabilities,
    run,
    same,
)
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from rs.methods import catalog
from rs.methods.noise.none import NoNoise
from rs.methods.objectives.adre import Adre
from rs.methods.objectives.adre_adv import AdreAdv
from rs.methods.objectives.clean import Clean
from rs.methods.objectives.consistency import Consistency
from rs.methods.objectives.gaussian import GaussianTraining
from rs.methods.objectives.macer import Macer
from rs.methods.objectives.nal import Nal
from rs.methods.objectives.pgd import Pgd
from rs.methods.objectives.smoothadv import SmoothAdv
from rs.methods.objectives.smoothmix import SmoothMix
from rs.methods.objectives.stability import Stability
from rs.methods.objectives.trades import Trades
from rs.methods.objectives.wrm import Wrm

# --- the formulas -------------------------------------------------------------------------------------------


def test_gaussian_is_cross_entropy_under_noise():
    def formula(model, x, y, draw):
        z, total = draw(3), 0.0
        for i in range(BATCH):
            for j in range(3):
                total = total - probabilities(model, x[i : i + 1] + z[i : i + 1, j])[0, y[i]].log()
        return total / (3 * BATCH)

    check(GaussianTraining(samples=3), formula)


def test_stability_is_clean_loss_plus_soft_cross_entropy_with_gradient_through_both():
    def formula(model, x, y, draw):
        z, clean, total = draw(2), probabilities(model, x), 0.0
        for i in range(BATCH):
            total = total - clean[i, y[i]].log()
            for j in range(2):
                noisy = probabilities(model, x[i : i + 1] + z[i : i + 1, j])[0]
                total = total - 0.8 * (clean[i] * noisy.log()).sum() / 2
        return total / BATCH

    check(Stability(gamma=0.8, samples=2), formula)


# --- limit cases --------------------------------------------------------------------------------------------


def test_nal_with_a_large_penalty_and_no_noise_in_the_cost_is_gaussian():
    """x stays x0; the outer noise is the draw after those of the K steps."""
    source = generator()
    x, y = images()
    model = Tiny()
    nal, _ = Nal(steps=2, samples=3, gamma=1e9, noise_in_cost=False).loss(model, x, y, NOISE, source, 0.0)
    source = generator()
    for _ in range(2):
        NOISE.sample((BATCH, 3, 2, 2, 2), source)
    gaussian, _ = GaussianTraining(samples=3).loss(model, x, y, NOISE, source, 0.0)
    torch.testing.assert_close(nal, gaussian, rtol=1e-7, atol=0)


def test_without_noise_the_objectives_are_their_noise_free_methods():
    model, (x, y) = Tiny(), images()
    clean = F.cross_entropy(model(x), y)
    entropy = -(probabilities(model, x) * probabilities(model, x).log()).sum(1).mean()
    torch.testing.assert_close(run(GaussianTraining(samples=2), noise=NoNoise())[0], clean)
    torch.testing.assert_close(run(Stability(gamma=2.0), noise=NoNoise())[0], clean + 2 * entropy)
    torch.testing.assert_close(run(Clean(), noise=NoNoise())[0], clean)
    # WRM's ascent, whatever the number of samples
    same(Nal(samples=1), Nal(samples=4, noise_in_cost=False), noise=NoNoise())
    assert run(Nal(), noise=NoNoise())[0] > clean


def test_noise_in_the_cost_recentres_the_draws():
    """With eta = 0.5/gamma and a constant loss x_K is x0 minus the mean of the last draw."""
    x, y = images()
    model = Tiny(0.0)
    _, scalars = Nal(steps=3, samples=2).loss(model, x, y, NOISE, generator(), 0.0)
    source = generator()
    draws = [NOISE.sample((BATCH, 2, 2, 2, 2), source) for _ in range(3)]
    expected = draws[-1].mean(1).flatten(1).square().sum(1).mean()
    torch.testing.assert_close(scalars["squared_distance"].float(), expected)
    _, scalars = Nal(steps=3, samples=2, noise_in_cost=False).loss(model, x, y, NOISE, generator(), 0.0)
    assert scalars["squared_distance"] == 0


# --- float32 at the ends, batch norm, parameters ------------------------------------------------------------

OBJECTIVES = [
    Clean(),
    GaussianTraining(samples=2),
    Stability(samples=2),
    Pgd(0.5, steps=2),
    Pgd(0.1, norm="linf", steps=2),
    SmoothAdv(0.5, steps=2, samples=2),
    SmoothAdv(0.5, steps=3, samples=3, attack="ddn"),
    Trades(0.5, steps=2, samples=2),
    Wrm(steps=2),
    Nal(steps=2, samples=2),
    Macer(k=2),
    Macer(k=2, correct="unscaled"),
    Adre(k=2),
    Adre(k=2, regularizer="radius"),
    AdreAdv(0.5, k=2),
    Consistency(),
    SmoothMix(samples=2, steps=2, one_step=True),
]


class Fixed(nn.Module):
    """Nearly the same logits for every image: `logit`, -`logit` and 0."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([logit, -logit, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (1 + 1e-3 * x.flatten(1).mean(1, keepdim=True))


def test_every_objective_is_tried():
    every = {catalog.find("objectives", n) for n in catalog.table("objectives")}
    denoise = {objective for objective in every if getattr(objective, "output", "logits") == "image"}
    assert {type(o) for o in OBJECTIVES} == every - denoise  # tests/methods/test_denoisers.py tries those


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_progress_counts_only_through_the_phase(objective):
    """A step that was recorded as a CUDA graph is replayed as long as the phase stays the same."""
    x, y = images()
    if not hasattr(objective, "phase"):
        objective.loss(Tiny(), x, y, NOISE, generator(), object())  # whoever reads it fails
        return
    early, late = 0.6, 0.7
    assert objective.phase(early) == objective.phase(late)
    losses = [objective.loss(Tiny(), x, y, NOISE, generator(), progress)[0] for progress in (early, late)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "grown", [SmoothAdv(0.5, warmup=0.5), Macer(k=2, lambda_from=0.5), SmoothMix(warmup=0.5)]
)
def test_a_warm_up_has_phases(grown):
    assert grown.phase(0.2) != grown.phase(0.8)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("logit", [1e4, -1e4, 0.0])
def test_finite_where_probabilities_are_zero_or_one(objective, logit):
    model = Fixed(logit)
    x, y = images()
    for labels in (torch.zeros_like(y), torch.ones_like(y), y):
        loss, scalars = objective.loss(model, x.float(), labels, NOISE, generator(), 0.5)
        (gradient,) = torch.autograd.grad(loss, model.weight)
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert gradient.isfinite().all()
        assert all(s.isfinite() for s in scalars.values())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_training_mode_and_parameters_survive_and_only_the_outer_pass_feeds_batch_norm(objective):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(8, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    ).train()
    x, y = images()
    before = copy.deepcopy(model.state_dict())
    loss, _ = objective.loss(model, x.float(), y, NOISE, generator(), 0.5)
    assert all(m.training for m in model.modules())
    assert all(p.grad is None for p in model.parameters())
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"2.running_mean", "2.running_var", "2.num_batches_tracked"}
    assert after["2.num_batches_tracked"] == 1
    assert loss.requires_grad
    assert not x.requires_grad


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (GaussianTraining, {"samples": 0}),
        (Stability, {"gamma": -1.0}),
        (Macer, {"lambda": -1.0}),
        (Macer, {"beta": 0.0}),
        (Nal, {"gamma": 0.0}),
        (Nal, {"gamma": math.nan}),
        (SmoothAdv, {"epsilon": -0.1}),
        (SmoothAdv, {"epsilon": 0.1, "steps": 0}),
        (SmoothAdv, {"epsilon": 0.1, "attack": "cw"}),
        (Pgd, {"epsilon": math.inf}),
        (Pgd, {"epsilon": 0.1, "norm": "l1"}),
        (Trades, {}),
        (Trades, {"epsilon": 0.1, "beta": -1.0}),
        (Wrm, {"gamma": 0.0}),
        (Adre, {"lambda": -0.1}),
        (Adre, {"floor": 0.0}),
        (AdreAdv, {"epsilon": 0.1, "k": 0}),
        (Consistency, {"eta": -1.0}),
        (SmoothMix, {"step_size": 0.0}),
    ],
)
def test_impossible_hyperparameters_are_refused(cls, wrong):
    with pytest.raises(ValidationError):
        TypeAdapter(cls).validate_python(wrong)
    assert TypeAdapter(Macer).validate_python({"lambda": 4.0}).lambda_ == 4.0
