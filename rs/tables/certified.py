"""The claims of each certificate about the images of a smoothed run or of somebody else's certification log,
and the tables that are counted from them: certified accuracy, at the report's radii and on a fine grid for
curves, and average certified radius.

Certified at r means correct, not abstained, radius >= r. The average certified radius counts wrong and
abstained images as 0. Intervals are 95 %: Wilson for accuracies, Student t for average certified radii.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rs.provenance.run_files import VOTES
from rs.statistics.bounds import Floats
from rs.statistics.intervals import capped, shares_at_least, standard_error, t_interval
from rs.study.certification_log import images, read_log
from rs.tables.noise import SMOOTHING, smoothed_with
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

VOTED = ("n", *VOTES)  # of an image; unknown for logs and older files
POINTS = 201  # of a curve
CLAIMED = ("run", "label", *SMOOTHING, "certificate", "norm")  # columns that name a claim


@dataclass(frozen=True)
class Claim:
    """One certificate of one smoothed run. `columns` are those that all of its rows share.

    For votes that a rule stopped, `n` is their mean. All radii but the rule's own (`decided`) and every
    average are then lower bounds: more votes would have raised them.
    """

    columns: Row
    outcomes: pd.DataFrame  # a row per image: image, label, prediction (-1: abstained), radius, VOTED
    radius: Floats  # [N images], -1 where the prediction is wrong or abstained
    factor: float  # of the accuracies, where a certificate covers only a share of the images
    decided: Sequence[float] | None  # None where all votes were drawn

    def accuracies(self, radii: Sequence[float] | Floats) -> Iterator[Row]:
        """Certified accuracy at each of `radii`, with its interval."""
        shares = shares_at_least(self.radius, radii, self.factor)
        for radius, share, below, above in zip(radii, *shares, strict=True):
            accuracy = {"radius": float(radius), "certified_accuracy": float(share)}
            yield accuracy | {"low": float(below), "high": float(above)}

    def average(self) -> Row:
        """The average certified radius with its interval as shown, and with its standard error, which
        comparisons use because a cut interval has lost its width.
        """
        radii = np.maximum(self.radius, 0.0)
        mean, low, high = t_interval(radii, least=0.0, most=capped(self.columns["largest_radius"], radii))
        row = {"acr": mean, "acr_se": standard_error(radii), "low": low, "high": high}
        return row | {"lower_bound": self.decided is not None}

    def is_lower_bound(self, radius: float) -> bool:
        """Whether its certified accuracy at `radius` is a lower bound."""
        return leaves_open(self.decided, radius)


def leaves_open(decided: Sequence[float] | None, radius: float | None) -> bool:
    """Whether votes that a rule stopped give only a lower bound of the certified accuracy at `radius`, or,
    without a radius, of an average over the images. They decide the radii `decided` (None: all votes were
    drawn).
    """
    return decided is not None and (radius is None or not np.isclose(radius, decided).any())


def left_open(decided: Sequence[float]) -> str:
    """What a log of votes that a rule stopped does not say: which of its numbers are lower bounds."""
    others = (
        f", and accuracies at other radii than {', '.join(f'{r:g}' for r in decided)}," if decided else ""
    )
    numbers = f"the average{others}" if decided else "all averages and accuracies"
    return f"votes were stopped, so {numbers} are lower bounds, which a log cannot say"


def certified_radii(images: pd.DataFrame) -> Floats:
    """The radius [N] of rows with label, prediction and radius, or -1 where the prediction is wrong or
    abstained. So the share of values >= r is the certified accuracy at r.
    """
    right = (images["prediction"] == images["label"]).to_numpy()
    return np.where(right, images["radius"].to_numpy(np.float64), -1.0)


def claims(stored: Stored) -> list[Claim]:
    """The claims of every smoothed run and every log."""
    return [*_of_runs(stored), *_of_logs(stored)]


def _of_runs(stored: Stored) -> Iterator[Claim]:
    for planned, observation, named in stored.observations():
        if observation.certified:
            frame, provenance = stored.certified(observation.certified)
            precision = planned.run.sections["sampling"]["precision"]
            source = None if planned.source is None else planned.source.run.label
            columns = {**named, "precision": precision}
            yield from claims_of(frame, columns, provenance.get("stop"), source)


def _of_logs(stored: Stored) -> Iterator[Claim]:
    """The claims of logs. Each log is a run of its own, with what the study says about it."""
    for log in stored.plan.logs:
        frame = pd.DataFrame(images(read_log(log.path))).assign(**log.claim, factor=1.0)
        named = {"run": log.id, "label": log.label, **smoothed_with(log.noise)}
        yield from claims_of(frame, {**named, "precision": None})


def claims_of(
    frame: pd.DataFrame, named: Row, stop: dict[str, Any] | None = None, source: str | None = None
) -> Iterator[Claim]:
    """A claim per certificate of `frame`, which has the columns of a certified file.

    `stop` is the rule that stopped its votes. `source` is the label of the run from which they started; the
    claim then rests on that run's votes too, which `source_n` counts and `stopping` mentions.
    `largest_radius` is the certificate's radius for votes all of one class (unknown for others' logs).
    """
    for certificate, group in frame.groupby("certificate", sort=False):
        first = group.iloc[0]
        columns = {
            **named,
            "certificate": certificate,
            "norm": first["norm"],
            "images": len(group),
            "alpha": first["alpha"],
            "n": round(group["n"].mean()),
            "rigorous": bool(first["rigorous"]),
            "largest_radius": float(first.get("largest_radius", np.nan)),
            "stopping": _stopping(stop, source, group),
            "source": source,
            "source_n": None if source is None else int(first["source_n"]),
        }
        yield Claim(
            columns,
            group.reindex(columns=["image", "label", "prediction", "radius", *VOTED]),
            certified_radii(group),
            factor=float(first["factor"]),
            decided=decided_radii(group, stop),
        )


def _stopping(stop: dict[str, Any] | None, source: str | None, group: pd.DataFrame) -> str | None:
    if not stop:
        return None
    beside = "" if source is None else f", beside {int(group['source_n'].iloc[0]):,} votes of {source}"
    return f"{_rule(stop)}, α = {stop['alpha']:g}{beside}"


def decided_radii(of_certificate: pd.DataFrame, stop: dict[str, Any] | None) -> tuple[float, ...] | None:
    """Radii for which one certificate's votes were drawn until decided; None where all were drawn."""
    if not stop:
        return None
    return tuple(stop["radii"]) if of_certificate.iloc[0]["decided"] else ()


def _rule(stop: dict[str, Any]) -> str:
    return "group sequential" if stop.get("rule") == "tests" else "sequential"


# --- the tables ---


def accuracy_rows(claim: Claim, radii: Sequence[float]) -> Iterator[Row]:
    """Rows of the table `certified_accuracy`."""
    for accuracy in claim.accuracies(radii):
        bound = claim.is_lower_bound(accuracy["radius"])
        yield {**claim.columns, **accuracy, "factor": claim.factor, "lower_bound": bound}


def _accuracies(stored: Stored) -> Iterator[Row]:
    radii = [float(radius) for radius in stored.plan.study.report["radii"]]
    for claim in stored.once(claims):
        yield from accuracy_rows(claim, radii)


def _curves(stored: Stored) -> Iterator[Row]:
    for claim in stored.once(claims):
        named = {column: claim.columns[column] for column in _CURVE}
        radii = np.linspace(0, max(1.02 * claim.radius.max(), 1e-3), POINTS)
        yield from ({**named, **accuracy} for accuracy in claim.accuracies(radii))


def _averages(stored: Stored) -> Iterator[Row]:
    for claim in stored.once(claims):
        yield {**claim.columns, **claim.average()}


_CURVE = (*CLAIMED, "rigorous")
ACCURACY = Table(
    "certified_accuracy",
    (
        *(*CLAIMED, "radius", "certified_accuracy", "low", "high", "images", "alpha", "n", "rigorous"),
        *("precision", "stopping", "lower_bound", "largest_radius", "factor", "source", "source_n"),
    ),
    _accuracies,
)
CURVE = Table("radius_accuracy", (*_CURVE, "radius", "certified_accuracy", "low", "high"), _curves)
AVERAGE = Table(
    "average_certified_radius",
    (
        *(*CLAIMED, "acr", "acr_se", "low", "high", "images", "alpha", "n", "rigorous", "precision"),
        *("stopping", "lower_bound", "largest_radius", "source", "source_n"),
    ),
    _averages,
)
