"""What the distributional stage's observations say: NAL's certificate, Sinha et al.'s beside it, two that are
proven, and the worst cases found. No torch.

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
  found (`own_point`, as published), still below the supremum. An estimate.
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy import optimize, special

from rs.bounds import bonferroni, hoeffding_width, t_interval
from rs.provenance import read_table
from rs.spec import Distributional

Floats = NDArray[np.float64]
Row = dict[str, Any]
CERTIFICATES: tuple[str, ...] = (  # columns of the tables
    *("certificate", "rho", "rho_with_noise", "gamma", "loss", "low", "high", "noise_error", "own_point"),
    *("rigorous", "alpha", "concave", "loss_bound", "gamma_concave", "gamma_corollary_1", "images"),
    "measured",
)
WORST_CASES: tuple[str, ...] = (
    *("adversary", "gamma", "rho", "rho_low", "rho_high", "loss", "low", "high", "images", "measured"),
)
GRID = 41  # rhos where the study names none


def smoothness(bound: float, sigma: float) -> float:
    """L: the gradient of the smoothed loss is L-Lipschitz, for losses in [0, bound]; sharp. Infinite without
    noise.
    """
    density = math.exp(-0.5) / math.sqrt(2 * math.pi)
    return 2 * density * _over_variance(bound, sigma)


def _over_variance(bound: float, sigma: float) -> float:
    """M/sigma^2; infinite where sigma or its square is 0."""
    return bound / sigma**2 if sigma**2 > 0 else math.inf


@dataclass(frozen=True)
class Observed:
    """One adversary's points, [N images, P gammas]; the last gamma is infinite (x_0 itself)."""

    gammas: Floats
    squared_distance: Floats
    loss: Floats
    loss_square: Floats
    gradient_product: Floats

    def surrogate(self, gamma: float) -> Floats:
        """phi_gamma of every image, from the best point found for it: [N]."""
        return (self.loss - gamma * self.squared_distance).max(1)

    def own(self, gamma: float) -> Floats:
        """The same from the point that this gamma's ascent ended at."""
        i = self.at(gamma)
        values: Floats = self.loss[:, i] - gamma * self.squared_distance[:, i]
        return values

    def at(self, gamma: float) -> int:
        return int(np.flatnonzero(self.gammas == gamma)[0])

    def noise_error(self, at: NDArray[np.int64], estimates: int) -> float:
        """Standard error, from the noise alone, of the mean loss where image i stands at its point at[i]."""
        rows = np.arange(len(at))
        variance = self.loss_square[rows, at] - self.loss[rows, at] ** 2
        return float(np.sqrt(np.maximum(variance, 0).sum() / (estimates - 1)) / len(at))


def observed(frame: pd.DataFrame) -> dict[str, Observed]:
    """The rows of a distributional file by adversary."""
    out = {}
    for name, rows in frame.groupby("adversary", sort=False):
        wide = rows.pivot(index="image", columns="gamma").sort_index(axis=1)
        values = [wide[c].to_numpy(np.float64) for c in Observed.__dataclass_fields__ if c != "gammas"]
        out[str(name)] = Observed(wide["loss"].columns.to_numpy(np.float64), *values)
    return out


@dataclass(frozen=True)
class Setting:
    """What the study and the file's provenance say: M, sigma, d, noises per estimate, alpha, gammas, rhos."""

    bound: float
    sigma: float
    dimension: int
    estimates: int
    alpha: float
    gammas: Sequence[float]
    rhos: Sequence[float]

    @property
    def noise_cost(self) -> float:
        """d sigma^2, the noise's share of NAL's cost."""
        return self.dimension * self.sigma**2


def setting(given: Distributional, made: Mapping[str, Any], found: Mapping[str, Observed]) -> Setting:
    """From a run's section and the provenance of its file."""
    rhos: Sequence[float] = given.rhos
    if not rhos:
        mine = found.get("smoothed", found["base"])
        ends = [mine.squared_distance[:, mine.at(g)].mean() for g in given.attack_gammas or given.gammas]
        near, far = max(min(ends), 1e-6), max(*ends, 1e-5)
        rhos = [0.0, *map(float, np.geomspace(near, far, GRID - 1))]
    told = (float(made["sigma"]), int(made["dimension"]), int(made["estimates"]))
    return Setting(given.bound, *told, given.alpha, sorted(set(given.gammas)), sorted(set(rhos)))


def certificates(found: Mapping[str, Observed], told: Setting) -> Iterator[Row]:
    """One row per certificate and rho; `gamma` is the best of the grid there, 0 where M itself is better."""
    smooth, smoothed = smoothness(told.bound, told.sigma), found.get("smoothed")
    condition = {
        "loss_bound": told.bound,
        "gamma_concave": smooth / 2,
        "gamma_corollary_1": 2 * _over_variance(told.bound, told.sigma),
        "images": len(found["base"].loss),
    }
    kinds: list[tuple[str, Observed, float]] = [("sinha", found["base"], 0.0)]
    if smoothed is not None:
        kinds = [("nal", smoothed, 0.0), *kinds, ("sinha_theorem_3", found["base"], told.noise_cost)]
    for name, points, extra in kinds:
        surrogates = {gamma: points.surrogate(gamma) for gamma in told.gammas}
        upper = {gamma: float(values.mean()) for gamma, values in surrogates.items()}
        own = {gamma: float(points.own(gamma).mean()) for gamma in told.gammas}
        for rho in told.rhos:
            row, gamma = best(upper, rho + extra, told.bound)
            if gamma:
                _, low, high = t_interval(surrogates[gamma] + gamma * (rho + extra))
                at = (points.loss - gamma * points.squared_distance).argmax(1)
                error = points.noise_error(at, told.estimates) if points is smoothed else 0.0
                row |= {"low": low, "high": min(high, told.bound), "noise_error": error}
            row |= {"own_point": best(own, rho + extra, told.bound)[0]["loss"], "rigorous": False}
            row |= {"concave": gamma > smooth / 2 and name == "nal"}
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


def proven(points: Observed, told: Setting) -> dict[str, dict[float, float]]:
    """Upper bounds of E phi_gamma by certificate and gamma, all gammas of one at once at 1 - alpha."""
    images, smooth = len(points.loss), smoothness(told.bound, told.sigma)
    draws = images * told.estimates
    concave = [g for g in told.gammas if 2 * g > smooth]
    gap = {}
    for gamma in concave:
        alpha = bonferroni(told.alpha, 2 * len(concave))  # two bounds for each gamma
        missed = gradient_upper(points.gradient_product[:, points.at(gamma)], told, alpha)
        value = points.own(gamma).mean() + told.bound * float(hoeffding_width(draws, alpha))
        gap[gamma] = min(float(value) + missed / (2 * (2 * gamma - smooth)), told.bound)
    clean = float(points.loss[:, -1].mean()) + told.bound * float(hoeffding_width(draws, told.alpha))
    shifted = {g: neyman_pearson(clean / told.bound, g * told.sigma**2 / told.bound) for g in told.gammas}
    return {"nal_gap": gap, "neyman_pearson": {g: told.bound * v for g, v in shifted.items()}}


def gradient_upper(products: Floats, told: Setting, alpha: float) -> float:
    """Upper bound of the mean squared norm Q of the gradients, from the products of two estimates each.

    An estimate has covariance at most v I, v = M^2 / (4 sigma^2 n) for n noises; so the mean product has
    variance at most (2 v Q + d v^2) / N, and Cantelli's inequality is solved for Q.
    """
    v = told.bound**2 / (4 * told.sigma**2 * (told.estimates // 2))
    k = (1 / alpha - 1) / len(products)
    mean = float(products.mean())
    # (Q - mean)^2 <= k (2 v Q + d v^2): the larger root
    half = mean + k * v
    root = half * half - mean * mean + k * told.dimension * v * v
    return max(half + math.sqrt(max(root, 0.0)), 0.0)


def neyman_pearson(p: float, price: float) -> float:
    """Concave envelope at p of h(q) = sup_t Phi(Phi^-1(q) + t) - price t^2, from above, for a loss in [0, 1].

    Every step rounds up: t on a grid whose spacing the curvature pays for, h(q) by its value at the next q of
    a grid, the envelope by any of its tangents.
    """
    if p >= 1 or price < 1e-8:  # below, the spacing of t alone costs more than 1
        return 1.0
    q = np.concatenate([[0.0], np.geomspace(1e-12, 1e-3, 200), np.linspace(1e-3, 1, 1500)[1:]])
    t = np.linspace(0, 1 / math.sqrt(price), 1001)  # beyond, the price exceeds any gain
    slack = t[1] ** 2 / 8 * (0.25 + 2 * price)
    h = (special.ndtr(special.ndtri(q)[:, None] + t) - price * t * t).max(1) + slack
    above = np.append(np.minimum(h, 1.0)[1:], 1.0)

    def tangent(logarithm: float) -> float:
        slope = math.exp(logarithm)
        return float((above - slope * q).max()) + slope * p

    # convex in the slope, and any slope will do
    found = optimize.minimize_scalar(tangent, bounds=(-20.0, 30.0), method="bounded", options={"xatol": 1e-6})
    return min(float(found.fun), 1.0)


def worst_cases(found: Mapping[str, Observed], gammas: Sequence[float]) -> Iterator[Row]:
    """Where the adversaries of `gammas` end: mean squared distance and mean loss, with 95 % t intervals."""
    for name, points in found.items():
        for gamma in sorted(set(gammas)):
            i = points.at(gamma)
            rho, loss = t_interval(points.squared_distance[:, i]), t_interval(points.loss[:, i])
            row: Row = {"adversary": name, "gamma": gamma}
            row |= {"rho": rho[0], "rho_low": rho[1], "rho_high": rho[2]}
            yield row | {"loss": loss[0], "low": loss[1], "high": loss[2], "images": len(points.loss)}


def derive(file: Path, section: Mapping[str, Any]) -> tuple[list[Row], list[Row]]:
    """Rows of the tables `distributional` and `worst_cases`, from one file and its run's section."""
    given = TypeAdapter(Distributional).validate_python(section)
    table, made = read_table(file, ("image", "adversary", "gamma", "squared_distance", "loss"))
    found = observed(table.to_pandas())
    if float(made["sigma"]) == 0:  # as without noise: nothing is smoothed
        found.pop("smoothed", None)
    told, name = (
        setting(given, made, found),
        given.loss if given.clip is None else f"{given.loss} to {given.clip:g}",
    )
    claims, points = (
        list(certificates(found, told)),
        list(worst_cases(found, given.attack_gammas or given.gammas)),
    )
    return [{**row, "measured": name} for row in claims], [{**row, "measured": name} for row in points]
