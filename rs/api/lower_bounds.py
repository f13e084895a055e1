"""Which numbers of a certification are lower bounds: those that stopped votes leave open. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from rs.methods.interfaces import Certified
from rs.statistics.decimals import ceiled, floored
from rs.statistics.draws import Draws
from rs.statistics.paired_draws import PairedDraws


def decided_radii(
    draws: Draws, noise: dict[str, Any], certificate: str, certified: Certified, norm: float, alpha: float
) -> tuple[float, ...] | None:
    """The radii that stopped votes decide for what the certificate claims at `alpha`; None for a fixed number
    of votes.

    The rule that stopped the votes determines which claims they decide. Draws of two networks stop when the
    bound of their differences decides, long before the second network's votes alone do.
    """
    from rs.methods.certificates import incremental
    from rs.stages.certified_rows import answers

    if draws.stopping == "fixed":
        return None
    family = SimpleNamespace(family="gaussian", sigma=noise["sigma"])
    if isinstance(draws, PairedDraws):
        decides = certificate == "incremental" and incremental.answers(draws, family, certified, alpha)
    else:
        decides = answers(draws, family, norm, certified, alpha)
    return tuple(draws.stop["radii"]) if decides else ()


class AverageRadius(tuple[float, float, float]):
    """The average certified radius and the ends of its 95 % interval: `average, low, high`.

    `rigorous` is False for an estimate that no proof covers. `lower_bound` is True where votes were stopped:
    more of them could have raised it.
    """

    rigorous: bool
    lower_bound: bool

    def __new__(
        cls, interval: Iterable[float], rigorous: bool = True, lower_bound: bool = False
    ) -> AverageRadius:
        average = super().__new__(cls, tuple(interval))
        average.rigorous, average.lower_bound = rigorous, lower_bound
        return average

    def __repr__(self) -> str:
        what, (mean, low, high) = "certified" if self.rigorous else "estimated", self
        ends = f"[{shown(low)}, {ceiled(high, 4):.12g}]"  # nan for one image
        return f"<average {what} radius {'≥ ' * self.lower_bound}{shown(mean)} {ends}>"


def shown(radius: float) -> str:
    """Rounded down to four decimals."""
    return f"{floored(radius, 4):.12g}"
