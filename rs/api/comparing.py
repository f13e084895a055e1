"""`rs.compare`: two certifications of the same images, image by image (rs.tables.comparisons). No torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rs.api.certification import Certification
from rs.api.parameters import radius_list, settings_of
from rs.errors import UserError
from rs.settings.labels import certificate_label
from rs.settings.limits import Level, Positive, Share
from rs.settings.study import Report
from rs.statistics.paired_draws import PairedDraws
from rs.study.schema import method_schema, prune

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
    "rigorous",
)
ACROSS = "give across=True to compare them all the same"


@dataclass(frozen=True)
class _Limits:
    level: Share
    margins: dict[str, Positive]
    sigma: Level | None


def compare(
    a: Certification | str | os.PathLike[str],
    b: Certification | str | os.PathLike[str],
    *,
    radii: Sequence[float] | None = None,
    level: float = 0.95,
    margins: dict[str, float] | None = None,
    across: bool = False,
    sigma: float | None = None,
) -> pd.DataFrame:
    """The difference a minus b of average certified radius, median radius and certified accuracy, paired by
    image. Either one may be the path of a certification log, with Gaussian noise of `sigma` if that is given,
    or of the images.parquet of `rs certify --model`.

    Columns are SHOWN: two-sided intervals, p-values of "no difference", Holm's adjustment within a metric,
    and a verdict: `better`, `worse`, `equivalent` (within the metric's margin in `margins`) or `undecided`.
    The default `radii` are those of a study's report at which either one certifies anything. The result is
    about these two networks on other test images, not about other training seeds. Radii that stopped votes
    leave open (`lower_bound`) have no test. `rigorous` is False where no proof covers the radii of a side.
    Noise, certificate, alpha and votes must be the same, unless `across` allows others. `attrs` of the result
    names these (`conditions`), what a log does not state, and estimates (`remarks`). Raises UserError for
    other conditions, radii in different norms, without labels or common images, and where a position has
    other images.
    """
    import pandas as pd

    from rs.tables.comparisons import METRICS, PairSettings, refuse_other_conditions
    from rs.tables.comparisons import compare as rows_of
    from rs.tables.file_contestants import remarks

    given = {"level": level, "margins": {} if margins is None else margins, "sigma": sigma}
    limits: _Limits = settings_of(_Limits, "compare", **given)
    if unknown := sorted(set(limits.margins) - set(METRICS)):
        raise UserError(f"compare: margins: {unknown[0]}: no such metric; allowed: {', '.join(METRICS)}")
    radii = None if radii is None else radius_list(radii, "compare")
    options = PairSettings(Report.radii, radii, limits.level, limits.margins)
    sides = _side("a", a, limits.sigma), _side("b", b, limits.sigma)
    differences = refuse_other_conditions([sides], "" if across else ACROSS)
    rows = [row for row in rows_of([(*sides, options)]) if row["about"] == "networks"]
    table = pd.DataFrame(rows, columns=list(SHOWN)).assign(rigorous=all(side.rigorous for side in sides))
    table.attrs |= {"conditions": differences, "remarks": remarks(sides)}
    return table


def _side(name: str, given: Any, sigma: float | None) -> Contestant:
    from rs.tables.file_contestants import of_file

    if isinstance(given, Certification):
        return _contestant(name, given)
    if not isinstance(given, str | os.PathLike):
        raise UserError("compare: give two certifications, or in their place the path of a certification log")
    return of_file(Path(given), sigma)


def _contestant(name: str, certification: Certification) -> Contestant:
    from rs.tables.contestants import Contestant, Outcomes
    from rs.tables.noise import smoothed_with

    counts = certification.counts
    radius = np.where(certification.correct, certification.radius, -1.0)
    digests = counts.draws.origin.get("each image")  # votes from elsewhere, and older ones, have none
    marks = {} if digests is None else {"digest": digests}
    certified = Outcomes(counts.images, certification.labels, radius[None], marks)
    n0 = counts.draws.selection.n
    return Contestant(
        name,
        (None,),
        certified,
        _conditions(certification),
        smoothed_with(counts.noise),
        factor=certification.factor,
        decided=certification._decided,
        rigorous=certification.rigorous,
        n0=int(n0.max()) if n0.min() == n0.max() else None,
    )


def _conditions(certification: Certification) -> dict[str, Any]:
    """The conditions of rs.tables.contestants, but for the data set, which has no name here."""
    from rs.tables.contestants import at_most
    from rs.tables.noise import stated

    draws, certificate = certification.counts.draws, certification.certificate
    schema = method_schema("certificates", certificate["name"])
    n = certification.counts.votes
    votes: int | str = int(n[0]) if n.min() == n.max() else f"{n.min()} to {n.max()}"
    if draws.stopping != "fixed":
        first = draws.first_stop.get("n", draws.first.n.max()) if isinstance(draws, PairedDraws) else None
        votes = at_most(draws.stop.get("n", n.max()), first)
    return {
        "smoothing": stated(certification.counts.noise),
        "certificate": certificate_label(prune(certificate, schema)),
        "norm": certification.norm,
        "alpha": certification.alpha,
        "n": votes,
    }
