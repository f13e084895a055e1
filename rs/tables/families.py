"""How sure each condition of a claim must be, so that the claim is. No torch.

A claim's conditions are tested on their own, each at error alpha = 1 - `agreement.confidence`. What is made
of them has an error of its own, and the two directions differ:

- Of `all`, "holds" says that every one does. It is false where one condition is false, and is said only where
  that one's own test errs too: an intersection-union test (Berger 1982), whose error is at most alpha however
  many conditions there are. It needs no adjustment. "Fails" is said as soon as one condition fails, and of m
  true ones one will by chance: with probability up to m alpha. So each must fail at alpha/m (Bonferroni; that
  one fails at all, Holm's procedure says in just these cases).
- Of `any`, it is the other way round: each must hold at alpha/m, and all must fail, each at alpha.

A true `better` (or `worse`) is here a difference of at least the margin of `agreement` where "fails" is said,
and one above 0 where "holds" is: of a difference between the two either may be said, and is shown beside it.

A condition at several radii, or of two curves that cross, is one of `all` of these. With r_j rows in
condition j of m, so: of `all` a row holds at alpha and fails at alpha / (r_1 + ... + r_m); of `any` it holds
at alpha/m and fails at alpha/r_j. Theory does not err, and is not counted. Numbers of rows are those of the
study's text, whether they are run or not: fixed before any data.
"""

from __future__ import annotations

from dataclasses import dataclass

from rs.study.claims import THEORY, kind_of, radii_of
from rs.tables.table import Row


@dataclass(frozen=True)
class Sure:
    """Confidence of one row on its own, to hold and to fail; and as one of how many it holds and fails."""

    alone: float
    holding: int
    failing: int

    @property
    def holds(self) -> float:
        return stricter(self.alone, self.holding)

    @property
    def fails(self) -> float:
        return stricter(self.alone, self.failing)


def stricter(confidence: float, number: int) -> float:
    """Of one of so many that are to be right together."""
    return 1 - (1 - confidence) / number


def sure(claim: Row, confidence: float) -> list[Sure]:
    """Of the rows of each of the claim's conditions, in order."""
    rows = [_rows(condition) for condition in claim["conditions"]]
    if claim["join"] == "all":
        return [Sure(confidence, 1, max(sum(rows), 1)) for _ in rows]
    tested = max(sum(1 for number in rows if number), 1)
    return [Sure(confidence, tested, max(number, 1)) for number in rows]


def _rows(condition: Row) -> int:
    kind = kind_of(condition)
    return 0 if kind in THEORY else 2 if kind == "crosses" else len(radii_of(condition))
