"""What each certificate says of the images of a smoothed run, or of somebody else's certification log: that
from which the tables on certified accuracy and radius are counted.

Definitions: certified at r means correct, not abstained, radius >= r. The average certified radius counts
wrong and abstained images as 0. Intervals are 95 %: Wilson for accuracies, Student t for average certified
radii.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rs.provenance.run_files import VOTES, read_certified
from rs.statistics.bounds import Floats
from rs.statistics.intervals import capped, shares_at_least, standard_error, t_interval
from rs.study.certification_log import read_log
from rs.tables.logs import images
from rs.tables.noise import SMOOTHING, smoothed_with
from rs.tables.stored import Stored
from rs.tables.table import Row

VOTED = ("n", *VOTES)  # of an image; of logs and older files not known
CLAIMED = ("run", "label", *SMOOTHING, "certificate", "norm")  # columns that name a claim


@dataclass(frozen=True)
class Claim:
    """One certificate of one smoothed run. `columns` are those that all of its rows share.

    Votes that a rule stopped are counted by their mean, and what the rule did not ask for, all radii but its
    own (`decided`) and every average, is a lower bound: more votes would have raised it.
    """

    columns: Row
    outcomes: pd.DataFrame  # a row per image: image, label, prediction (-1: abstained), radius, VOTED
    radius: Floats  # [N images], -1 where the prediction is wrong or abstained
    factor: float  # of the accuracies, where a certificate is for a share of the images only
    decided: Sequence[float] | None  # None where all votes were drawn

    def accuracies(self, radii: Sequence[float] | Floats) -> Iterator[Row]:
        """Certified accuracy at each of `radii`, with its interval."""
        shares = shares_at_least(self.radius, radii, self.factor)
        for radius, share, below, above in zip(radii, *shares, strict=True):
            accuracy = {"radius": float(radius), "certified_accuracy": float(share)}
            yield accuracy | {"low": float(below), "high": float(above)}

    def average(self) -> Row:
        """The average certified radius, with its interval as it is shown, and its standard error, of which
        comparisons are made: an interval that is cut has lost its width.
        """
        radii = np.maximum(self.radius, 0.0)
        mean, low, high = t_interval(radii, least=0.0, most=capped(self.columns["largest_radius"], radii))
        row = {"acr": mean, "acr_se": standard_error(radii), "low": low, "high": high}
        return row | {"lower_bound": self.decided is not None}

    def is_lower_bound(self, radius: float) -> bool:
        """Of its certified accuracy at `radius`."""
        return leaves_open(self.decided, radius)


def leaves_open(decided: Sequence[float] | None, radius: float | None = None) -> bool:
    """Whether votes that a rule stopped, which decide the radii `decided` (None: all votes were drawn), give
    only a lower bound of the certified accuracy at `radius`; without a radius, of an average over the images.
    """
    return decided is not None and (radius is None or not np.isclose(radius, decided).any())


def certified_radii(images: pd.DataFrame) -> Floats:
    """Of rows with label, prediction and radius: the radius [N], -1 where the prediction is wrong or
    abstained. So the share of what is >= r is the certified accuracy at r.
    """
    right = (images["prediction"] == images["label"]).to_numpy()
    return np.where(right, images["radius"].to_numpy(np.float64), -1.0)


def claims(stored: Stored) -> list[Claim]:
    """Of every smoothed run and every log."""
    return [*_of_runs(stored), *_of_logs(stored)]


def _of_runs(stored: Stored) -> Iterator[Claim]:
    for planned, observation, named in stored.observations():
        if observation.certified:
            frame, made = read_certified(observation.certified)
            precision = planned.run.sections["sampling"].get("precision", "float32")
            source = None if planned.source is None else planned.source.run.label
            told = {**named, "precision": precision}
            yield from claims_of(frame, told, made.get("stop"), source)


def _of_logs(stored: Stored) -> Iterator[Claim]:
    """Each is a run of its own, with what the study says about it."""
    for log in stored.plan.logs:
        frame = pd.DataFrame(images(read_log(log.path))).assign(**log.claim, factor=1.0)
        named = {"run": log.id, "label": log.label, **smoothed_with(log.noise)}
        yield from claims_of(frame, {**named, "precision": None})


def claims_of(
    frame: pd.DataFrame, named: Row, stop: dict[str, Any] | None = None, source: str | None = None
) -> Iterator[Claim]:
    """A claim per certificate of `frame`, which has the columns of a certified file; `stop` is the rule that
    stopped its votes, `source` the label of the run that they started from: the claim rests on that one's
    votes too, which `source_n` counts and `stopping` tells. `largest_radius` is the most that the certificate
    could have said, with all votes for one class (not known of others' logs).
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
    """Radii at which one certificate's votes were drawn until they decided; None where all were drawn."""
    if not stop:
        return None
    return tuple(stop["radii"]) if of_certificate.iloc[0]["decided"] else ()


def _rule(stop: dict[str, Any]) -> str:
    return "group sequential" if stop.get("rule") == "tests" else "sequential"
