"""A run's files, read back and checked: kind, place, and possible values. No torch.

A reader of a plan knows what a file should have been made from; `belongs` compares that with the file's
provenance. Values are checked as far as their meaning allows, since files from before checksums may hold any.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rs.errors import UserError
from rs.provenance import checksums
from rs.provenance.digests import digest
from rs.provenance.files import ADVICE, read_json, read_table

if TYPE_CHECKING:
    import pandas as pd  # its import takes a second, and most jobs read no table

DIVERGED = "diverged.parquet"  # the curve of a training that diverged, in the place of its results

# column -> whether its values are whole, the least and the largest allowed (None: unbounded, but finite)
Rules = Mapping[str, tuple[bool, float | None, float | None]]
CERTIFIED: Rules = {
    "norm": (False, 1, math.inf),
    "alpha": (False, 0, 1),
    "n": (True, 1, None),
    "rigorous": (True, 0, 1),
    "factor": (False, 0, 1),
    "image": (True, 0, None),
    "label": (True, 0, None),
    "prediction": (True, -1, None),
    "radius": (False, 0, None),
}
VOTES: Rules = dict.fromkeys(("voted", "votes", "runner_up", "runner_up_votes"), (True, 0, None))
ATTACKED: Rules = {
    "image": (True, 0, None),
    "label": (True, 0, None),
    "radius": (False, 0, None),
    "prediction": (True, 0, None),
    "distortion": (False, 0, None),
    "success": (True, 0, 1),
    "steps": (True, 0, None),
}
MOVED: Rules = {
    "image": (True, 0, None),
    "gamma": (False, 0, math.inf),
    "squared_distance": (False, 0, math.inf),
    "loss": (False, 0, math.inf),
    "loss_square": (False, 0, math.inf),
}
_SLACK = 1e-3  # float32 images on the sphere of a ball may round to just outside


def belongs(path: Path, provenance: Any, spec: Any, model: str | None = None) -> None:
    """Raises UserError unless `provenance` says that the file was made from `spec`, and with the
    network whose weights have the digest `model`.

    Certified files from before checksums do not name their network.
    """
    if not isinstance(provenance, dict) or "spec_digest" not in provenance:
        raise UserError(f"{path}: does not say what it was made from, as our files do; {ADVICE}")
    if provenance["spec_digest"] != digest(spec) or digest(provenance.get("spec")) != digest(spec):
        raise UserError(f"{path}: was made from other settings than the file of this place; {ADVICE}")
    if model is not None and provenance.get("model", None if checksums.KEY in provenance else model) != model:
        raise UserError(f"{path}: was made with another network than that of this run; {ADVICE}")


def check_values(path: Path, frame: pd.DataFrame, rules: Rules) -> None:
    """Raises UserError that names the first value outside of `rules`; the columns of `rules` must exist."""
    for column, (whole, low, high) in rules.items():
        values = frame[column]
        kind = values.dtype.kind if isinstance(values.dtype, np.dtype) else "O"
        if kind not in ("iub" if whole else "iufb"):
            bad = values[values.isna()] if values.isna().any() else values
            problem = f"column {column} holds {bad.iloc[0]}" if len(bad) else f"column {column} is empty"
            raise UserError(f"{path}: {problem}; allowed {'whole ' * whole}numbers; {ADVICE}")
        numbers = values.to_numpy(np.float64)
        wrong = ~np.isfinite(numbers) if high != math.inf else np.isnan(numbers)
        wrong |= (numbers < low if low is not None else False) | (
            numbers > high if high is not None else False
        )
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            ends = (f"from {low:g}" if low is not None else "", f"to {high:g}" if high is not None else "")
            allowed = " ".join(["finite numbers" if high != math.inf else "numbers", *filter(None, ends)])
            raise UserError(f"{path}: row {row}: {column} is {numbers[row]:g}; allowed {allowed}; {ADVICE}")


def _once(path: Path, frame: pd.DataFrame, keys: list[str]) -> None:
    twice = frame.duplicated(keys)
    if twice.any():
        row = ", ".join(f"{key} {frame[key][twice].iloc[0]}" for key in keys)
        raise UserError(f"{path}: {row} stands there twice; {ADVICE}")


def read_certified(
    path: Path, needs: Iterable[str] = ("certificate", *CERTIFIED)
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Certified radii, a row per certificate and image, and their provenance. Older files lack the columns of
    VOTES.
    """
    table, provenance = read_table(path, needs)
    frame = table.to_pandas()
    check_values(path, frame, {c: rule for c, rule in CERTIFIED.items() if c in needs})
    _once(path, frame, ["certificate", "image"])
    if {"n", *VOTES} <= {*frame}:
        check_values(path, frame, VOTES)
        many = frame["votes"] + frame["runner_up_votes"] > frame["n"]
        _refuse_row(path, frame, many, "more votes than the {n} that were drawn")
    _check_claims(path, frame)
    return frame, provenance


def _check_claims(path: Path, frame: pd.DataFrame) -> None:
    """Raises UserError for a radius where a certificate abstains, and for a radius of a proven certificate
    above the largest that it can give. Older files do not store this largest radius.
    """
    if {"prediction", "radius"} <= {*frame.columns}:
        wrong = (frame["prediction"] == -1) & (frame["radius"] > 0)
        _refuse_row(path, frame, wrong, "abstains with radius {radius:g}; allowed 0")
    if {"radius", "rigorous", "largest_radius"} <= {*frame.columns}:
        wrong = frame["rigorous"].astype(bool) & (frame["radius"] > frame["largest_radius"] * (1 + 1e-12))
        problem = "radius {radius:g} is above {largest_radius:g}, the most that its votes can certify"
        _refuse_row(path, frame, wrong, problem)


def _refuse_row(path: Path, frame: pd.DataFrame, wrong: pd.Series[bool], template: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        problem = template.format(**{str(column): value for column, value in frame.iloc[row].items()})
        raise UserError(f"{path}: row {row}: {problem}; {ADVICE}")


def read_attacked(path: Path, needs: Iterable[str] = ()) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Outcomes of an attack, a row per image, radius and variant, and their provenance. Whether stopped votes
    decide is checked by `rs.tables.attacks.read_judged`.
    """
    table, provenance = read_table(path, (*ATTACKED, "votes", "variant", *needs))
    frame = table.to_pandas()
    lacks = {"norm", "judge", "classes", "access", "samples", "shares", "shape"} - provenance.keys()
    if lacks:
        raise UserError(f"{path}: does not say its {sorted(lacks)[0]}, as our attacks do; {ADVICE}")
    check_values(path, frame, ATTACKED)
    _once(path, frame, ["image", "radius", "variant"])
    n = 1 if provenance["judge"] == "base" else provenance["judge"]
    inside = frame["distortion"] <= frame["radius"] * (1 + _SLACK) + _SLACK
    if not _all_right(frame, inside, provenance["classes"], n):
        _refuse_attacked(path, frame, inside, provenance["classes"], n)
    return frame, provenance


def _all_right(frame: pd.DataFrame, inside: pd.Series[bool], classes: int, n: int) -> bool:
    """Whether no row is wrong, all at once, since studies have millions; False where only each row tells."""
    try:
        votes = np.stack(frame["votes"].to_list()) if len(frame) else np.zeros((0, classes), np.int64)
    except (TypeError, ValueError):  # of several lengths, or no lists
        return False
    if votes.dtype.kind not in "iu" or votes.shape != (len(frame), classes):
        return False
    total, prediction = votes.sum(1), frame["prediction"].to_numpy()
    if len(frame) and (votes.min() < 0 or total.min() < 1 or total.max() > n or prediction.max() >= classes):
        return False
    most = votes[np.arange(len(frame)), prediction] == votes.max(1)
    success = frame["success"].to_numpy(bool) == (prediction != frame["label"].to_numpy())
    return bool((most & success & inside.to_numpy(bool)).all())


def _refuse_attacked(path: Path, frame: pd.DataFrame, inside: pd.Series[bool], classes: int, n: int) -> None:
    """Raises UserError for the first row of an attack's outcomes that is wrong."""
    for i, (votes, prediction, label) in enumerate(
        zip(frame["votes"], frame["prediction"], frame["label"], strict=True)
    ):
        counts = np.asarray(votes)
        wrong = ""
        whole = counts.dtype.kind in "iu" and counts.size == classes and counts.min() >= 0
        if not whole or not 0 < counts.sum() <= n:
            wrong = f"its votes are no {n} votes (or the first of them) for {classes} classes"
        elif prediction >= len(counts) or counts[prediction] != counts.max():
            wrong = f"its prediction {prediction} is not the class of most votes"
        elif bool(frame["success"].iloc[i]) != (prediction != label):
            wrong = f"prediction {prediction} of label {label} does not fit its success"
        elif not inside.iloc[i]:
            wrong = f"its distortion {frame['distortion'].iloc[i]:g} is larger than the radius"
        if wrong:
            raise UserError(f"{path}: row {i}: {wrong}; {ADVICE}")


def read_moved(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Points of the distributional stage, a row per image, adversary and gamma or radius, and provenance."""
    table, provenance = read_table(path, ("adversary", *MOVED, "gradient_product"))
    frame = table.to_pandas()
    lacks = {"sigma", "dimension", "estimates"} - provenance.keys()
    if lacks:
        raise UserError(f"{path}: does not say its {sorted(lacks)[0]}, as our files do; {ADVICE}")
    to_radii = frame.reindex(columns=["radius"])["radius"].notna()  # none where the column is missing
    own, others = frame[~to_radii], frame[to_radii]
    check_values(path, own, MOVED)
    _once(path, own, ["adversary", "image", "gamma"])
    if len(others):  # adversaries that are limited to a radius instead of paying gamma
        check_values(path, others, {"image": (True, 0, None), "radius": (False, 0, None)})
        _once(path, others, ["adversary", "image", "radius"])
    if "base" not in set(own["adversary"]):
        raise UserError(f"{path}: has no points of the adversary base; {ADVICE}")
    return frame, provenance


def read_model_manifest(path: Path) -> dict[str, Any]:
    """A network's manifest. Raises UserError for anything else, and for the manifest of another run's
    folder.
    """
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not {"sha256", "provenance", "classes"} <= manifest.keys():
        raise UserError(f"{path}: not a model's manifest; remove it and train again")
    provenance = manifest["provenance"]
    if not isinstance(provenance, dict) or not isinstance(provenance.get("spec"), dict):
        raise UserError(f"{path}: not a model's manifest; remove it and train again")
    run = path.parent.name
    if manifest.get("run", run) != run:
        raise UserError(f"{path}: belongs to run {manifest['run']}; remove it and train again")
    return manifest
