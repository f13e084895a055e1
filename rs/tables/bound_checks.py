"""The table `bound_checks`: checks the bounds of rs.tables.distributional by independent adversaries
(rs.tables.worst_cases). No torch.

A check asks whether the mixture's loss exceeds a bound at its rho by more than the noise of both explains.
Standard errors are added, as both use the same noise, and the test is corrected for the number of rhos.
Images are no sample here: a bound is about these very images. An estimate that fails is refuted; a proven
bound that fails is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
from scipy import stats

from rs.tables.attack_checks import LEVEL, Verdict
from rs.tables.noise import SMOOTHING
from rs.tables.stored import Stored
from rs.tables.table import Row, Table, columns_of

AGAINST = {"sinha": "base", "sinha_line": "base"}  # for other certificates it is "smoothed"
_NAMED = ("run", "label", *SMOOTHING, "measured")


class BoundCheck(TypedDict):
    """One bound against the adversary independent of it, at the worst of `rhos` rhos: its loss is `excess`
    above the bound, with standard error `error`.
    """

    certificate: str
    adversary: str
    rho: float
    bound: float
    error: float
    loss: float
    excess: float
    p: float
    rigorous: bool
    rhos: int
    images: int
    verdict: Verdict


def rows(_: Stored, distributional: Sequence[Row], worst_cases: Sequence[Row]) -> Iterator[Row]:
    cases = _by_run(worst_cases)
    for run, claims in _by_run(distributional).items():
        named = {column: claims[0][column] for column in _NAMED}
        yield from ({**named, **check} for check in checks(claims, cases.get(run, [])))


def _by_run(table: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """The rows of each smoothed run."""
    runs: dict[tuple[str, str], list[Row]] = {}
    for row in table:
        runs.setdefault((row["run"], row["smoothing"]), []).append(row)
    return runs


def checks(claims: Sequence[Row], worst: Sequence[Row]) -> Iterator[BoundCheck]:
    """Every certificate against the independent adversary of its classifier, at the rho where the certificate
    does worst. A claim at a larger rho covers a mixture with a smaller one.
    """
    for certificate in dict.fromkeys(claim["certificate"] for claim in claims):
        by_rho = {claim["rho"]: claim for claim in claims if claim["certificate"] == certificate}
        adversary = f"pgd_{AGAINST.get(certificate, 'smoothed')}"
        compared = []
        for case in (case for case in worst if case["adversary"] == adversary):
            above = [rho for rho in by_rho if rho >= case["rho"] * (1 - 1e-9)]
            if above and np.isfinite(case["loss"]):
                compared.append(_compared(by_rho[min(above)], case))
        if compared:
            check = min(compared, key=lambda check: (check["p"], -check["excess"]))
            p = min(1.0, check["p"] * len(compared))
            yield {**check, "p": p, "rhos": len(compared), "verdict": "holds" if p >= LEVEL else "fails"}


def _compared(claim: Row, case: Row) -> BoundCheck:
    """The check at one rho."""
    error = case["noise_error"] + (claim.get("noise_error") or 0.0)
    excess = case["loss"] - claim["loss"]
    p = float(stats.norm.sf(excess / error)) if error > 0 else float(excess <= 1e-12)
    return {
        "certificate": claim["certificate"],
        "adversary": case["adversary"],
        "rho": case["rho"],
        "bound": claim["loss"],
        "error": error,
        "loss": case["loss"],
        "excess": excess,
        "p": p,
        "rigorous": claim["rigorous"],
        "rhos": 1,
        "images": case["images"],
        "verdict": "holds" if p >= LEVEL else "fails",
    }


TABLE = Table(
    "bound_checks",
    ("run", "label", *SMOOTHING, *columns_of(BoundCheck), "measured"),
    rows,
    of=("distributional", "worst_cases"),
)
