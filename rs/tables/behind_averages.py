"""What an average certified radius hides, since easy images dominate it: the radii at which two curves of
certified accuracy differ, the distribution of the lower bounds of p_A, and what a network certifies of the
images that another one certifies at no radius. No torch.

Votes that a rule stopped decide an image only at the rule's radii. At other radii its stored radius is a
lower bound that all votes could have raised: an image given up at 0.5 may well be one that all votes certify
at 0.25. Therefore:
- The band of a difference is taken at the radii that both sides decide. They were chosen before the votes,
  and whether an image is certified there is one draw per image, as with a fixed number of votes.
- A share of images with p_A of at least p is a lower bound, except at the p of a decided radius. The upper
  end of its interval is then 1; that the share of bounds is at least so large stays true.
- Which images are certified at no radius is known only where both sides decide radius 0. Elsewhere nothing is
  said of hard images, since some that were given up are not hard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from rs.statistics.bands import all_radii, curve_half_width, difference_band
from rs.statistics.intervals import wilson_interval
from rs.statistics.paired import of_means
from rs.tables.contestants import Contestant, common_images

PROBABILITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
_NOBODY = {"accuracy": None, "low": None, "high": None}


def curve(a: Contestant, b: Contestant, level: float = 0.95) -> dict[str, Any]:
    """The difference of the curves of certified accuracy with its band, at all radii, or at those that the
    stopped votes of both sides decide (`decided`). If there are none, `p` is None.
    """
    assert a.certified is not None
    assert b.certified is not None
    _, first, second, _ = common_images(a.certified, b.certified, (a.name, b.name))
    stopped = a.decided is not None or b.decided is not None
    radii = all_radii([first, second])
    if stopped:
        decided = sorted({r for side in (a, b) for r in side.decided or ()})
        radii = np.array([r for r in decided if not a.is_lower_bound(r) and not b.is_lower_bound(r)])
    fields: dict[str, Any] = {"a": a.name, "b": b.name, "decided": stopped}
    if not len(radii):
        empty: dict[str, Any] = {key: [] for key in ("stretches", "radii", "difference", "low", "high")}
        return fields | {"p": None} | empty
    band = difference_band(first, second, radii, level, factors=(a.factor, b.factor))
    stretches = [dict(zip(("side", "first", "last"), s, strict=True)) for s in band.stretches()]
    fields |= {"p": band.p, "stretches": stretches}
    for key in ("radii", "difference", "low", "high"):
        fields[key] = [float(value) for value in getattr(band, key)]
    return fields


def probabilities(contestant: Contestant, level: float = 0.95) -> list[dict[str, Any]]:
    """Shares of images whose lower bound of p_A, of the true class, is at least each of PROBABILITIES, with a
    band that holds for all of them together (Dvoretzky, Kiefer, Wolfowitz, Massart). Mean over the networks.
    With stopped votes a share may be a `lower_bound`. Empty where the radii do not determine p_A.
    """
    if contestant.sigma is None or contestant.certified is None:
        return []
    values = contestant.certified.values
    networks, images = values.shape
    half = curve_half_width(images, level, networks)
    rows = []
    for p in PROBABILITIES:
        radius = contestant.sigma * float(special.ndtri(p))
        share, bound = float((values >= radius).mean()), contestant.is_lower_bound(radius)
        high = 1.0 if bound else min(share + half, 1.0)
        rows.append(
            {"p_a": p, "share": share, "low": max(share - half, 0.0), "high": high, "lower_bound": bound}
        )
    return rows


def on_hard_images(
    contestants: Sequence[Contestant], reference: Contestant, level: float = 0.95
) -> list[dict[str, Any]]:
    """For each other contestant: its accuracy, certified at radius 0, on the images that no network of the
    reference certifies at any radius, and the same with roles exchanged (`in_turn`).

    Two equally good networks also certify some images that the other does not, so compare both numbers. Where
    stopped votes do not determine the hard images (`lower_bound`), both are None.
    """
    rows = []
    for contestant in contestants:
        if contestant is reference or contestant.certified is None or reference.certified is None:
            continue
        names = (contestant.name, reference.name)
        _, own, others, _ = common_images(contestant.certified, reference.certified, names)
        row: dict[str, Any] = {"name": contestant.name, "reference": reference.name}
        row["lower_bound"] = contestant.is_lower_bound(0.0) or reference.is_lower_bound(0.0)
        if row["lower_bound"]:
            rows.append(row | _NOBODY | {"images": None, "in_turn": None})
            continue
        row |= _share(own, others, level)
        rows.append(row | {"in_turn": _share(others, own, level)})
    return rows


def _share(own: Any, reference: Any, level: float) -> dict[str, Any]:
    right = (own >= 0)[:, ~(reference >= 0).any(axis=0)]
    images = right.shape[1]
    if not images:
        return {"images": 0, **_NOBODY}
    accuracy = float(right.mean())
    shares = right.mean(axis=0)
    if len(right) == 1 or shares.min() == shares.max():  # images that do not vary give no interval for others
        low, high = (float(end) for end in wilson_interval(accuracy * images, images, level))
    else:
        interval = of_means(shares, np.zeros(images), level)
        low, high = max(interval.low, 0.0), min(interval.high, 1.0)
    return {"images": images, "accuracy": accuracy, "low": low, "high": high}
