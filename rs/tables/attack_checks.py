"""Checks that a referee would ask of attacks, from stored outcomes: one row per question. No torch.

- radius: accuracy does not rise with the radius. Not asked where it cannot rise: where images broken at a
  smaller radius count as broken at larger ones, or where one point serves all radii.
- more steps, more samples: twice as many do not help the defender.
- unbounded: where the ball holds all of [0,1], accuracy falls to chance or below.
- weaker access: transferred and gradient-free attacks do not beat the white-box attack of the same norm and
  judge that leaves the lowest accuracy at the radius. Without one, a row says that this was not checked.
- certificate: among images certified at r and attacked within r, the smoothed prediction stays.

Accuracies are compared on the same images, judged under the same noise, so only images that change count: an
exact one-sided sign test of "as many one way as the other". A row fails below LEVEL, corrected for the number
of radii that it looks at.

For a certificate, an image counts as changed where the judge's votes rule out that the certified class is the
most likely one. The test is exact and one-sided, in every row of the image within its certified radius. Its
level is LEVEL, divided by the number of these rows, of other classes, and of points at which a minimal attack
may be judged. So an unchanged image counts with probability at most LEVEL. Its certificate is wrong with
probability at most alpha, whatever its radius. Hence, of all N images that were attacked and have a claim of
the certificate (including abstentions, and images never attacked within their radius), at most the LEVEL
quantile of Binomial(N, alpha + LEVEL) may count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, TypedDict

import numpy as np
import pandas as pd
from scipy import stats

from rs.statistics.bounds import Floats
from rs.statistics.majority import WRONG
from rs.tables.attacks import Attacked, AttackedRun, of_attacked
from rs.tables.noise import SMOOTHING
from rs.tables.table import Row, Table, columns_of

LEVEL = 1e-3
Verdict = Literal["holds", "fails", "not checked"]
NOT_CHECKED: Verdict = "not checked"
_EDGE = 1e-6  # relative: a point on the sphere of the certified radius is not within it


class Check(TypedDict):
    """One question about one attack: `measured` must not be above `reference`.

    Both are accuracies, or numbers of images where the check is `against` certificates; `changed` then
    includes near ties.
    """

    check: str
    attack: str
    against: str
    norm: float
    radius: float
    images: int
    measured: float
    reference: float
    p: float
    verdict: Verdict
    changed: int | None


def rows_of(run: AttackedRun) -> Iterator[Row]:
    yield from ({**run.named, **check} for check in checks(run.attacks, run.certified))


def checks(attacks: Sequence[Attacked], certified: pd.DataFrame | None) -> list[Check]:
    """Every question that the outcomes on one smoothed run can answer.

    `certified` is the run's certified file, for certificates of hard votes only.
    """
    rows: list[Check] = []
    for attack in attacks:
        rows += _over_radii(attack)
        rows += _variants(attack)
        rows += _against_white_box(attack, attacks)
        if certified is not None:
            rows += _against_certificates(attack, certified)
    return rows


class _Comparison(NamedTuple):
    """A stronger attack compared with a weaker one, on the images of both: accuracies, and the p-value of so
    many more images surviving the stronger attack.
    """

    p: float
    images: int
    stronger: float
    weaker: float

    @property
    def badness(self) -> tuple[float, float]:
        """A sort key: the least is the worst comparison."""
        return self.p, self.weaker - self.stronger


def _compared(stronger: pd.DataFrame, weaker: pd.DataFrame) -> _Comparison:
    both = stronger[["success"]].join(weaker["success"].rename("weaker"), how="inner")
    survive, before = ~both["success"].astype(bool), ~both["weaker"].astype(bool)
    helped, harmed = int((survive & ~before).sum()), int((~survive & before).sum())
    p = stats.binomtest(helped, helped + harmed, 0.5, "greater").pvalue if helped + harmed else 1.0
    return _Comparison(float(p), len(both), float(survive.mean()), float(before.mean()))


def _check(
    check: str, attack: Attacked, against: str, radius: float, comparison: _Comparison, looks: int = 1
) -> Check:
    """`looks` is the number of comparisons of which this is the worst."""
    p = min(1.0, comparison.p * looks)
    return {
        "check": check,
        "attack": attack.name,
        "against": against,
        "norm": attack.norm,
        "radius": radius,
        "images": comparison.images,
        "measured": comparison.stronger,
        "reference": comparison.weaker,
        "p": p,
        "verdict": "holds" if p >= LEVEL else "fails",
        "changed": None,
    }


def _over_radii(attack: Attacked) -> Iterator[Check]:
    """The worst pair of neighbouring radii, where each radius was attacked anew."""
    if attack.provenance["shares"] != "none":
        return
    outcomes = [(radius, attack.at(radius)) for radius in attack.radii]
    pairs = [
        (_compared(at_large, at_small), small, large)
        for (small, at_small), (large, at_large) in pairwise(outcomes)
    ]
    if pairs:
        comparison, small, large = min(pairs, key=lambda pair: pair[0].badness)
        yield _check("radius", attack, f"radius {small:g}", large, comparison, len(pairs))


def _variants(attack: Attacked) -> Iterator[Check]:
    variants = attack.frame[attack.frame["variant"] != ""]
    for variant, rows in variants.groupby("variant", sort=False):
        radius, stronger = float(rows["radius"].iloc[0]), rows.set_index("image")
        if variant == "unbounded":
            hits, images, chance = (
                int((~rows["success"]).sum()),
                len(rows),
                1 / int(attack.provenance["classes"]),
            )
            p = float(stats.binomtest(hits, images, chance, "greater").pvalue)
            comparison = _Comparison(p, images, hits / images, chance)
            yield _check("unbounded", attack, "chance", radius, comparison)
        else:
            comparison = _compared(stronger, attack.at(radius))
            yield _check(str(variant), attack, "itself with half", radius, comparison)


def _against_white_box(attack: Attacked, attacks: Sequence[Attacked]) -> Iterator[Check]:
    """The attack against the strongest white-box attack per radius, on the images of both: the worst radius.

    A further row names the radii without such an attack.
    """
    if attack.provenance["access"] == "white-box":
        return
    rivals = [a for a in attacks if a.provenance["access"] == "white-box"]
    rivals = [a for a in rivals if a.norm == attack.norm and a.judge == attack.judge]
    check, strongest, alone = f"weaker access: {attack.provenance['access']}", [], []
    for radius in (r for r in attack.radii if r > 0):
        compared = [(_compared(rival.at(radius), attack.at(radius)), rival.name) for rival in rivals]
        shared = [pair for pair in compared if pair[0].images > 0]
        if shared:
            strongest.append((*min(shared, key=lambda pair: pair[0].stronger), radius))
        else:
            alone.append(f"{radius:g}")
    if strongest:
        comparison, name, radius = min(strongest, key=lambda one: one[0].badness)
        yield _check(check, attack, name, radius, comparison, len(strongest))
    if alone:
        missing = f"no white-box attack of this norm, judge and images at radius {', '.join(alone)}"
        nothing = _check(check, attack, missing, np.nan, _Comparison(np.nan, 0, np.nan, np.nan))
        yield {**nothing, "p": np.nan, "verdict": NOT_CHECKED}


def _against_certificates(attack: Attacked, certified: pd.DataFrame) -> Iterator[Check]:
    """Images that changed within their certified radius, each counted once."""
    if attack.provenance["judge"] == "base":  # the base classifier is not the certified one
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
        looks = (int(attack.provenance["classes"]) - 1) * int(attack.provenance.get("looks", 1))
        tests = met.groupby("image")["image"].transform("size") * looks
        changed = met.assign(level=LEVEL / tests)[met["prediction"] != met["certified_prediction"]]
        count = int(changed[_most_likely(changed) < changed["level"]]["image"].nunique())
        attacked, alpha = int(claims.index.isin(moved["image"]).sum()), float(claims["alpha"].iloc[0])
        allowed = int(stats.binom.isf(LEVEL, attacked, min(alpha + LEVEL, 1.0)))
        yield {
            "check": "certificate",
            "attack": attack.name,
            "against": str(name),
            "norm": attack.norm,
            "radius": float(met["distortion"].max()),
            "images": images,
            "measured": count,
            "reference": allowed,
            "p": np.nan,
            "verdict": "holds" if count <= allowed else "fails",
            "changed": int(changed["image"].nunique()),
        }


def _most_likely(changed: pd.DataFrame) -> Floats:
    """For each image: the p-value of its prediction's lead if the certified class were as likely. A lead may
    have stopped the votes (rs.statistics.majority), for which WRONG is added.
    """
    tests: list[float] = []
    for votes, prediction, certified in zip(
        changed["votes"], changed["prediction"], changed["certified_prediction"], strict=True
    ):
        won, lost = int(votes[prediction]), int(votes[certified])
        tests.append(float(stats.binomtest(won, won + lost, 0.5, "greater").pvalue) + WRONG)
    return np.array(tests)


TABLE = Table("attack_checks", ("run", "label", *SMOOTHING, *columns_of(Check)), of_attacked(rows_of))
