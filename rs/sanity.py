"""What a referee would ask of attacks, answered from stored outcomes: one row per question. No torch.

- radius: accuracy does not rise with the radius.
- more steps, more samples: twice as many do not help the defender.
- unbounded: where the ball holds all of [0,1], accuracy falls to chance or below.
- weaker access: transferred and gradient-free attacks do not beat the white-box attack of the same norm that
  leaves the lowest accuracy at the radius.
- certificate: among images certified at r and attacked within r, the smoothed prediction stays.

Accuracies are compared on the same images, judged under the same noise, so only images that change count: an
exact one-sided sign test of "as many one way as the other". For a certificate, an image counts as changed
where the judge's votes rule out that the certified class is the most likely one (exact one-sided test at
LEVEL); of N images at most the LEVEL quantile of Binomial(N, alpha + LEVEL) may. A row fails below LEVEL,
corrected for the radii that it looks at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 1e-3
COLUMNS = ("check", "attack", "against", "norm", "radius", "images", "measured", "reference", "p", "verdict")
_EDGE = 1e-6  # relative: a point on the sphere of the certified radius is not within it
Row = dict[str, Any]


@dataclass(frozen=True)
class Attacked:
    """One attack on one smoothed run: what tables call it, its file's rows, and their provenance.

    `certificate` is the one that the study holds it against, or None for all of its norm.
    """

    name: str
    frame: pd.DataFrame
    made: Mapping[str, Any]
    certificate: str | None = None

    @property
    def norm(self) -> float:
        return float(self.made["norm"])

    def at(self, radius: float, variant: str = "") -> pd.DataFrame:
        """The rows of one radius by image."""
        rows = self.frame[(self.frame["variant"] == variant) & (self.frame["radius"] == radius)]
        return rows.set_index("image")

    @property
    def radii(self) -> list[float]:
        return sorted(self.frame[self.frame["variant"] == ""]["radius"].unique())


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
    """The worst pair of neighbouring radii."""
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
    """At every radius against the strongest white-box attack; the worst radius is told."""
    if attack.made["access"] == "white-box":
        return
    rivals = [a for a in attacks if a.made["access"] == "white-box" and a.norm == attack.norm]
    found = []
    for radius in (r for r in attack.radii if r > 0):
        offered = [a for a in rivals if radius in a.radii]
        if offered:
            rival = min(offered, key=lambda a, r=radius: float((~a.at(r)["success"]).mean()))  # type: ignore[misc]
            found.append((_compared(rival.at(radius), attack.at(radius)), radius, rival.name))
    if found:
        (p, images, white, weak), radius, name = min(found, key=lambda f: (f[0][0], f[0][3] - f[0][2]))
        told = {"measured": white, "reference": weak, **_verdict(p, len(found))}
        yield _row(f"weaker access: {attack.made['access']}", attack, name, radius, images, **told)


def _against_certificates(attack: Attacked, certified: pd.DataFrame) -> Iterator[Row]:
    """Images changed within their certified radius, each counted once."""
    if attack.made["judge"] == "base":  # another classifier than the certified one
        return
    for name, claims in certified[certified["norm"] == attack.norm].groupby("certificate", sort=False):
        if attack.certificate not in (None, name):
            continue
        claims = claims[claims["prediction"] >= 0].set_index("image")
        claimed = claims[["prediction", "radius"]].add_prefix("certified_")
        met = attack.frame.join(claimed, on="image", how="inner")
        met = met[met["distortion"] * (1 + _EDGE) < met["certified_radius"]]
        met = met[met["radius"] > 0]
        images = int(met["image"].nunique())
        if not images:
            continue
        changed = met[met["prediction"] != met["certified_prediction"]]
        surely = [p < LEVEL for p in _most_likely(changed)]
        count = int(changed[surely]["image"].nunique()) if len(changed) else 0
        alpha = float(claims["alpha"].iloc[0])
        allowed = int(stats.binom.isf(LEVEL, images, min(alpha + LEVEL, 1.0)))
        told: Row = {"measured": count, "reference": allowed, "p": np.nan}
        told |= {"verdict": "holds" if count <= allowed else "fails"}
        told |= {"changed": int(changed["image"].nunique())}
        yield _row("certificate", attack, str(name), float(met["distortion"].max()), images, **told)


def _most_likely(changed: pd.DataFrame) -> list[float]:
    """For each image: p that its prediction leads so clearly, were the certified class as likely."""
    tests = []
    for votes, prediction, certified in zip(
        changed["votes"], changed["prediction"], changed["certified_prediction"], strict=True
    ):
        won, lost = int(votes[prediction]), int(votes[certified])
        tests.append(float(stats.binomtest(won, won + lost, 0.5, "greater").pvalue))
    return tests
