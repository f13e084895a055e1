"""The table `worst_cases`: what adversaries found; rs.tables.bound_checks holds the bounds against it.

The ends of the ascents at a price gamma cannot show that an estimate is too low: the surrogate of `nal` and
`sinha` is the maximum over those very points. Independent adversaries can (rs.stages.distributional: PGD in
balls, with other steps and other noise, at several radii). Each image of theirs goes to one of its points, or
stays, so that the mean squared distance meets rho: an adversary of the whole distribution. The best such
mixture takes for every image the point with the largest loss less a price times its squared distance, at the
price that spends rho, and tosses a coin between two points where both are as good. It is chosen by losses
under one noise and measured under another, or the luckiest point would win.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rs.statistics.bounds import Floats
from rs.statistics.intervals import t_interval
from rs.tables.moved import Independent, Observed, moved_runs
from rs.tables.noise import SMOOTHING
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

_PRICES = (-12.0, 12.0)  # natural logarithms: between them losses and squared distances of images


def rows(stored: Stored) -> Iterator[Row]:
    for run in stored.once(moved_runs):
        told = run.setting
        for row in ends(run.observed, run.attack_gammas, told.estimates):
            yield {**run.named, **row}
        for row in mixtures(run.independent, told.rhos, told.estimates):
            yield {**run.named, **row}


def mixture(points: Independent, rho: float) -> Floats:
    """Weights [N, R] of the best mixture of mean squared distance rho, less where the rest buys none."""
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
    if more <= rho:  # a price below all that is tried
        far, more = free, spent
    if less > rho:  # even the dearest price spends too much
        near, less = np.zeros_like(near), 0.0
        near[rows, np.where(usable, distance, np.inf).argmin(1)] = 1.0
    share = (rho - less) / (more - less)
    return np.asarray(share * far + (1 - share) * near)


def measured(points: Independent, rho: float) -> Row:
    """Mean squared distance and loss of the mixture with 95 % t intervals, and the standard error of the loss
    from the noise alone (`estimates` draws each are in `loss_square`).
    """
    weights = mixture(points, rho)
    values, distances = (
        np.where(weights > 0, weights * v, 0.0).sum(1) for v in (points.loss, points.squared_distance)
    )
    found: Row = {}
    for name, (mean, low, high) in (("rho", t_interval(distances)), ("loss", t_interval(values))):
        ends = ("rho_low", "rho_high") if name == "rho" else ("low", "high")
        found |= {name: mean, ends[0]: low, ends[1]: high}
    return found | {"images": len(values)}


def noise_error(points: Independent, rho: float, estimates: int) -> float:
    """Standard error of the mixture's mean loss, from the noise alone."""
    weights = mixture(points, rho)
    variance = np.maximum(points.loss_square - points.loss**2, 0) / (estimates - 1)
    per_image = np.where(weights > 0, weights * np.sqrt(variance), 0.0).sum(1)
    return float(np.sqrt((per_image**2).sum()) / len(per_image))


def ends(found: Mapping[str, Observed], gammas: Sequence[float], estimates: int) -> Iterator[Row]:
    """Where the ascents of `gammas` end: mean squared distance and mean loss, with 95 % t intervals. Images
    whose ascent is refused stay where they are.
    """
    for name, points in found.items():
        refused = points.refused(estimates)
        points = points.without(refused)
        for gamma in sorted(set(gammas)):
            i = points.at(gamma)
            rho, loss = t_interval(points.squared_distance[:, i]), t_interval(points.loss[:, i])
            row: Row = {"adversary": name, "gamma": gamma}
            row |= {"rho": rho[0], "rho_low": rho[1], "rho_high": rho[2]}
            row |= {"loss": loss[0], "low": loss[1], "high": loss[2], "images": len(points.loss)}
            yield row | {"refused": float(refused[:, i].mean())}


def mixtures(found: Mapping[str, Independent], rhos: Sequence[float], estimates: int) -> Iterator[Row]:
    """One row per adversary and rho that its points reach."""
    for name, points in found.items():
        reached = -1.0
        for rho in sorted(r for r in rhos if r > 0):
            row = measured(points, rho)
            if row["rho"] <= reached * (1 + 1e-9):
                break
            reached = row["rho"]
            error = noise_error(points, rho, estimates)
            yield {"adversary": f"pgd_{name}", "gamma": np.nan, **row, "noise_error": error}


TABLE = Table(
    "worst_cases",
    (
        *("run", "label", *SMOOTHING, "adversary", "gamma", "rho", "rho_low", "rho_high", "loss", "low"),
        *("high", "images", "noise_error", "refused", "measured"),
    ),
    rows,
)
