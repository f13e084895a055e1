"""What MACER's section 4 and appendix A state without an experiment: soft smoothing, its bounds, the
surrogate losses and the size of their gradients.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from torch import Tensor, nn

from rs.methods.certificates.probabilities import gaussian_radius
from rs.methods.noise.gaussian import Gaussian
from rs.methods.objectives.macer import Macer
from rs.statistics.bounds import bernstein_width, clopper_pearson_lower, hoeffding_width

EDGES = np.linspace(-4, 4, 17)


class Constant(nn.Module):
    """The same class probabilities for every image."""

    def __init__(self, *probabilities: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probabilities, dtype=torch.float64).log())

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


def terms(objective: Macer, model: nn.Module, sigma: float) -> dict[str, Tensor]:
    """The loss of one image of class 0, and its recorded terms."""
    loss, scalars = objective.loss(
        model, torch.zeros(1, 1, 1, 1), torch.tensor([0]), Gaussian(sigma), torch.Generator(), 1.0
    )
    return scalars | {"loss": loss.detach()}


def smoothed(levels: np.ndarray, x: np.ndarray) -> np.ndarray:
    """E h(x + eta), eta ~ N(0, 1), of the step function with these levels between -inf, EDGES, inf; [N]."""
    below = special.ndtr(np.concatenate([[-np.inf], EDGES, [np.inf]]) - np.asarray(x)[:, None])
    return np.diff(below, axis=1) @ levels


@given(st.lists(st.floats(0.001, 0.999), min_size=18, max_size=18), st.floats(-2, 2), st.floats(-1, 1))
@settings(max_examples=200, deadline=None)
def test_no_score_falls_faster_than_theorem_2_says(levels: list[float], x: float, way: float) -> None:
    """Theorem 2 by its lemma: Phi^-1 of a smoothed score is 1/sigma-Lipschitz; here sigma = 1."""
    before, after = special.ndtri(smoothed(np.array(levels), np.array([x, x + way])))
    assert abs(after - before) <= abs(way) + 1e-9


def test_a_half_space_turns_at_the_soft_radius() -> None:
    """Theorem 2 is tight: the score that is 1 on one side of a plane reaches 1/2 at its radius."""
    half = np.repeat([1.0, 0.0], 9)[:18]
    at = EDGES[8] - 0.7
    score = smoothed(half, np.array([at]))
    radius = gaussian_radius(1.0, 1 - score, 1 - score)[0]
    assert radius == pytest.approx(0.7, rel=1e-9)
    assert smoothed(half, np.array([at + radius]))[0] == pytest.approx(0.5)


def test_soft_smoothing_becomes_hard_smoothing_as_beta_grows() -> None:
    """Section 4.3: logits (x, 0) at x = 0.8, sigma = 1; the hard radius is the distance to the boundary."""
    nodes = np.linspace(-9, 9, 20_001)
    weights = stats.norm.pdf(nodes) * (nodes[1] - nodes[0])
    radii = []
    for beta in (1, 2, 4, 8, 16):
        score = np.array([weights @ special.expit(beta * (0.8 + nodes))])
        radii.append(gaussian_radius(1.0, 1 - score, 1 - score)[0])
    gaps = 0.8 - np.array(radii)
    assert np.all(gaps > 0)
    assert np.all(gaps[1:] < 0.52 * gaps[:-1])
    assert gaps[-1] < 0.01


@pytest.mark.parametrize("n", [2, 10, 100, 1_000, 100_000])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_bernsteins_bound_of_votes_is_below_clopper_and_pearsons(n: int, alpha: float) -> None:
    """Appendix A.3: as beta grows the scores become votes, and a gap remains for every count above 0."""
    counts = np.unique(np.linspace(1, n, min(n, 5_000)).astype(int))
    mean = counts / n
    exact = clopper_pearson_lower(counts, np.full(len(counts), n), alpha)
    assert np.all(mean - bernstein_width(mean, mean, n, alpha) < exact)


def test_bernsteins_bound_is_tighter_than_hoeffdings_for_small_variances_only() -> None:
    """Appendix A.2 calls it tighter. With n = 100,000 it is the looser one up to a mean of 0.69."""
    n, alpha = 100_000, 0.001
    wider = [
        p for p in np.arange(50, 100) / 100 if bernstein_width(p, p, n, alpha) > hoeffding_width(n, alpha)
    ]
    assert len(wider) > 0
    assert max(wider) == pytest.approx(0.69)
    assert bernstein_width(1.0, 1.0, 20, alpha) > hoeffding_width(20, alpha)


def test_a_wrong_image_may_cost_less_than_1() -> None:
    """Eq. 12 asks the cross-entropy to be at least the 0/1 error. It is log 2 at a narrow mistake: 0.69."""
    objective = Macer(k=1, lambda_=0.0, beta=1.0)
    narrow = terms(objective, Constant(0.4999, 0.5001), 0.25)
    assert narrow["correct"] == 0
    assert narrow["loss"] == pytest.approx(math.log(2), abs=1e-3)
    # in units of log 2 the condition holds: a wrong image has p_y <= 1/2
    for p in np.linspace(0.001, 0.4999, 50):
        assert terms(objective, Constant(p, 1 - p), 0.25)["loss"] >= math.log(2)


@given(st.floats(0.02, 1.5), st.floats(0.05, 1.0), st.floats(0.3, 1.0), st.floats(0.25, 1.0))
@settings(max_examples=100, deadline=None)
def test_the_hinge_is_at_least_the_robustness_error(
    target: float, more: float, part: float, sigma: float
) -> None:
    """Eq. 13: a right image with a radius below `target` costs at least 1, if lambda >= 1 / `more`."""
    radius = target * part * 0.999
    p = float(stats.norm.cdf(radius / sigma))
    objective = Macer(k=1, lambda_=1 / more, gamma=2 * (target + more) / sigma, beta=1.0)
    found = terms(objective, Constant(p, 1 - p), sigma)
    assert found["correct"] == 1
    assert objective.lambda_ * found["robustness"] >= 1 - 1e-9


@pytest.mark.parametrize("gamma", [2.0, 8.0])
@pytest.mark.parametrize("classes", [2, 10])
def test_the_hinge_bounds_the_gradient_of_the_radius(gamma: float, classes: int) -> None:
    """Proposition 1. p_2 <= 1 - p_1, so xi >= 2 Phi^-1(p_1), and within the hinge Phi^-1(p_1) < gamma / 2."""
    limit = stats.norm.cdf(gamma / 2)
    bound_1 = 1 / min(stats.norm.pdf(gamma / 2), stats.norm.pdf(stats.norm.ppf(1 / classes)))  # p_1 >= 1 / K
    bound_2 = 1 / stats.norm.pdf(stats.norm.ppf((1 - limit) / (classes - 1)))
    p_1 = torch.cat([torch.linspace(1 / classes, 0.9, 200), 1 - torch.logspace(-1, -9, 400)]).double()
    steepest = torch.zeros(2, dtype=torch.float64)
    for share in torch.linspace(1 / (classes - 1), 1, 20).double():  # p_2 as a share of 1 - p_1
        p = torch.stack([p_1, (1 - p_1) * share]).requires_grad_()
        z = torch.special.ndtri(p)
        inside = (z[0] - z[1] < gamma) & (p[1] <= p[0])
        slopes = torch.autograd.grad(z.sum(), p)[0]
        steepest = torch.maximum(steepest, slopes[:, inside].amax(1))
    assert steepest[0] <= bound_1
    assert steepest[1] <= bound_2
    # without the hinge there is no bound
    outside = torch.tensor(1 - 1e-9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(torch.special.ndtri(outside), outside)[0] > 10 * bound_2
