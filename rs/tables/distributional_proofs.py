"""The proven bounds of the distributional certificate; rs.tables.distributional states them and their
sources. No torch.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special

from rs.statistics.bounds import Floats, bonferroni, hoeffding_width
from rs.tables.distributional_observations import Observed, Setting


def smoothness(bound: float, sigma: float) -> float:
    """L: the smoothed loss in [0, bound] has an L-Lipschitz gradient; sharp. Infinite without noise."""
    density = math.exp(-0.5) / math.sqrt(2 * math.pi)
    return 2 * density * over_variance(bound, sigma)


def over_variance(bound: float, sigma: float) -> float:
    """M/sigma^2; infinite where sigma or its square is 0."""
    return bound / sigma**2 if sigma**2 > 0 else math.inf


def proven(points: Observed, setting: Setting) -> dict[str, dict[float, float]]:
    """Upper bounds of E phi_gamma by certificate and gamma; all gammas of one together at 1 - alpha."""
    images, smooth = len(points.loss), smoothness(setting.bound, setting.sigma)
    draws = images * setting.estimates
    concave = [g for g in setting.gammas if 2 * g > smooth]
    gap = {}
    for gamma in concave:
        alpha = bonferroni(setting.alpha, 2 * len(concave))  # two bounds for each gamma
        missed = gradient_upper(points.gradient_product[:, points.at(gamma)], setting, alpha)
        value = points.own(gamma).mean() + setting.bound * float(hoeffding_width(draws, alpha))
        above = float(value) + missed / (2 * (2 * gamma - smooth))
        gap[gamma] = above if above < setting.bound else setting.bound  # also replaces nan
    clean = float(points.loss[:, -1].mean()) + setting.bound * float(hoeffding_width(draws, setting.alpha))
    share, variance = clean / setting.bound, setting.sigma**2
    shifted = {
        gamma: setting.bound * neyman_pearson(share, gamma * variance / setting.bound)
        for gamma in setting.gammas
    }
    return {"nal_gap": gap, "neyman_pearson": shifted}


def gradient_upper(products: Floats, setting: Setting, alpha: float) -> float:
    """Upper bound of the mean squared norm Q of the gradients, from the products of two estimates each.

    An estimate has covariance at most v I, v = M^2 / (4 sigma^2 n) for n noises. So the mean product has
    variance at most (2 v Q + d v^2) / N, and Cantelli's inequality is solved for Q.
    """
    v = setting.bound**2 / (4 * setting.sigma**2 * (setting.estimates // 2))
    k = (1 / alpha - 1) / len(products)
    mean = float(products.mean())
    # (Q - mean)^2 <= k (2 v Q + d v^2): the larger root
    half = mean + k * v
    root = half * half - mean * mean + k * setting.dimension * v * v
    return max(half + math.sqrt(max(root, 0.0)), 0.0)


def neyman_pearson(p: float, price: float) -> float:
    """Concave envelope at p of h(q) = sup_t Phi(Phi^-1(q) + t) - price t^2, from above, for a loss in [0, 1].

    Every step rounds up: t lies on a grid, and a slack from the curvature covers its spacing; h(q) is
    replaced by its value at the next q of a grid, the envelope by any of its tangents.
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

    # convex in the slope, and any slope is valid
    least = optimize.minimize_scalar(tangent, bounds=(-20.0, 30.0), method="bounded", options={"xatol": 1e-6})
    return min(float(least.fun), 1.0)
