"""The table `worst_cases`: what adversaries found. rs.tables.bound_checks compares the bounds with it.

The ends of the ascents at a price gamma cannot show that an estimate is too low: the surrogate of `nal` and
`sinha` is the maximum over those very points. Independent adversaries can (rs.stages.distributional: PGD in
balls, with other steps and other noise, at several radii). Each of their images goes to one of its points, or
stays, so that the mean squared distance is rho: an adversary of the whole distribution. The best such mixture
takes for every image the point with the largest loss less a price times its squared distance, at the price
that spends rho, and tosses a coin between two equally good points. Losses under one noise choose the mixture,
and losses under another measure it; otherwise the luckiest point would win.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

import numpy as np

from rs.statistics.bounds import Floats
from rs.statistics.intervals import capped, standard_error, t_interval
from rs.tables.distributional_observations import Independent, Observed, moved_runs
from rs.tables.noise import SMOOTHING
from rs.tables.stored import Stored
from rs.tables.table import Row, Table, columns_of

_PRICES = (-12.0, 12.0)  # natural logarithms: losses and squared distances of images lie between them


class WorstCase(TypedDict):
    """Mean squared distance and mean loss that an adversary reached, with 95 % t intervals over the images
    (cut to the range of the mean) and standard errors (`_se`).

    At a price `gamma`, `refused` is the share of images whose ascent was refused. A mixture has no price, and
    `noise_error` is the standard error of its loss from the noise alone.
    """

    adversary: str
    gamma: float
    rho: float
    rho_se: float
    rho_low: float
    rho_high: float
    loss: float
    loss_se: float
    low: float
    high: float
    images: int
    noise_error: float
    refused: float


def rows(stored: Stored) -> Iterator[Row]:
    for run in stored.once(moved_runs):
        estimates = run.setting.estimates
        most = run.setting.bound
        for case in ends(run.observed, run.attack_gammas, estimates, most):
            yield {**run.named, **case}
        for case in mixtures(run.independent, run.setting.rhos, estimates, most):
            yield {**run.named, **case}


def mixture(points: Independent, rho: float) -> Floats:
    """Weights [N, R] of the best mixture with mean squared distance rho, or less where more gains nothing."""
    rows = np.arange(len(points.loss))
    usable = np.isfinite(points.chosen_loss) & np.isfinite(points.squared_distance)
    distance = np.where(usable, points.squared_distance, 0.0)

    def chosen(price: float) -> tuple[Floats, float]:
        at = np.where(usable, points.chosen_loss - price * distance, -np.inf).argmax(1)
        weights = np.zeros_like(points.loss)
        weights[rows, at] = 1.0
        return weights, float(distance[rows, at].mean())

    free, spent = chosen(0.0)
    if spent <= rho:
        return free
    low, high = _PRICES
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if chosen(np.exp(middle))[1] <= rho else (middle, high)
    (far, more), (near, less) = chosen(np.exp(low)), chosen(np.exp(high))
    if more <= rho:  # a price below all that were tried
        far, more = free, spent
    if less > rho:  # even the highest price spends too much
        near, less = np.zeros_like(near), 0.0
        near[rows, np.where(usable, distance, np.inf).argmin(1)] = 1.0
    share = (rho - less) / (more - less)
    return np.asarray(share * far + (1 - share) * near)


def noise_error(points: Independent, weights: Floats, estimates: int) -> float:
    """Standard error of a mixture's mean loss, from the noise alone."""
    variance = np.maximum(points.loss_square - points.loss**2, 0) / (estimates - 1)
    per_image = np.where(weights > 0, weights * np.sqrt(variance), 0.0).sum(1)
    return float(np.sqrt((per_image**2).sum()) / len(per_image))


def ends(
    adversaries: Mapping[str, Observed], gammas: Sequence[float], estimates: int, bound: float = np.inf
) -> Iterator[WorstCase]:
    """The ends of the ascents of `gammas`. Images whose ascent is refused stay where they are. `bound` is the
    maximum of the loss.
    """
    for name, points in adversaries.items():
        refused = points.refused(estimates)
        points = points.without(refused)
        for gamma in sorted(set(gammas)):
            i = points.at(gamma)
            case = _case(name, points.squared_distance[:, i], points.loss[:, i], bound)
            yield {**case, "gamma": gamma, "refused": float(refused[:, i].mean())}


def mixtures(
    adversaries: Mapping[str, Independent], rhos: Sequence[float], estimates: int, bound: float = np.inf
) -> Iterator[WorstCase]:
    """One row per adversary and rho that its points reach; `bound` as above."""
    for name, points in adversaries.items():
        reached = -1.0
        for rho in sorted(rho for rho in rhos if rho > 0):
            weights = mixture(points, rho)
            distance, loss = (
                np.where(weights > 0, weights * values, 0.0).sum(1)
                for values in (points.squared_distance, points.loss)
            )
            case = _case(f"pgd_{name}", distance, loss, bound)
            if case["rho"] <= reached * (1 + 1e-9):
                break
            reached = case["rho"]
            yield {**case, "noise_error": noise_error(points, weights, estimates)}


def _case(adversary: str, squared_distance: Floats, loss: Floats, bound: float) -> WorstCase:
    """A row from every image's squared distance and loss."""
    rho, rho_low, rho_high = t_interval(squared_distance, least=0.0)
    mean, low, high = t_interval(loss, least=0.0, most=capped(bound, loss))
    return {
        "adversary": adversary,
        "gamma": np.nan,
        "rho": rho,
        "rho_se": standard_error(squared_distance),
        "rho_low": rho_low,
        "rho_high": rho_high,
        "loss": mean,
        "loss_se": standard_error(loss),
        "low": low,
        "high": high,
        "images": len(loss),
        "noise_error": np.nan,
        "refused": np.nan,
    }


TABLE = Table("worst_cases", ("run", "label", *SMOOTHING, *columns_of(WorstCase), "measured"), rows)
