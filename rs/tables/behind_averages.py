"""What an average certified radius hides, since easy images move it most: how the lower bounds of p_A are
distributed, and what a network certifies of the images that another certifies at no radius. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from rs.statistics.bands import curve_half_width
from rs.statistics.intervals import wilson_interval
from rs.statistics.paired import of_means
from rs.tables.contestants import Contestant, common_images

PROBABILITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)


def probabilities(contestant: Contestant, level: float = 0.95) -> list[dict[str, Any]]:
    """Shares of images whose lower bound of p_A, of the true class, is at least each of PROBABILITIES, with a
    band that holds for all together (Dvoretzky, Kiefer, Wolfowitz, Massart). Mean over the networks.

    Nothing where the radii do not tell p_A.
    """
    if contestant.sigma is None or contestant.certified is None:
        return []
    values = contestant.certified.values
    half = curve_half_width(values.shape[1], level)
    rows = []
    for p in PROBABILITIES:
        share = float((values >= contestant.sigma * special.ndtri(p)).mean())
        rows.append({"p_a": p, "share": share, "low": max(share - half, 0.0), "high": min(share + half, 1.0)})
    return rows


def on_hard_images(
    contestants: Sequence[Contestant], reference: Contestant, level: float = 0.95
) -> list[dict[str, Any]]:
    """Of each other contestant: its accuracy, certified at radius 0, on the images that no network of the
    reference certifies at any radius, and the same the other way round (`in_turn`).

    Two equally good networks also certify something of what the other does not: compare both numbers.
    """
    rows = []
    for contestant in contestants:
        if contestant is reference or contestant.certified is None or reference.certified is None:
            continue
        names = (contestant.name, reference.name)
        _, own, others, _ = common_images(contestant.certified, reference.certified, names)
        row: dict[str, Any] = {"name": contestant.name, "reference": reference.name}
        row |= _share(own, others, level)
        rows.append(row | {"in_turn": _share(others, own, level)})
    return rows


def _share(own: Any, reference: Any, level: float) -> dict[str, Any]:
    right = (own >= 0)[:, ~(reference >= 0).any(axis=0)]
    images = right.shape[1]
    if not images:
        return {"images": 0, "accuracy": None, "low": None, "high": None}
    accuracy = float(right.mean())
    shares = right.mean(axis=0)
    if len(right) == 1 or shares.min() == shares.max():  # images that do not spread say nothing of others
        low, high = (float(end) for end in wilson_interval(accuracy * images, images, level))
    else:
        found = of_means(shares, np.zeros(images), level)
        low, high = max(found.low, 0.0), min(found.high, 1.0)
    return {"images": images, "accuracy": accuracy, "low": low, "high": high}
