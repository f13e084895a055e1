"""How sure each condition of a claim must be for a sure verdict on the claim. No torch.

A claim's conditions are tested on their own, each at error alpha = 1 - `agreement.confidence`. The joint
verdict has its own error, which differs between its two directions:
- Of `all`, "holds" says that every condition does. It is false where one condition is false, and is then said
  only if that condition's own test errs: an intersection-union test (Berger 1982), whose error is at most
  alpha for any number of conditions. It needs no adjustment. "Fails" is said as soon as one condition fails;
  of m true ones, one will by chance with probability up to m alpha. So each must fail at alpha/m (Bonferroni;
  Holm's procedure says that any one fails in just these cases).
- Of `any`, it is the other way round: each must hold at alpha/m, and all must fail, each at alpha.

A true `better` (or `worse`) means a difference of at least the margin of `agreement` where "fails" is said,
and one above 0 where "holds" is. For a difference in between either may be said; the difference is shown.

A condition at several radii, or of two curves that cross, is one of `all` of these. Let condition j of m have
r_j rows. Of `all`, a row holds at alpha and fails at alpha / (r_1 + ... + r_m); of `any`, it holds at alpha/m
and fails at alpha/r_j. Theory does not err and is not counted. The numbers of rows are those in the study's
text, whether run or not, so they are fixed before any data.

By simulation: docs/evidence/decided-wrongly.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from rs.study.claims import THEORY, kind_of, radii_of
from rs.tables.table import Row


@dataclass(frozen=True)
class Sure:
    """Confidence of a row on its own, and the numbers of rows among which it must hold and fail."""

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
    """The confidence of each of `number` statements that are to be right together."""
    return 1 - (1 - confidence) / number


def sure(claim: Row, confidence: float) -> list[Sure]:
    """The confidence of the rows of each of the claim's conditions, in order."""
    rows = [_rows(condition) for condition in claim["conditions"]]
    if claim["join"] == "all":
        return [Sure(confidence, 1, max(sum(rows), 1)) for _ in rows]
    tested = max(sum(1 for number in rows if number), 1)
    return [Sure(confidence, tested, max(number, 1)) for number in rows]


def _rows(condition: Row) -> int:
    kind = kind_of(condition)
    return 0 if kind in THEORY else 2 if kind == "crosses" else len(radii_of(condition))
