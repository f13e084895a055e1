"""What a referee would ask of attacks, answered from stored outcomes: one row per question. No torch.

- radius: accuracy does not rise with the radius. Not asked where it cannot: where images broken at a smaller
  radius count at larger ones, or one point serves all radii.
- more steps, more samples: twice as many do not help the defender.
- unbounded: where the ball holds all of [0,1], accuracy falls to chance or below.
- weaker access: transferred and gradient-free attacks do not beat the white-box attack of the same norm and
  judge that leaves the lowest accuracy at the radius. Without one, a row says that this was not checked.
- certificate: among images certified at r and attacked within r, the smoothed prediction stays.

Accuracies are compared on the same images, judged under the same noise, so only images that change count: an
exact one-sided sign test of "as many one way as the other". A row fails below LEVEL, corrected for the radii
that it looks at.

For a certificate, an image counts as changed where the judge's votes rule out that the certified class is the
most likely one: an exact one-sided test in every row of the image within its certified radius, at LEVEL over
the number of these rows, of the other classes and of the places that a minimal attack's point may be judged
at. So an image that did not change counts with probability at
most LEVEL. Its certificate is wrong with probability at most alpha, whatever radius it comes to. Hence of all
N images that were attacked and asked for a certificate (those that abstained, or were never attacked within
their radius, too), at most the LEVEL quantile of Binomial(N, alpha + LEVEL) may count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from rs.tables.attacks import Attacked, attacked_runs
from rs.tables.noise import SMOOTHING
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

LEVEL = 1e-3
NOT_CHECKED = "not checked"  # a verdict
COLUMNS = ("check", "attack", "against", "norm", "radius", "images", "measured", "reference", "p", "verdict")
_EDGE = 1e-6  # relative: a point on the sphere of the certified radius is not within it


def rows(stored: Stored) -> Iterator[Row]:
    for run in stored.once(attacked_runs):
        yield from ({**run.named, **row} for row in checks(run.attacks, run.certified))


def checks(attacks: Sequence[Attacked], certified: pd.DataFrame | None) -> list[Row]:
    """Every question that the outcomes on one smoothed run can answer; rows of COLUMNS.

    `certified` is the run's certified file, of the certificates of hard votes only.
    """
    rows: list[Row] = []
    for attack in attacks:
        rows += _over_radii(attack)
        rows += _variants(attack)
        rows += _against_white_box(attack, attacks)
        if certified is not None:
            rows += _against_certificates(attack, certified)
    return rows


def _row(check: str, attack: Attacked, against: str, radius: float, images: int, **found: Any) -> Row:
    row: Row = {
        "check": check,
        "attack": attack.name,
        "against": against,
        "norm": attack.norm,
        "radius": radius,
    }
    return row | {"images": images, **found}


def _verdict(p: float, looks: int = 1) -> Row:
    p = min(1.0, p * looks)
    return {"p": p, "verdict": "holds" if p >= LEVEL else "fails"}


def _compared(stronger: pd.DataFrame, weaker: pd.DataFrame) -> tuple[float, int, float, float]:
    """p that so many more images survive `stronger` by chance; images; both accuracies."""
    both = stronger[["success"]].join(weaker["success"].rename("weaker"), how="inner")
    survive, before = ~both["success"].astype(bool), ~both["weaker"].astype(bool)
    helped, harmed = int((survive & ~before).sum()), int((~survive & before).sum())
    p = stats.binomtest(helped, helped + harmed, 0.5, "greater").pvalue if helped + harmed else 1.0
    return float(p), len(both), float(survive.mean()), float(before.mean())


def _over_radii(attack: Attacked) -> Iterator[Row]:
    """The worst pair of neighbouring radii, where each was attacked anew."""
    if attack.made["shares"] != "none":
        return
    pairs = list(pairwise(attack.radii))
    found = [(_compared(attack.at(large), attack.at(small)), small, large) for small, large in pairs]
    if found:
        (p, images, above, below), small, large = min(found, key=lambda f: (f[0][0], f[0][3] - f[0][2]))
        told = {"measured": above, "reference": below, **_verdict(p, len(pairs))}
        yield _row("radius", attack, f"radius {small:g}", large, images, **told)


def _variants(attack: Attacked) -> Iterator[Row]:
    extra = attack.frame[attack.frame["variant"] != ""]
    for variant, rows in extra.groupby("variant", sort=False):
        radius, stronger = float(rows["radius"].iloc[0]), rows.set_index("image")
        if variant == "unbounded":
            hits, images, chance = int((~rows["success"]).sum()), len(rows), 1 / int(attack.made["classes"])
            p = stats.binomtest(hits, images, chance, "greater").pvalue
            told = {"measured": hits / images, "reference": chance, **_verdict(p)}
            yield _row("unbounded", attack, "chance", radius, images, **told)
            continue
        p, images, above, below = _compared(stronger, attack.at(radius))
        told = {"measured": above, "reference": below, **_verdict(p)}
        yield _row(str(variant), attack, "itself with half", radius, images, **told)


def _against_white_box(attack: Attacked, attacks: Sequence[Attacked]) -> Iterator[Row]:
    """At every radius against the strongest white-box attack, on the images of both: the worst radius.

    One row more tells the radii without such an attack.
    """
    if attack.made["access"] == "white-box":
        return
    rivals = [a for a in attacks if a.made["access"] == "white-box"]
    rivals = [a for a in rivals if a.norm == attack.norm and a.judge == attack.judge]
    check, found, alone = f"weaker access: {attack.made['access']}", [], []
    for radius in (r for r in attack.radii if r > 0):
        compared = [(_compared(a.at(radius), attack.at(radius)), a.name) for a in rivals]
        shared = [c for c in compared if c[0][1] > 0]
        if shared:
            found.append((*min(shared, key=lambda c: c[0][2]), radius))
        else:
            alone.append(f"{radius:g}")
    if found:
        (p, images, white, weak), name, radius = min(found, key=lambda f: (f[0][0], f[0][3] - f[0][2]))
        told = {"measured": white, "reference": weak, **_verdict(p, len(found))}
        yield _row(check, attack, name, radius, images, **told)
    if alone:
        missing = f"no white-box attack of this norm, judge and images at radius {', '.join(alone)}"
        told = {**dict.fromkeys(("measured", "reference", "p"), np.nan), "verdict": NOT_CHECKED}
        yield _row(check, attack, missing, np.nan, 0, **told)


def _against_certificates(attack: Attacked, certified: pd.DataFrame) -> Iterator[Row]:
    """Images changed within their certified radius, each counted once."""
    if attack.made["judge"] == "base":  # another classifier than the certified one
        return
    moved = attack.frame[attack.frame["radius"] > 0]
    for name, claims in certified[certified["norm"] == attack.norm].groupby("certificate", sort=False):
        if attack.certificate not in (None, name):
            continue
        claims = claims.set_index("image")
        claimed = claims[["prediction", "radius"]].add_prefix("certified_")
        met = moved.join(claimed[claims["prediction"] >= 0], on="image", how="inner")
        met = met[met["distortion"] * (1 + _EDGE) < met["certified_radius"]]
        images = int(met["image"].nunique())
        if not images:
            continue
        looks = (int(attack.made["classes"]) - 1) * int(attack.made.get("looks", 1))
        tests = met.groupby("image")["image"].transform("size") * looks
        changed = met.assign(level=LEVEL / tests)[met["prediction"] != met["certified_prediction"]]
        count = int(changed[_most_likely(changed) < changed["level"]]["image"].nunique())
        asked, alpha = int(claims.index.isin(moved["image"]).sum()), float(claims["alpha"].iloc[0])
        allowed = int(stats.binom.isf(LEVEL, asked, min(alpha + LEVEL, 1.0)))
        told: Row = {"measured": count, "reference": allowed, "p": np.nan}
        told |= {"verdict": "holds" if count <= allowed else "fails"}
        told |= {"changed": int(changed["image"].nunique())}
        yield _row("certificate", attack, str(name), float(met["distortion"].max()), images, **told)


def _most_likely(changed: pd.DataFrame) -> np.ndarray:
    """For each image: p that its prediction leads so clearly, were the certified class as likely."""
    tests = []
    for votes, prediction, certified in zip(
        changed["votes"], changed["prediction"], changed["certified_prediction"], strict=True
    ):
        won, lost = int(votes[prediction]), int(votes[certified])
        tests.append(float(stats.binomtest(won, won + lost, 0.5, "greater").pvalue))
    return np.array(tests)


TABLE = Table("attack_checks", ("run", "label", *SMOOTHING, *COLUMNS), rows)
