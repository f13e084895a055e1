"""Cohen et al.'s radius from exact group sequential tests: the largest radius of the study that they certify.

Votes drawn under `rule: tests` stop by tests of the radii that the study asks for, and the same tests make
the claims (rs.statistics.group_sequential has the proof). The class comes from the selection votes, and 1 -
p_A < Phi(-r / sigma) is claimed for all of these radii up to r, with a total error of at most the rule's
alpha. Nothing is claimed between the radii. For other draws, or at an alpha below the rule's, the certificate
is `cohen`: votes stopped by any rule remain valid for a confidence sequence.

Departures from Cohen et al. (ICML 2019): the tests replace the Clopper-Pearson bound, whose error is that of
one look after a number of votes fixed beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from rs.errors import UserError
from rs.methods.certificates.cohen import Cohen
from rs.methods.certificates.probabilities import certified, check_draws, gaussian_radius, noise_name
from rs.methods.interfaces import Certified
from rs.settings.sampling import Stop
from rs.statistics.draws import Draws
from rs.statistics.group_sequential import RULE, SPARE, GroupSequentialRule

if TYPE_CHECKING:
    from rs.methods.noise.gaussian import Gaussian


@dataclass(frozen=True)
class GroupSequential:
    """l2 radius: the largest that is certified by the tests that stopped the votes; abstains where there is
    none.
    """

    source: ClassVar[str] = "Cohen, Rosenfeld & Kolter, ICML 2019, with group sequential tests"
    norms: ClassVar[dict[str, float]] = {"gaussian": 2.0}
    needs: ClassVar[frozenset[str]] = frozenset({"counts"})
    rigorous: ClassVar[bool] = True
    parameters_only: ClassVar[bool] = True
    anytime: ClassVar[bool] = True
    capped: ClassVar[frozenset[str]] = frozenset({"gaussian"})
    rule: ClassVar[str] = RULE

    def certify(self, draws: Draws, noise: Gaussian, alpha: float) -> Certified:
        noise_name(self, noise)
        check_draws(draws, alpha, anytime=True)
        rule = rule_of(draws, noise.sigma)
        if rule is None or alpha < rule.stop.alpha * (1 - SPARE):
            return Cohen().certify(draws, noise, alpha)
        top, n = draws.selection.counts.argmax(1), draws.estimation.n
        failures = n - draws.estimation.counts[np.arange(len(draws)), top]
        claims = rule.design.claims(failures, n)
        q_a = np.append(1.0, rule.design.needed)[claims]
        return certified(top, claims > 0, gaussian_radius(noise.sigma, q_a, q_a))


def rule_of(draws: Draws, sigma: float) -> GroupSequentialRule | None:
    """The rule of this kind that stopped the draws, or None.

    Raises UserError where this version computes other boundaries than those at which the draws stopped.
    """
    stopping = draws.stop
    if stopping.get("rule") != RULE:
        return None
    stop = Stop(stopping["alpha"], tuple(stopping["radii"]))
    rule = GroupSequentialRule(stop, sigma, stopping["n"], stopping["block"], stopping["resolution"])
    if rule.record() != {**stopping, "radii": list(stopping["radii"])}:
        raise UserError("draws: stopped at other boundaries than this version's tests have; draw them anew")
    return rule
