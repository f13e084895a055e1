"""Rows of the tables on attacks, from the attack files of one smoothed run.

`shares` says how an attack uses one radius for another: "none" (every radius anew), "kept" (what is broken
stays broken) or "minimal" (one point per image for all radii).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from rs.plan.jobs import Observation, PlannedRun
from rs.provenance.run_files import read_attacked, read_certified
from rs.settings.labels import label_of
from rs.statistics.intervals import wilson_interval
from rs.study.schema import method_schema
from rs.tables.attack_checks import Attacked, checks

Row = dict[str, Any]
EMPIRICAL = (
    *("run", "label", "smoothing", "smoothing_sigma", "attack", "access", "norm", "radius", "accuracy"),
    *("low", "high", "images", "samples", "steps", "shares", "excess", "judge", "panel"),
)


def attack_rows(
    planned: PlannedRun, observation: Observation, head: Row
) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of `empirical_accuracy`, `examples` and `attack_checks`; each begins with `head`."""
    accuracies: list[Row] = []
    examples: list[Row] = []
    attacked: list[Attacked] = []
    for path, given in zip(observation.attacks, planned.run.sections["attacks"], strict=True):
        frame, made = read_attacked(path, ("clean", "noisy", "attacked"))
        name = label_of(given)
        mine = {**head, "attack": name}
        attacked.append(Attacked(name, frame, made, _certificate(planned, given)))
        told = {"access": made["access"], "norm": made["norm"], "samples": made["samples"]}
        told |= {"shares": made["shares"], "judge": str(made["judge"])}
        told["panel"] = given["attack"] if given["name"] == "transfer" else name
        frame = frame[frame["variant"] == ""]
        told["excess"] = _excess(frame, observation.noise) if made["shares"] == "minimal" else None
        for radius, group in frame.groupby("radius"):
            hits, images = int((~group["success"]).sum()), len(group)
            low, high = (float(end) for end in wilson_interval(hits, images))
            found = {"radius": radius, "accuracy": hits / images, "low": low, "high": high, "images": images}
            accuracies.append({**mine, **told, **found, "steps": float(group["steps"].mean())})
        for example in frame[frame["attacked"].notna()].to_dict("records"):
            shown = {k: example[k] for k in ("image", "radius", "prediction", "clean", "noisy", "attacked")}
            examples.append({**mine, "true": example["label"], "shape": made["shape"], **shown})
    voted = None if observation.certified is None else _voted(observation.certified, planned)
    return accuracies, examples, [{**head, **row} for row in checks(attacked, voted)]


def _excess(frame: pd.DataFrame, noise: Row) -> float | None:
    """How far beyond the boundary a minimal attack's points lie, on average and at least: the judge's votes
    alone say that a Gaussian-smoothed prediction stays for sigma / 2 (Phi^-1(p_1) - Phi^-1(p_label)). Images
    that are misclassified as they are lie beyond it by themselves, and do not count.
    """
    if noise["name"] != "gaussian":
        return None
    sigma = float(noise["sigma"])
    wrong = frame.loc[(frame["radius"] == 0) & frame["success"], "image"]
    points = frame[(frame["radius"] == frame["radius"].max()) & (frame["distortion"] > 0) & frame["success"]]
    points = points[~points["image"].isin(wrong)]
    n = sum(points["votes"].iloc[0]) if len(points) else 0
    if n <= 1:
        return None
    kept = [[votes[p], votes[y]] for votes, p, y in points[["votes", "prediction", "label"]].to_numpy()]
    quantiles = special.ndtri((np.array(kept) + 0.5) / (n + 1))
    return float(sigma / 2 * (quantiles[:, 0] - quantiles[:, 1]).mean())


def _certificate(planned: PlannedRun, given: Row) -> str | None:
    """What certified files call the certificate that an attack is held against, where the study names one."""
    asked = given.get("certificate")
    offered = planned.run.sections["certificates"]
    return next((_stored(c) for c in offered if asked in (c["name"], label_of(c))), asked) if asked else None


def _stored(certificate: Row) -> str:
    """What certified files call a certificate (rs.stages.certify): labels do not tell that it is
    randomised.
    """
    mark = " (randomised)" if certificate.get("randomised") and certificate.get("label") else ""
    return label_of(certificate) + mark


def _voted(path: Path, planned: PlannedRun) -> pd.DataFrame:
    """What certificates of hard votes claim: others speak of another classifier than the one that judges."""
    frame, _ = read_certified(path, ("certificate", "norm", "alpha", "image", "prediction", "radius"))
    offered = planned.run.sections["certificates"]
    names = {_stored(c): c["name"] for c in offered}
    kinds = frame["certificate"].map(names)
    soft = kinds.map(lambda n: "soft_moments" in method_schema("certificates", n)["x-needs"], "ignore")
    return frame[~soft.fillna(False).astype(bool)]
