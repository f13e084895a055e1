"""`rs.compare`: two certifications of the same images, image by image (rs.tables.comparisons). No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from rs.api.certification import Certification
from rs.api.parameters import radius_list, settings_of
from rs.errors import UserError
from rs.settings.limits import Positive, Share
from rs.settings.study import Report

if TYPE_CHECKING:
    import pandas as pd

    from rs.tables.contestants import Contestant

SHOWN = (
    "metric",
    "radius",
    "images",
    "difference",
    "low",
    "high",
    "p",
    "adjusted_p",
    "verdict",
    "lower_bound",
)


@dataclass(frozen=True)
class _Limits:
    level: Share
    margins: dict[str, Positive]


def compare(
    a: Certification,
    b: Certification,
    *,
    radii: Sequence[float] | None = None,
    level: float = 0.95,
    margins: dict[str, float] | None = None,
) -> pd.DataFrame:
    """The difference a minus b of average certified radius, median radius and certified accuracy, paired by
    image.

    Columns are SHOWN: two-sided intervals, p-values of "no difference", Holm's adjustment within a metric,
    and a verdict: `better`, `worse`, `equivalent` (within the metric's margin in `margins`) or `undecided`.
    The default `radii` are those of a study's report at which either one certifies anything. The result is
    about these two networks on other test images, not about other training seeds. Radii that stopped votes
    leave open (`lower_bound`) have no test. Raises UserError for radii in different norms, and without labels
    or common images.
    """
    import pandas as pd

    from rs.tables.comparisons import METRICS, PairSettings
    from rs.tables.comparisons import compare as rows_of

    if not (isinstance(a, Certification) and isinstance(b, Certification)):
        raise UserError("compare: give two certifications, as certify and certify_counts return them")
    if a.norm != b.norm:
        norms = f"a has l{a.norm:g} radii, b l{b.norm:g} radii".replace("linf", "l-infinity")
        raise UserError(f"compare: {norms}; compare certificates of one norm")
    limits: _Limits = settings_of(_Limits, "compare", level=level, margins={} if margins is None else margins)
    if unknown := sorted(set(limits.margins) - set(METRICS)):
        raise UserError(f"compare: margins: {unknown[0]}: no such metric; allowed: {', '.join(METRICS)}")
    radii = None if radii is None else radius_list(radii, "compare")
    options = PairSettings(Report.radii, radii, limits.level, limits.margins)
    rows = rows_of([(_contestant("a", a), _contestant("b", b), options)])
    return pd.DataFrame([row for row in rows if row["about"] == "networks"], columns=list(SHOWN))


def _contestant(name: str, certification: Certification) -> Contestant:
    from rs.tables.contestants import Contestant, Outcomes

    radius = np.where(certification.correct, certification.radius, -1.0)
    certified = Outcomes(certification.counts.images, certification.labels, radius[None])
    return Contestant(name, (None,), certified, factor=certification.factor, decided=_decided(certification))


def _decided(certification: Certification) -> tuple[float, ...] | None:
    """The radii that stopped votes decide; None for a fixed number of votes.

    The rule that stopped the votes determines which claims they decide. Draws of two networks stop when the
    bound of their differences decides, long before the second network's votes alone do.
    """
    from rs.methods.certificates import incremental
    from rs.methods.interfaces import Certified
    from rs.stages.certified_rows import answers
    from rs.statistics.paired_draws import PairedDraws

    draws = certification.counts.draws
    if draws.stopping == "fixed":
        return None
    noise = SimpleNamespace(family="gaussian", sigma=certification.counts.noise["sigma"])
    claims = Certified(certification.prediction, certification.radius)
    if isinstance(draws, PairedDraws):
        paired = certification.certificate["name"] == "incremental"
        decides = paired and incremental.answers(draws, noise, claims, certification.alpha)
    else:
        decides = answers(draws, noise, certification.norm, claims, certification.alpha)
    return tuple(draws.stop["radii"]) if decides else ()
