"""Contestants of files alone: a certification log, or the images.parquet of `rs certify --model`. No torch.

A log states neither its certificate nor its noise, votes and alpha. With sigma, it counts as CERTIFY's under
Gaussian noise, and radii that no votes give at this sigma are refused. An images.parquet states everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rs.errors import UserError
from rs.provenance.files import read_table
from rs.provenance.run_files import read_certified
from rs.statistics.attainable import largest
from rs.study.certification_log import Log, images, read_log
from rs.study.schema import method_schema
from rs.tables.certified import certified_radii
from rs.tables.contestants import CONDITIONS, Contestant, Outcomes, of_frames, sigma_of
from rs.tables.noise import smoothed_with, stated

IMAGES = "images.parquet"  # of `rs certify --model`
_NEEDS = ("image", "prediction", "radius", "certificate", "alpha", "n", "rigorous")
# The most that any log can hold, at sigma = 1: n unanimous votes at alpha give p_A = alpha^(1/n), which rises
# with n and alpha, so Phi^-1 of it is 6.06 here.
_MOST_VOTES, _LARGEST_ALPHA = 10**9, 0.5
_WORDS = {"certificate": "certificate", "smoothing": "noise", "alpha": "alpha", "n": "votes"}


def of_file(path: Path, sigma: float | None) -> Contestant:
    """A contestant from a log, or from an images.parquet or its folder; sigma is that of a log."""
    return of_images(path) if has_images(path) else of_log(path, sigma)


def has_images(path: Path) -> bool:
    """Whether it is read as an images.parquet."""
    return path.is_dir() or path.suffix == ".parquet"


def of_log(path: Path, sigma: float | None = None) -> Contestant:
    """A contestant from a log. Raises UserError for a radius beyond what votes give at sigma."""
    log = read_log(path)
    outcomes = of_frames([pd.DataFrame(images(log))], certified_radii)
    if sigma is None:
        return Contestant(str(path), (None,), outcomes, rigorous=False)
    _refuse_beyond(path, log, sigma)
    noise = {"name": "gaussian", "sigma": sigma}
    under = ({"smoothing": stated(noise)}, smoothed_with(noise))
    return Contestant(str(path), (None,), outcomes, *under, sigma=sigma, rigorous=False)


def _refuse_beyond(path: Path, log: Log, sigma: float) -> None:
    most = largest(_MOST_VOTES, _LARGEST_ALPHA, sigma)
    if (log.radius > most).any():
        i = int(log.radius.argmax())
        votes = f"10^9 votes, all for one class, give {most:.3f} at alpha = {_LARGEST_ALPHA:g}"
        problem = f"image {log.idx[i]} has radius {log.radius[i]:g}; at sigma = {sigma:g}, {votes}"
        raise UserError(f"{path}: {problem}; is its sigma another one, or are its radii in other units?")


def of_images(path: Path) -> Contestant:
    """A contestant from an images.parquet, or from its folder. Raises UserError for another file or folder,
    and for images without labels.
    """
    file = path / IMAGES if path.is_dir() else path
    spec = None if path.is_dir() and not file.exists() else _identity(file)
    if spec is None:
        allowed = f"the {IMAGES} of `rs certify --model` or its folder, a log (.tsv), or STUDY.yaml:LABEL"
        raise UserError(f"{path}: no contestant; allowed: {allowed}")
    frame, _ = read_certified(file, _NEEDS)
    if (frame["label"] < 0).any():
        problem = "images without labels, whose predictions are neither right nor wrong"
        raise UserError(f"{path}: {problem}; certify images with labels")
    noise, first = spec["noise"], frame.iloc[0]
    certificate = str(first["certificate"])
    norms = method_schema("certificates", certificate.partition(" ")[0])["x-norms"]
    claim = (certificate, float(norms[noise["name"]]), float(first["alpha"]), int(first["n"]))
    conditions = dict(zip(CONDITIONS[1:], (stated(noise), *claim), strict=True))
    conditions["preprocessing"] = prepared(spec["preprocessing"])
    of = of_frames([frame], certified_radii)
    files = frame.sort_values("image")["file"].to_numpy(str)
    return Contestant(
        str(path),
        (None,),
        Outcomes(of.images, of.labels, of.values, {"file": files}),
        conditions,
        smoothed_with(noise),
        sigma=sigma_of(noise, certificate),
        factor=float(first.get("factor", 1.0)),  # files of before have none
        largest=float(first.get("largest_radius", np.nan)),
        rigorous=bool(first["rigorous"]),
    )


def _identity(file: Path) -> dict[str, Any] | None:
    """What an images.parquet was made from; None for another Parquet file."""
    table, made = read_table(file)
    spec = made.get("spec")
    known = isinstance(spec, dict) and all(isinstance(spec.get(k), dict) for k in ("noise", "preprocessing"))
    return spec if known and {*_NEEDS, "label", "file"} <= {*table.column_names} else None


def prepared(preprocessing: Mapping[str, Any]) -> str:
    """The steps before the noise, which make the images that radii are distances of: `resize 256 bilinear,
    crop 224x224, 3 channels`. `mean` and `std` belong to the network.
    """
    resize, size = (_extent(preprocessing.get(key)) for key in ("resize", "size"))
    steps = [f"resize {resize} {preprocessing.get('interpolation')}"] * bool(resize)
    steps += [f"crop {size}"] * bool(size)
    return ", ".join([*steps, f"channels {len(preprocessing.get('mean') or ())}"])


def _extent(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")


def remarks(contestants: Iterable[Contestant], names: Mapping[str, str] | None = None) -> list[str]:
    """What is not known of the contestants, in a sentence for all that lack the same; which are estimates;
    and whether images are known by their files on one side and by their pixels on the other. `names` are
    shorter names.
    """
    unknown: dict[str, list[str]] = {}
    known_by: dict[tuple[str, ...], str] = {}
    sentences = []
    for contestant in contestants:
        name = (names or {}).get(contestant.name, contestant.name)
        if contestant.certified is not None and contestant.certified.marks:
            known_by.setdefault(tuple(sorted(contestant.certified.marks)), name)
        lacking = [word for key, word in _WORDS.items() if key not in contestant.conditions]
        if contestant.certified is not None and lacking:
            *first, last = lacking
            words = " and ".join(filter(None, (", ".join(first), last)))
            unknown.setdefault(words, []).append(name)
        elif contestant.certified is not None and not contestant.rigorous:
            certificate = contestant.conditions["certificate"]
            sentences.append(f"{name}: {certificate} is an estimate that no proof covers")
    if len(known_by) > 1:
        each = " and ".join(f"{name} by {', '.join(kinds)}" for kinds, name in known_by.items())
        sentences.append(f"paired by position and label alone, as images are known of {each}")
    heads = [f"not known, and taken for the same: {what} of {', '.join(of)}" for what, of in unknown.items()]
    return heads + sentences
