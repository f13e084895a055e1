"""What the distributional stage's observations say: NAL's certificate, Sinha et al.'s beside it, two that are
proven. rs.tables.worst_cases has what adversaries found, and checks these by it. No torch.

The certificate bounds E l(x + z) for every adversary who moves the images of one empirical distribution P_0
(the test images observed, as in NAL's Figure 2a) by E ||x - x_0||^2 <= rho and does not see z ~ N(0, sigma^2
I). For any gamma > 0,

  E l(x + z) <= gamma rho + E_{P_0} phi_gamma,   phi_gamma(x_0) = sup_x l^(x) - gamma ||x - x_0||^2.

What was found in the paper:
- Theorem 1 counts the noise in the cost: its rho is rho + d sigma^2 here, its phi_gamma has -gamma d sigma^2
  more, and the sum is the same. As stated, over all S = P * N(0, sigma^2 I) with W_c(S, P_0) <= rho, it is
  false: its proof takes z to be independent of x_0, and the best coupling of S with P_0 need not be so. For
  P_0 uniform on {-a, a}, a = sigma sqrt(2/pi), P at 0 and l = 1: W_c <= sigma^2 (1 - 2/pi), and there its
  bound is 1 - 2 gamma sigma^2/pi < 1. What its proof shows is the statement above.
- Theorem 3 (ours is below Sinha et al.'s at the same rho, noise counted) needs no concavity, though its proof
  uses some: sup_x E_z h(x + z) <= sup h for h = l - gamma ||. - x_0||^2. It gives Sinha's adversary the
  noise's d sigma^2 to move images with; at the same movement the order can be either.
- Theorem 2: l^ is L-smooth, with L = 2 M/sigma^2 for l in [0, M]. Its proof takes E ||z||^2 for sigma^2 (eq.
  23; it is d sigma^2), the statement holds: the curvature along u is E[l (w^2 - 1)]/sigma^2, w standard
  normal, so L = M E(w^2 - 1)_+ / sigma^2 = 2 pdf(1) M/sigma^2 = 0.484 M/sigma^2, which l = M 1{|w| > 1} has.
- Corollary 1: ||.||^2 is 2-strongly convex, so the inner problem is strongly concave from gamma > L/2, which
  is 0.242 M/sigma^2 instead of 2 M/sigma^2. Cross-entropy is unbounded: M is infinite, no gamma suffices.

Certificates, each the best gamma of the grid at each rho:
- nal: phi from the best point found for an image at any gamma (x_0 included): above what this gamma's ascent
  found (`own_point`, as published), still below the supremum. An estimate. An ascent that ended below its
  start has diverged and is refused: phi is never below l^(x_0), which stands in its place (`refused` counts).
- nal_line (sinha_line for a run without noise): the same at the gamma of the training alone, a straight line
  in rho, as the paper draws its certificate; `own_point` is the paper's, where the grid has that gamma.
- sinha: the same for the base classifier, at the same movement rho. An estimate.
- sinha_theorem_3: the same at rho + d sigma^2, the right-hand side of Theorem 3. An estimate.
- nal_gap: proven at confidence 1 - alpha over the noise, for gamma > L/2: l^ at the end of the ascent by
  Hoeffding, plus what strong concavity leaves to gain, mean ||grad||^2 / (2 (2 gamma - L)).
- neyman_pearson: proven at confidence 1 - alpha, for every gamma: Phi^-1(l^/M) is 1/sigma-Lipschitz (Salman
  et al., NeurIPS 2019), so phi_gamma <= h(l^(x_0)), h(p) = sup_t M Phi(Phi^-1(p/M) + t) - gamma sigma^2 t^2,
  and E h <= (concave envelope of h)(E l^(x_0)). No ascent in it.

`low` and `high` are 95 % t intervals over the images, for the reader who takes them as a sample (the noise's
error is inside; `noise_error` is its standard error alone). The proven ones are upper bounds for these very
images, and have none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from rs.statistics.intervals import t_interval
from rs.tables.distributional_proofs import over_variance, proven, smoothness
from rs.tables.moved import Observed, Setting, moved_runs
from rs.tables.noise import SMOOTHING
from rs.tables.stored import Stored
from rs.tables.table import Row, Table


def rows(stored: Stored) -> Iterator[Row]:
    for run in stored.once(moved_runs):
        yield from ({**run.named, **row} for row in certificates(run.observed, run.setting))


def certificates(found: Mapping[str, Observed], told: Setting) -> Iterator[Row]:
    """One row per certificate and rho; `gamma` is the best of the grid there, 0 where M itself is better."""
    smooth, smoothed = smoothness(told.bound, told.sigma), found.get("smoothed")
    condition = {
        "loss_bound": told.bound,
        "gamma_concave": smooth / 2,
        "gamma_corollary_1": 2 * over_variance(told.bound, told.sigma),
        "images": len(found["base"].loss),
    }
    refused = {name: points.refused(told.estimates) for name, points in found.items()}
    kept = {name: points.without(refused[name]) for name, points in found.items()}
    kinds: list[tuple[str, str, float]] = [("sinha", "base", 0.0)]
    if smoothed is not None:
        kinds = [("nal", "smoothed", 0.0), *kinds, ("sinha_theorem_3", "base", told.noise_cost)]
    if told.training_gamma is not None:
        kinds.append((f"{kinds[0][0]}_line", kinds[0][1], 0.0))
    for name, adversary, extra in kinds:
        points, line = kept[adversary], name.endswith("_line")
        gammas = [told.training_gamma] if line and told.training_gamma is not None else told.gammas
        bound = math.inf if line else told.bound
        surrogates = {gamma: points.surrogate(gamma) for gamma in gammas}
        upper = {gamma: float(values.mean()) for gamma, values in surrogates.items()}
        own = {g: float(points.own(g).mean()) for g in gammas if g in points.gammas}
        for rho in told.rhos:
            row, gamma = best(upper, rho + extra, bound)
            if gamma in points.gammas:
                row |= {"refused": float(refused[adversary][:, points.at(gamma)].mean())}
            if gamma:
                _, low, high = t_interval(surrogates[gamma] + gamma * (rho + extra))
                at = (points.loss - gamma * points.squared_distance).argmax(1)
                error = points.noise_error(at, told.estimates) if adversary == "smoothed" else 0.0
                row |= {"low": low, "high": min(high, bound), "noise_error": error}
            row |= {"own_point": best(own, rho + extra, bound)[0]["loss"] if own else math.nan}
            row |= {"rigorous": False, "concave": gamma > smooth / 2 and adversary == "smoothed"}
            yield {"certificate": name, "rho": rho, "rho_with_noise": rho + told.noise_cost} | row | condition
    if smoothed is not None and math.isfinite(told.bound):
        for name, upper in proven(smoothed, told).items():
            for rho in told.rhos if upper else ():
                row, gamma = best(upper, rho, told.bound)
                row |= {"rigorous": True, "concave": gamma > smooth / 2, "alpha": told.alpha}
                yield (
                    {"certificate": name, "rho": rho, "rho_with_noise": rho + told.noise_cost}
                    | row
                    | condition
                )


def best(upper: Mapping[float, float], rho: float, bound: float) -> tuple[Row, float]:
    """The least of gamma rho + E phi_gamma over the gammas, and of M; with that gamma (0: M)."""
    gamma = min(upper, key=lambda g: g * rho + upper[g])
    value = gamma * rho + upper[gamma]
    gamma, value = (gamma, value) if value < bound else (0.0, bound)
    return {"gamma": gamma, "loss": value}, gamma


TABLE = Table(
    "distributional",
    (
        *("run", "label", *SMOOTHING, "certificate", "rho", "rho_with_noise", "gamma", "loss", "low", "high"),
        *("noise_error", "own_point", "refused", "rigorous", "alpha", "concave", "loss_bound"),
        *("gamma_concave", "gamma_corollary_1", "images", "measured"),
    ),
    rows,
)
