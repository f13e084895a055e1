"""The table `empirical_accuracy`: one row per attack and radius."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from rs.statistics.intervals import wilson_interval
from rs.tables.attacks import AttackedRun, of_attacked
from rs.tables.noise import SMOOTHING
from rs.tables.table import Row, Table


def rows_of(run: AttackedRun) -> Iterator[Row]:
    for attack in run.attacks:
        provenance, outcomes = attack.provenance, attack.plain
        columns = {
            **run.named,
            "attack": attack.name,
            "access": provenance["access"],
            "norm": provenance["norm"],
            "samples": provenance["samples"],
            "shares": provenance["shares"],
            "judge": str(provenance["judge"]),
            "panel": attack.made_by or attack.name,
            "excess": _excess(outcomes, run.noise) if provenance["shares"] == "minimal" else None,
        }
        for radius, group in outcomes.groupby("radius"):
            hits, images = int((~group["success"]).sum()), len(group)
            low, high = (float(end) for end in wilson_interval(hits, images))
            accuracy = {"radius": radius, "accuracy": hits / images, "low": low, "high": high}
            yield {**columns, **accuracy, "images": images, "steps": float(group["steps"].mean())}


def _excess(outcomes: pd.DataFrame, noise: dict[str, Any]) -> float | None:
    """How far beyond the boundary a minimal attack's points lie at least, on average. The judge's votes alone
    show that a Gaussian-smoothed prediction stays for sigma / 2 (Phi^-1(p_1) - Phi^-1(p_label)). Images that
    are misclassified without an attack do not count.
    """
    if noise["name"] != "gaussian":
        return None
    sigma = float(noise["sigma"])
    wrong = outcomes.loc[(outcomes["radius"] == 0) & outcomes["success"], "image"]
    farthest = outcomes["radius"] == outcomes["radius"].max()
    points = outcomes[farthest & (outcomes["distortion"] > 0) & outcomes["success"]]
    points = points[~points["image"].isin(wrong)]
    drawn = points["votes"].map(sum).to_numpy()
    if len(points) == 0 or drawn.max() <= 1:
        return None
    kept = [[votes[p], votes[y]] for votes, p, y in points[["votes", "prediction", "label"]].to_numpy()]
    quantiles = special.ndtri((np.array(kept) + 0.5) / (drawn[:, None] + 1))
    return float(sigma / 2 * (quantiles[:, 0] - quantiles[:, 1]).mean())


TABLE = Table(
    "empirical_accuracy",
    (
        *("run", "label", *SMOOTHING, "attack", "access", "norm", "radius", "accuracy", "low", "high"),
        *("images", "samples", "steps", "shares", "excess", "judge", "panel"),
    ),
    of_attacked(rows_of),
)
