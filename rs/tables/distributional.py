"""The table `distributional`: NAL's certificate, Sinha et al.'s beside it, and two that are proven, from the
distributional stage's observations. No torch. rs.tables.worst_cases has what adversaries found, and
rs.tables.bound_checks checks these certificates by it.

The certificate bounds E l(x + z) for every adversary who moves the images of one empirical distribution P_0
(the test images observed, as in NAL's Figure 2a) by E ||x - x_0||^2 <= rho and does not see z ~ N(0, sigma^2
I). For any gamma > 0,

  E l(x + z) <= gamma rho + E_{P_0} phi_gamma,   phi_gamma(x_0) = sup_x l^(x) - gamma ||x - x_0||^2.

What was found in the paper:
- Theorem 1 counts the noise in the cost: its rho is rho + d sigma^2 here, its phi_gamma has -gamma d sigma^2
  more, and the sum is the same. As stated, over all S = P * N(0, sigma^2 I) with W_c(S, P_0) <= rho, it is
  false: its proof takes z to be independent of x_0, and the best coupling of S with P_0 need not be so. For
  P_0 uniform on {-a, a}, a = sigma sqrt(2/pi), P at 0 and l = 1: W_c <= sigma^2 (1 - 2/pi), and there its
  bound is 1 - 2 gamma sigma^2/pi < 1. Its proof shows the statement above.
- Theorem 3 (NAL's bound is below Sinha et al.'s at the same rho, noise counted) needs no concavity, though
  its proof uses some: sup_x E_z h(x + z) <= sup h for h = l - gamma ||. - x_0||^2. It gives Sinha's adversary
  the noise's d sigma^2 to move images with; at the same movement the order can be either.
- Theorem 2: l^ is L-smooth, with L = 2 M/sigma^2 for l in [0, M]. Its proof takes E ||z||^2 for sigma^2 (eq.
  23; it is d sigma^2). The statement holds: the curvature along u is E[l (w^2 - 1)]/sigma^2, w standard
  normal, so L = M E(w^2 - 1)_+ / sigma^2 = 2 pdf(1) M/sigma^2 = 0.484 M/sigma^2, which l = M 1{|w| > 1} has.
- Corollary 1: ||.||^2 is 2-strongly convex, so the inner problem is strongly concave from gamma > L/2, which
  is 0.242 M/sigma^2 instead of 2 M/sigma^2. Cross-entropy is unbounded: M is infinite, no gamma suffices.

Certificates, each with the best gamma of the grid at each rho:
- nal: phi from the best point found for an image at any gamma (x_0 included). It is at least what this
  gamma's own ascent found (`own_point`, as published), and at most the supremum. An estimate. An ascent that
  ended below its start has diverged and is refused. As phi is never below l^(x_0), x_0 replaces its point
  (`refused` counts these).
- nal_line (sinha_line for a run without noise): the same at the gamma of the training alone, a straight line
  in rho, as the paper draws its certificate; `own_point` is the paper's, where the grid has that gamma.
- sinha: the same for the base classifier, at the same movement rho. An estimate.
- sinha_theorem_3: the same at rho + d sigma^2, the right-hand side of Theorem 3. An estimate.
- nal_gap: proven at confidence 1 - alpha over the noise, for gamma > L/2: l^ at the end of the ascent by
  Hoeffding, plus what strong concavity leaves to gain, mean ||grad||^2 / (2 (2 gamma - L)).
- neyman_pearson: proven at confidence 1 - alpha, for every gamma: Phi^-1(l^/M) is 1/sigma-Lipschitz (Salman
  et al., NeurIPS 2019), so phi_gamma <= h(l^(x_0)), h(p) = sup_t M Phi(Phi^-1(p/M) + t) - gamma sigma^2 t^2,
  and E h <= (concave envelope of h)(E l^(x_0)). It needs no ascent.

`low` and `high` are 95 % t intervals over the images, for readers who take the images as a sample. They
include the noise's error, whose standard error alone is `noise_error`. The proven certificates are upper
bounds for these very images and have no interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from rs.statistics.intervals import standard_error, t_interval
from rs.tables.distributional_observations import Observed, Setting, moved_runs
from rs.tables.distributional_proofs import over_variance, proven, smoothness
from rs.tables.noise import SMOOTHING
from rs.tables.stored import Stored
from rs.tables.table import Row, Table, columns_of


class Bound(TypedDict, total=False):
    """One certificate at one rho. `gamma` is the best of the grid there, 0 where M itself is smaller. Only
    proven certificates have an `alpha`; only estimates have intervals and errors.
    """

    certificate: str
    rho: float
    rho_with_noise: float
    gamma: float
    loss: float
    loss_se: float
    low: float
    high: float
    noise_error: float
    own_point: float
    refused: float
    rigorous: bool
    alpha: float
    concave: bool
    loss_bound: float
    gamma_concave: float
    gamma_corollary_1: float
    images: int


class _Estimate(NamedTuple):
    """A certificate from points that an ascent found. `adversary` names the attacked classifier, `extra` is
    added to rho, and a `line` uses the gamma of the training alone.
    """

    certificate: str
    adversary: str
    extra: float = 0.0
    line: bool = False


def rows(stored: Stored) -> Iterator[Row]:
    for run in stored.once(moved_runs):
        yield from ({**run.named, **bound} for bound in certificates(run.observed, run.setting))


def certificates(adversaries: Mapping[str, Observed], setting: Setting) -> Iterator[Bound]:
    """One row per certificate and rho."""
    smoothed = adversaries.get("smoothed")
    bounds: list[Bound] = []
    for estimate in _estimates(setting, smoothed is not None):
        points = adversaries[estimate.adversary]
        refused = points.refused(setting.estimates)
        bounds += _estimated(estimate, points.without(refused), refused, setting)
    if smoothed is not None and math.isfinite(setting.bound):
        bounds += _proven(smoothed, setting)
    condition: Bound = {
        "loss_bound": setting.bound,
        "gamma_concave": smoothness(setting.bound, setting.sigma) / 2,
        "gamma_corollary_1": 2 * over_variance(setting.bound, setting.sigma),
        "images": len(adversaries["base"].loss),
    }
    for bound in bounds:
        yield {**bound, "rho_with_noise": bound["rho"] + setting.noise_cost, **condition}


def _estimates(setting: Setting, smoothed: bool) -> Iterator[_Estimate]:
    if smoothed:
        yield _Estimate("nal", "smoothed")
    yield _Estimate("sinha", "base")
    if smoothed:
        yield _Estimate("sinha_theorem_3", "base", setting.noise_cost)
    if setting.training_gamma is not None:
        yield (
            _Estimate("nal_line", "smoothed", line=True)
            if smoothed
            else _Estimate("sinha_line", "base", line=True)
        )


def _estimated(
    estimate: _Estimate, points: Observed, refused: NDArray[np.bool_], setting: Setting
) -> Iterator[Bound]:
    """The rows of an estimate; `points` has x_0 in place of the `refused` ones."""
    smoothed = estimate.adversary == "smoothed"
    gammas, limit = setting.gammas, setting.bound
    if estimate.line and setting.training_gamma is not None:
        gammas, limit = [setting.training_gamma], math.inf
    surrogates = {gamma: points.surrogate(gamma) for gamma in gammas}
    upper = {gamma: float(values.mean()) for gamma, values in surrogates.items()}
    own = {gamma: float(points.own(gamma).mean()) for gamma in gammas if gamma in points.gammas}
    for rho in setting.rhos:
        spent = rho + estimate.extra
        gamma, loss = best(upper, spent, limit)
        bound: Bound = {"certificate": estimate.certificate, "rho": rho, "gamma": gamma, "loss": loss}
        if gamma in points.gammas:
            bound["refused"] = float(refused[:, points.at(gamma)].mean())
        if gamma:
            _, low, high = t_interval(surrogates[gamma] + gamma * spent, least=0.0, most=limit)
            at = (points.loss - gamma * points.squared_distance).argmax(1)
            bound |= {"loss_se": standard_error(surrogates[gamma]), "low": low, "high": high}
            bound["noise_error"] = points.noise_error(at, setting.estimates) if smoothed else 0.0
        bound["own_point"] = best(own, spent, limit)[1] if own else math.nan
        bound["concave"] = smoothed and gamma > smoothness(setting.bound, setting.sigma) / 2
        yield {**bound, "rigorous": False}


def _proven(smoothed: Observed, setting: Setting) -> Iterator[Bound]:
    for certificate, upper in proven(smoothed, setting).items():
        for rho in setting.rhos if upper else ():
            gamma, loss = best(upper, rho, setting.bound)
            bound: Bound = {"certificate": certificate, "rho": rho, "gamma": gamma, "loss": loss}
            concave = gamma > smoothness(setting.bound, setting.sigma) / 2
            yield {**bound, "rigorous": True, "alpha": setting.alpha, "concave": concave}


def best(upper: Mapping[float, float], rho: float, bound: float) -> tuple[float, float]:
    """The gamma that minimises gamma rho + E phi_gamma, and the minimum; 0 and M where M is smaller."""
    gamma = min(upper, key=lambda g: g * rho + upper[g])
    value = gamma * rho + upper[gamma]
    return (gamma, value) if value < bound else (0.0, bound)


TABLE = Table("distributional", ("run", "label", *SMOOTHING, *columns_of(Bound), "measured"), rows)
