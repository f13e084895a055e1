"""Every objective against its paper's formula in plain float64 (value and gradient), its limit cases, and
logits so large that float32 probabilities are exactly 0 and 1.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from rs.noise.gaussian import Gaussian
from rs.noise.none import NoNoise
from rs.objectives.gaussian import GaussianTraining
from rs.objectives.macer import Macer
from rs.objectives.nal import Nal
from rs.objectives.smoothadv import SmoothAdv
from rs.objectives.stability import Stability
from rs.spec import Calibrated

SIGMA = 0.4
NOISE = Gaussian(SIGMA)
BATCH = 6


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


class Tiny(nn.Module):
    """Smooth, three classes, float64; `scale` multiplies its logits."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last = nn.Linear(8, 6).double(), nn.Linear(6, 3).double()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.last(torch.tanh(self.first(x.flatten(1))))


def images() -> tuple[Tensor, Tensor]:
    x = torch.rand(BATCH, 2, 2, 2, generator=torch.Generator().manual_seed(2)).double()
    return x, torch.arange(BATCH) % 3


def run(objective, model=None, noise=NOISE, progress=0.5):
    """Loss, gradients of all parameters, and recorded scalars."""
    model = model or Tiny()
    x, y = images()
    loss, scalars = objective.loss(model, x, y, noise, generator(), progress)
    return loss, torch.autograd.grad(loss, list(model.parameters())), scalars


def check(objective, expected, model=None, **kwargs) -> None:
    """`expected(model, x, y, draw)` is the paper's formula; draw(S) gives the next noise [B, S, ...]."""
    model = model or Tiny()
    loss, gradients, scalars = run(objective, model, **kwargs)
    x, y = images()
    source = generator()
    value = expected(model, x, y, lambda s: NOISE.sample((BATCH, s, 2, 2, 2), source).double())
    torch.testing.assert_close(loss, value)
    for mine, theirs in zip(gradients, torch.autograd.grad(value, list(model.parameters())), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert all(not s.requires_grad and s.isfinite() and s.dim() == 0 for s in scalars.values())


def probabilities(model: nn.Module, x: Tensor, beta: float = 1.0) -> Tensor:
    scores = (beta * model(x)).exp()
    return scores / scores.sum(1, keepdim=True)


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


def macer_formula(gamma: float, lambda_: float, beta: float, k: int, unscaled: bool = False):
    def formula(model, x, y, draw):
        z, total, active = draw(k), 0.0, 0
        for i in range(BATCH):
            noisy = x[i] + z[i]
            plain, scaled = probabilities(model, noisy).mean(0), probabilities(model, noisy, beta).mean(0)
            total = total - plain[y[i]].log()
            second = max((c for c in range(3) if c != y[i]), key=lambda c: scaled[c].item())
            if (plain if unscaled else scaled).argmax() == y[i]:
                xi = torch.special.ndtri(scaled[y[i]]) - torch.special.ndtri(scaled[second])
                hinge = torch.clamp(gamma - xi, min=0)
                active += int(hinge > 0)
                total = total + lambda_ * SIGMA / 2 * hinge
        assert 0 < active < BATCH
        return total / BATCH

    return formula


@pytest.mark.parametrize("beta", [1.0, 4.0])
@pytest.mark.parametrize("correct", ["scaled", "unscaled"])
def test_macer_is_algorithm_1(beta, correct):
    objective = Macer(k=4, lambda_=3.0, gamma=2.0, beta=beta, correct=correct)
    check(objective, macer_formula(2.0, 3.0, beta, 4, correct == "unscaled"), Tiny(4.0))


def test_macer_records_its_two_terms():
    loss, _, scalars = run(Macer(k=4, lambda_=3.0), Tiny(4.0))
    torch.testing.assert_close(loss.detach(), scalars["classification"] + 3.0 * scalars["robustness"])
    assert 0 < scalars["correct"] < 1


@pytest.mark.parametrize("noise_in_cost", [True, False])
def test_nal_is_algorithm_1(noise_in_cost):
    gamma, eta = 0.6, 0.3

    def formula(model, x0, y, draw):
        x = x0
        for _ in range(3):
            z = draw(2)
            x = x.detach().requires_grad_()
            value = 0.0
            for j in range(2):
                moved = x + z[:, j] - x0 if noise_in_cost else x - x0
                loss = F.cross_entropy(model(x + z[:, j]), y, reduction="sum")
                value = value + (loss - gamma * moved.square().sum()) / 2
            x = (x + eta * torch.autograd.grad(value, x)[0]).detach()
        z = draw(2)
        return sum(F.cross_entropy(model(x + z[:, j]), y) for j in range(2)) / 2

    objective = Nal(steps=3, samples=2, gamma=gamma, step_size=eta, noise_in_cost=noise_in_cost)
    check(objective, formula)


@pytest.mark.parametrize("redraw", [True, False])
def test_smoothadv_is_pgd_on_the_soft_smoothed_loss(redraw):
    epsilon, steps, m = 0.7, 4, 3

    def formula(model, x0, y, draw):
        z, x = draw(m), x0
        for _ in range(steps):
            z = draw(m) if redraw else z
            x = x.detach().requires_grad_()
            mean = sum(probabilities(model, x + z[:, j]) for j in range(m)) / m
            loss = -mean[torch.arange(BATCH), y].log().sum()
            (g,) = torch.autograd.grad(loss, x)
            x = x.detach() + 2 * epsilon / steps * g / g.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
            delta = x.clamp(0, 1) - x0
            norm = delta.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
            x = x0 + delta * (epsilon / norm).clamp(max=1)
        z = draw(m) if redraw else z
        return sum(F.cross_entropy(model(x + z[:, j]), y) for j in range(m)) / m

    check(SmoothAdv(epsilon=epsilon, steps=steps, samples=m, redraw=redraw), formula)


# --- limit cases --------------------------------------------------------------------------------------------


def same(a, b, model=None, **kwargs) -> None:
    (loss, gradients, _), (other, others, _) = run(a, model, **kwargs), run(b, model, **kwargs)
    torch.testing.assert_close(loss, other)
    for mine, theirs in zip(gradients, others, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_macer_with_one_sample_and_no_lambda_is_gaussian():
    same(Macer(k=1, lambda_=0.0), GaussianTraining())


def test_delayed_lambda_switches_on_at_its_share_of_the_training():
    delayed, off, on = Macer(k=4, lambda_from=0.4), Macer(k=4, lambda_=0.0), Macer(k=4)
    same(delayed, off, Tiny(4.0), progress=0.39)
    same(delayed, on, Tiny(4.0), progress=0.4)
    assert run(on, Tiny(4.0))[0] > run(off, Tiny(4.0))[0]


def test_smoothadv_with_epsilon_zero_is_gaussian_on_the_same_noise():
    same(SmoothAdv(epsilon=0.0, samples=3), GaussianTraining(samples=3))
    same(SmoothAdv(epsilon=1.0, samples=3, warmup=0.5), GaussianTraining(samples=3), progress=0.0)
    half = SmoothAdv(epsilon=1.0, samples=3, warmup=0.5)
    same(half, SmoothAdv(epsilon=0.5, samples=3), progress=0.25)
    same(half, SmoothAdv(epsilon=1.0, samples=3), progress=0.75)


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


def test_nal_without_steps_is_gaussian():
    same(Nal(steps=0, samples=3), GaussianTraining(samples=3))


def test_without_noise_the_objectives_are_their_noise_free_methods():
    model, (x, y) = Tiny(), images()
    clean = F.cross_entropy(model(x), y)
    entropy = -(probabilities(model, x) * probabilities(model, x).log()).sum(1).mean()
    torch.testing.assert_close(run(GaussianTraining(samples=2), noise=NoNoise())[0], clean)
    torch.testing.assert_close(run(Stability(gamma=2.0), noise=NoNoise())[0], clean + 2 * entropy)
    # WRM's ascent and plain l2 adversarial training, whatever the number of samples
    same(Nal(samples=1), Nal(samples=4, noise_in_cost=False), noise=NoNoise())
    same(SmoothAdv(0.5, samples=1), SmoothAdv(0.5, samples=4), noise=NoNoise())
    assert run(Nal(), noise=NoNoise())[0] > clean
    assert run(SmoothAdv(0.5), noise=NoNoise())[0] > clean


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
    GaussianTraining(samples=2),
    Stability(samples=2),
    Macer(k=2),
    Macer(k=2, correct="unscaled"),
    Nal(steps=2, samples=2),
    SmoothAdv(0.5, steps=2, samples=2),
]


class Fixed(nn.Module):
    """Nearly the same logits for every image: `logit`, -`logit` and 0."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([logit, -logit, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (1 + 1e-3 * x.flatten(1).mean(1, keepdim=True))


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


class FromTable(nn.Module):
    """Logits straight from a parameter, two classes, one noise sample: what MACER sees can be set exactly."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


@pytest.mark.parametrize("margin", [3.0, 18.0, 30.0])
def test_macer_radius_is_exact_where_float32_is_one(margin):
    """At beta = 1, k = 1 and two classes xi = 2 Phi^-1(sigmoid(margin)); above 17 that rounds to 1."""
    model = FromTable(torch.tensor([[margin, 0.0]]))
    x, y = torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.int64)
    objective = Macer(k=1, lambda_=1.0, gamma=20.0, beta=1.0)
    _, scalars = objective.loss(model, x, y, Gaussian(1.0), generator(), 0.0)
    xi = 20.0 - 2 * scalars["robustness"].item()
    assert xi == pytest.approx(-2 * stats.norm.ppf(1 / (1 + math.exp(margin))), rel=1e-5)


def test_macer_hinge_has_no_gradient_beyond_gamma_and_none_for_wrong_images():
    model = FromTable(torch.tensor([[40.0, 0.0], [0.0, 40.0], [1.0, 0.0]]))
    x, y = torch.zeros(3, 1, 1, 1), torch.zeros(3, dtype=torch.int64)
    pair = [Macer(k=1, lambda_=v, gamma=8.0, beta=1.0) for v in (5.0, 0.0)]
    grads = [
        torch.autograd.grad(o.loss(model, x, y, NOISE, generator(), 0.0)[0], model.logits)[0] for o in pair
    ]
    hinge = grads[0] - grads[1]
    assert torch.equal(hinge[:2], torch.zeros(2, 2))
    assert hinge[2, 0] < 0 < hinge[2, 1]


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


def test_epsilon_may_be_a_reference_that_must_be_replaced():
    given = TypeAdapter(SmoothAdv).validate_python({"epsilon": {"calibrated": "nal", "cost": "with_noise"}})
    assert given.epsilon == Calibrated("nal", "with_noise")
    with pytest.raises(TypeError, match="'nal'"):
        run(given)
    assert TypeAdapter(SmoothAdv).validate_python({"epsilon": 0.5}).epsilon == 0.5


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
    ],
)
def test_impossible_hyperparameters_are_refused(cls, wrong):
    with pytest.raises(ValidationError):
        TypeAdapter(cls).validate_python(wrong)
    assert TypeAdapter(Macer).validate_python({"lambda": 4.0}).lambda_ == 4.0
