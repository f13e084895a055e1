"""The worst cases that adversaries found, and what they say of the bounds. No torch.

The ends of the ascents at a price gamma cannot show that an estimate is too low: the surrogate of `nal` and
`sinha` is the maximum over those very points. Independent adversaries can (rs.stages.distributional: PGD in
balls, with other steps and other noise, at several radii). Each image of theirs goes to one of its points, or
stays, so that the mean squared distance meets rho: an adversary of the whole distribution. The best such
mixture takes for every image the point with the largest loss less a price times its squared distance, at the
price that spends rho, and tosses a coin between two points where both are as good. It is chosen by losses
under one noise and measured under another, or the luckiest point would win.

A check asks whether the mixture's loss exceeds a bound at its rho, by more than the noise of both explains:
standard errors are added, as both meet the same noise, and the test is corrected for all rhos that it looks
at. Images are no sample here: a bound is about these very images. An estimate that fails is refuted; a proven
bound that fails is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from rs.statistics.bounds import Floats
from rs.statistics.intervals import t_interval
from rs.tables.attack_checks import LEVEL

if TYPE_CHECKING:
    from rs.tables.distributional import Observed

Row = dict[str, Any]
WORST_CASES: tuple[str, ...] = (
    *("adversary", "gamma", "rho", "rho_low", "rho_high", "loss", "low", "high", "images", "noise_error"),
    *("refused", "measured"),
)
BOUND_CHECKS: tuple[str, ...] = (
    *("certificate", "adversary", "rho", "bound", "loss", "excess", "error", "p", "rigorous", "rhos"),
    *("images", "verdict", "measured"),
)
AGAINST = {"sinha": "base", "sinha_line": "base"}  # the adversary of other certificates is "smoothed"
_PRICES = (-12.0, 12.0)  # natural logarithms: between them losses and squared distances of images


@dataclass(frozen=True)
class Independent:
    """One adversary's points [N images, R radii], of which one is the image itself."""

    squared_distance: Floats
    loss: Floats
    loss_square: Floats
    chosen_loss: Floats  # under the noise by which a mixture is chosen


def independent(frame: pd.DataFrame) -> dict[str, Independent]:
    """The points of a distributional file that no surrogate sees, by the classifier that is attacked."""
    if "radius" not in frame:
        return {}
    out = {}
    for name, rows in frame[frame["radius"].notna()].groupby("adversary", sort=False):
        wide = rows.pivot(index="image", columns="radius").sort_index(axis=1)
        values = (wide[c].to_numpy(np.float64) for c in Independent.__dataclass_fields__)
        out[str(name).removeprefix("pgd_")] = Independent(*values)
    return out


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
    """Rows of WORST_CASES, one per adversary and rho that its points reach."""
    for name, points in found.items():
        reached = -1.0
        for rho in sorted(r for r in rhos if r > 0):
            row = measured(points, rho)
            if row["rho"] <= reached * (1 + 1e-9):
                break
            reached = row["rho"]
            error = noise_error(points, rho, estimates)
            yield {"adversary": f"pgd_{name}", "gamma": np.nan, **row, "noise_error": error}


def checks(claims: Sequence[Row], worst: Sequence[Row]) -> Iterator[Row]:
    """Rows of BOUND_CHECKS: every certificate against the independent adversary of its classifier, at the rho
    where it does worst. A claim at a larger rho covers a mixture of a smaller one.
    """
    for certificate in dict.fromkeys(row["certificate"] for row in claims):
        mine = {row["rho"]: row for row in claims if row["certificate"] == certificate}
        adversary = f"pgd_{AGAINST.get(certificate, 'smoothed')}"
        found = []
        for case in (row for row in worst if row["adversary"] == adversary):
            above = [rho for rho in mine if rho >= case["rho"] * (1 - 1e-9)]
            if not above or not np.isfinite(case["loss"]):
                continue
            claim = mine[min(above)]
            error = case["noise_error"] + (claim.get("noise_error") or 0.0)
            excess = case["loss"] - claim["loss"]
            p = float(stats.norm.sf(excess / error)) if error > 0 else float(excess <= 1e-12)
            found.append(
                (p, -excess, {"rho": case["rho"], "bound": claim["loss"], "error": error}, case, claim)
            )
        if not found:
            continue
        p, less, told, case, claim = min(found, key=lambda f: f[:2])
        p = min(1.0, p * len(found))
        row = {"certificate": certificate, "adversary": adversary, **told, "loss": case["loss"]}
        row |= {"excess": -less, "p": p, "rigorous": claim["rigorous"], "rhos": len(found)}
        yield row | {"images": case["images"], "verdict": "holds" if p >= LEVEL else "fails"}
