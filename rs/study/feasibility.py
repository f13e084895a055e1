"""The least number of votes with which a certificate can certify, known before any draw. No torch."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

from rs.settings.spending import spending
from rs.study.schema import schema

MOST_MULTIPLIERS = 10_000


def least_votes(certificate: dict[str, Any], facts: dict[str, Any], noise: str, n0: int) -> int:
    """The least n at which the certificate, with its defaults and the facts of its schema, can do anything
    but abstain under noise of this family.

    In the best case all votes, or all of every score, fall to one class. 1 - p_A and p_B then have their
    least upper bounds, at the parts of alpha that the certificate spends on them (rs.settings.spending).
    These bounds must add up to less than 1.
    """
    spent = spending(facts.get("x-spends", ()), certificate, noise)
    if spent.get("any"):
        return 1
    log_alpha = math.log(certificate["alpha"]) - math.log(spent.get("divided", 1.0))
    log_alpha += math.log1p(-certificate[spent["aside"]] if "aside" in spent else 0.0)
    share, extra = spent["share"], n0 if spent.get("pooled") else 0
    bound = str(certificate.get("bound", facts.get("x-bound", "clopper_pearson")))
    # p_B <= 1 - p_A serves as its bound where its own part of alpha is smaller
    levels = [log_alpha + math.log(part) for part in (share, max(share, 1 - share))]

    def certifies(n: int) -> bool:
        return sum(_width(bound, n, level) for level in levels) < 1

    return max(1 + bisect_left(range(1, 2**53), True, key=certifies) - extra, 1)


def _width(bound: str, n: int, log_alpha: float) -> float:
    """The upper bound of a probability when all n votes or scores are 0 (rs.statistics.bounds)."""
    if bound == "hoeffding":
        return math.sqrt(-log_alpha / (2 * n))
    if bound == "bernstein":
        return 7 * (math.log(2) - log_alpha) / (3 * (n - 1)) if n > 1 else math.inf
    return -math.expm1(log_alpha / n)  # Clopper-Pearson


def with_theorem(noise: str) -> str:
    """The certificates for noise of this family: the end of a line about one that has no theorem for it."""
    names = [name for name, facts in schema()["$defs"]["certificates"].items() if noise in facts["x-norms"]]
    return f"; for {noise} there are {', '.join(names)}" if names else f"; no certificate has for {noise}"


def grid_fault(start: float, end: float, step: float) -> tuple[str, str] | None:
    """The one of lambda_start, lambda_end, lambda_step that makes no grid, and what is allowed; else None."""
    if end < start or end + step / 2 <= start:
        return "lambda_end", f"{end:g}: must be at least lambda_start, {start:g}"
    if (end - start) / step >= MOST_MULTIPLIERS:
        allowed = f"lambda_start to lambda_end must be at most {MOST_MULTIPLIERS} multipliers"
        return "lambda_step", f"{step:g}: {allowed}, a step above {(end - start) / MOST_MULTIPLIERS:g}"
    return None
