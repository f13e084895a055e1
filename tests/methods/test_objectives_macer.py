"""MACER against Algorithm 1 (value and gradient), its limit cases, and its radius where float32 gives out."""

from __future__ import annotations

import math

import pytest
import torch
from objective_checks import BATCH, NOISE, SIGMA, FromTable, Tiny, check, generator, probabilities, run, same
from scipy import stats

from rs.methods.noise.gaussian import Gaussian
from rs.methods.objectives.gaussian import GaussianTraining
from rs.methods.objectives.macer import Macer


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


def test_macer_with_one_sample_and_no_lambda_is_gaussian():
    same(Macer(k=1, lambda_=0.0), GaussianTraining())


def test_delayed_lambda_switches_on_at_its_share_of_the_training():
    delayed, off, on = Macer(k=4, lambda_from=0.4), Macer(k=4, lambda_=0.0), Macer(k=4)
    same(delayed, off, Tiny(4.0), progress=0.39)
    same(delayed, on, Tiny(4.0), progress=0.4)
    assert run(on, Tiny(4.0))[0] > run(off, Tiny(4.0))[0]


@pytest.mark.parametrize("margin", [3.0, 18.0, 30.0])
def test_macer_radius_is_exact_where_float32_is_one(margin):
    """At beta = 1, k = 1 and two classes xi = 2 Phi^-1(sigmoid(margin)); above 17 that rounds to 1."""
    model = FromTable(torch.tensor([[margin, 0.0]]))
    x, y = torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.int64)
    objective = Macer(k=1, lambda_=1.0, gamma=20.0, beta=1.0)
    _, scalars = objective.loss(model, x, y, Gaussian(1.0), generator(), 0.0)
    xi = 20.0 - 2 * scalars["robustness"].item()
    assert xi == pytest.approx(-2 * stats.norm.ppf(1 / (1 + math.exp(margin))), rel=1e-5)


def test_macer_radius_is_exact_where_the_label_has_hardly_any_of_the_scaled_mean():
    """`unscaled` counts an image whose label no copy has first: of (0, 1/2, -5) and (0, -5, 1/2) the mean
    softmax has it first, and at beta = 40 it has e^-20. Then 1 - q_y rounds to 1 in float32, not here.
    """
    model = FromTable(torch.tensor([[0.0, 0.5, -5.0], [0.0, -5.0, 0.5]]))
    x, y = torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.int64)
    objective = Macer(k=2, lambda_=1.0, gamma=8.0, beta=40.0, correct="unscaled")
    _, scalars = objective.loss(model, x, y, Gaussian(1.0), generator(), 0.0)
    q_y = 1 / (1 + math.exp(20))
    assert scalars["correct"] == 1
    assert 8.0 - 2 * scalars["robustness"].item() == pytest.approx(
        stats.norm.ppf(q_y) - stats.norm.ppf((1 - q_y) / 2), rel=1e-5
    )


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


def in_float32(logits: torch.Tensor, y: torch.Tensor, gamma: float) -> torch.Tensor:
    """Gradient of the hinge as float32 has it: images whose xi is not finite there are left out."""
    logits = logits.clone().requires_grad_()
    top, classes = torch.softmax(logits * 16, 2).mean(1).topk(2)
    xi = math.sqrt(2) * (torch.erfinv(2 * top[:, 0] - 1) - torch.erfinv(2 * top[:, 1] - 1))
    used = (classes[:, 0] == y) & xi.isfinite() & (xi <= gamma)
    again = top[used]
    xi = math.sqrt(2) * (torch.erfinv(2 * again[:, 0] - 1) - torch.erfinv(2 * again[:, 1] - 1))
    return torch.autograd.grad((gamma - xi).sum() / len(y), logits)[0]


@pytest.mark.parametrize(("gamma", "least", "most"), [(4.0, 0.0, 1e-5), (8.0, 0.0, 1e-3), (12.0, 0.03, 1.0)])
def test_macer_departs_from_a_float32_procedure_from_gamma_12_on(gamma, least, most):
    """Float32 has no finite xi beyond 10.7, within a hinge of 12 but not within one of 8."""
    source = torch.Generator().manual_seed(0)
    y = torch.arange(500) % 10
    logits = torch.randn(500, 1, 10, generator=source)
    logits[torch.arange(500), 0, y] += 6 * torch.rand(500, generator=source)
    logits = logits + 0.15 * torch.randn(500, 16, 10, generator=source)
    table = FromTable(logits.flatten(0, 1))
    objective = Macer(k=16, lambda_=1.0, gamma=gamma)
    x = torch.zeros(500, 1, 1, 1)
    with_hinge, _ = objective.loss(table, x, y, Gaussian(2.0), generator(), 0.0)
    without, _ = Macer(k=16, lambda_=0.0).loss(table, x, y, Gaussian(2.0), generator(), 0.0)
    (mine,) = torch.autograd.grad(with_hinge - without, [table.logits])
    theirs = in_float32(logits, y, gamma).flatten(0, 1)
    assert least <= float((mine - theirs).norm() / mine.norm()) <= most
