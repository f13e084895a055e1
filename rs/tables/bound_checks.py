"""The table `bound_checks`: what independent adversaries (rs.tables.worst_cases) say of the bounds of
rs.tables.distributional. No torch.

A check asks whether the mixture's loss exceeds a bound at its rho, by more than the noise of both explains:
standard errors are added, as both meet the same noise, and the test is corrected for all rhos that it looks
at. Images are no sample here: a bound is about these very images. An estimate that fails is refuted; a proven
bound that fails is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from rs.tables.attack_checks import LEVEL
from rs.tables.noise import SMOOTHING
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

AGAINST = {"sinha": "base", "sinha_line": "base"}  # the adversary of other certificates is "smoothed"
_NAMED = ("run", "label", *SMOOTHING, "measured")


def rows(_: Stored, distributional: Sequence[Row], worst_cases: Sequence[Row]) -> Iterator[Row]:
    claims, worst = _by_run(distributional), _by_run(worst_cases)
    for key, claimed in claims.items():
        named = {column: claimed[0][column] for column in _NAMED}
        yield from ({**named, **row} for row in checks(claimed, worst.get(key, [])))


def _by_run(table: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """The rows of each smoothed run."""
    runs: dict[tuple[str, str], list[Row]] = {}
    for row in table:
        runs.setdefault((row["run"], row["smoothing"]), []).append(row)
    return runs


def checks(claims: Sequence[Row], worst: Sequence[Row]) -> Iterator[Row]:
    """Every certificate against the independent adversary of its classifier, at the rho
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


TABLE = Table(
    "bound_checks",
    (
        *("run", "label", *SMOOTHING, "certificate", "adversary", "rho", "bound", "loss", "excess", "error"),
        *("p", "rigorous", "rhos", "images", "verdict", "measured"),
    ),
    rows,
    of=("distributional", "worst_cases"),
)
