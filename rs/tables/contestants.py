"""The contestants of a comparison: a run of a study with all its seeds, or a log of the study. No torch.

Those that are files alone: rs.tables.file_contestants.

A contestant holds, image by image, the certified radius of each of its networks and the outcomes of attacks,
with the conditions under which they were found. Only contestants under the same conditions are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rs.errors import UserError
from rs.plan.jobs import Observation, PlannedRun
from rs.plan.plan import Plan
from rs.provenance.digests import dumps
from rs.provenance.run_files import belongs, read_model_manifest
from rs.settings.labels import attack_label, certificate_label, describe, norm_text
from rs.statistics.bounds import Floats
from rs.study.certification_log import images, read_log
from rs.tables.attacks import read_judged
from rs.tables.certified import certified_radii, decided_radii, leaves_open
from rs.tables.noise import smoothed_with
from rs.tables.stored import Stored, read_whole

Ints = np.ndarray[Any, np.dtype[np.int64]]
CONDITIONS = ("data", "smoothing", "certificate", "norm", "alpha", "n")


@dataclass(frozen=True)
class Outcomes:
    """Results of S networks on N images: indices and labels [N], `values` [S, N]. For certificates the values
    are radii where the prediction is right, else -1; for attacks they are 1 where it stays right. `marks` [N]
    tell the images themselves apart, by what is known of them: their names in a folder, a digest of pixels.
    """

    images: Ints
    labels: Ints
    values: Floats
    marks: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Contestant:
    """`conditions` lacks those of CONDITIONS that are not known: all of them for a log without sigma.
    `smoothing` is the noise in the columns of tables. `noise` identifies the drawn noise: contestants with
    the same text saw the same. `attacked` has a key per attack (its name and all its settings) and radius.
    `decided` are the radii that stopped votes were to decide, None where no votes were stopped; everything
    else is then a lower bound. `largest` is the radius of unanimous votes, NaN where unknown. `rigorous`: a
    proof covers the radii; for a log this is unknown and set to False. `n0` is the number of selection votes,
    None where unknown.
    """

    name: str
    seeds: tuple[int | None, ...]
    certified: Outcomes | None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    smoothing: Mapping[str, Any] = field(default_factory=dict)
    noise: str | None = None
    sigma: float | None = None  # where radius = sigma Phi^-1(p_A), so that it determines p_A
    factor: float = 1.0  # of certified accuracies, where a certificate covers only a share of the images
    attacked: Mapping[tuple[str, str, float], Outcomes] = field(default_factory=dict)
    decided: tuple[float, ...] | None = None
    largest: float = np.nan
    rigorous: bool = True
    n0: int | None = None

    def is_lower_bound(self, radius: float | None = None) -> bool:
        """Whether its certified accuracy at `radius` (or its average and median radius) is a lower bound."""
        return leaves_open(self.decided, radius)

    @property
    def stated(self) -> dict[str, Any]:
        """What is known of `conditions` and of the selection votes."""
        return {**self.conditions, **({"n0": self.n0} if self.n0 else {})}

    @property
    def place(self) -> tuple[str, ...]:
        """Contestants with the same place are compared by default."""
        return tuple(f"{key}={value}" for key, value in self.conditions.items())


def of_runs(plan: Plan, labels: Iterable[str] | None = None) -> list[Contestant]:
    """Every run of the study, or those of `labels`, under each of its noises and certificates.

    Raises UserError for missing files, and for files of other settings or networks.
    """
    contestants: list[Contestant] = []
    groups: dict[str, list[PlannedRun]] = {}
    for planned in plan.runs:
        if labels is None or planned.run.label in labels:
            groups.setdefault(planned.run.label, []).append(planned)
    for label, seeds in groups.items():
        for i in range(len(seeds[0].observations)):
            contestants += _observed(plan, label, seeds, [p.observations[i] for p in seeds])
    return contestants


def of_logs(plan: Plan, labels: Iterable[str] | None = None) -> list[Contestant]:
    """The study's logs, or those of `labels`, with the study's settings of them."""
    contestants = []
    for log in plan.logs:
        if labels is None or log.label in labels:
            frame = pd.DataFrame(images(read_log(log.path)))
            stated = {**_under(plan, log.noise), **log.claim}
            conditions = {k: stated[k] for k in CONDITIONS}
            sigma = sigma_of(log.noise, log.claim["certificate"])
            own = (of_frames([frame], certified_radii), conditions, smoothed_with(log.noise))
            rigorous = bool(log.claim["rigorous"])
            contestants.append(Contestant(log.label, (None,), *own, sigma=sigma, rigorous=rigorous))
    return contestants


def every(stored: Stored) -> list[Contestant]:
    """The runs and logs of a study, for `Stored.once`: claims and comparisons are about the same."""
    return [*of_runs(stored.plan), *of_logs(stored.plan)]


def _observed(
    plan: Plan, label: str, seeds: list[PlannedRun], observed: list[Observation]
) -> list[Contestant]:
    """One label under one noise: a contestant per certificate, or one with attacks alone."""
    noise = observed[0].noise
    pairs = zip(seeds, observed, strict=True)
    read = [_certified(plan, p, o.certified) for p, o in pairs if o.certified]
    frames = [frame for frame, _ in read]
    attacked = _attacked(plan, seeds, observed)
    numbers = tuple(p.run.seed for p in seeds)
    sampling = seeds[0].run.sections["sampling"]
    devices = sorted({str((provenance.get("form") or {}).get("device")) for _, provenance in read})
    drawn = dumps([noise, sampling["seed"], sampling["block"], sampling["n0"], devices])
    under = _under(plan, noise)
    if len(frames) < len(seeds):
        alone = (label, numbers, None, under, smoothed_with(noise), drawn)
        return [Contestant(*alone, attacked=attacked)] if attacked else []
    kinds = {certificate_label(c): c["name"] for c in seeds[0].run.sections["certificates"]}
    out: list[Contestant] = []
    for certificate, first in frames[0].groupby("certificate", sort=False):
        votes = sampling["n"]
        if sampling["mode"] == "sequential":
            votes = at_most(votes, int(first["source_n"].iloc[0]) if "source_n" in first else None)
        claim = (str(certificate), float(first["norm"].iloc[0]), float(first["alpha"].iloc[0]), votes)
        conditions = under | dict(zip(CONDITIONS[2:], claim, strict=True))
        own = [frame[frame["certificate"] == certificate] for frame in frames]
        sigma = sigma_of(noise, kinds.get(str(certificate), ""))
        outcomes = of_frames(own, certified_radii)
        factor = float(first["factor"].iloc[0])
        columns, decided = smoothed_with(noise), decided_radii(first, read[0][1].get("stop"))
        largest = float(np.max([frame.iloc[0].get("largest_radius", np.nan) for frame in own]))
        rigorous = bool(first["rigorous"].all())
        own_facts = (columns, drawn, sigma, factor, attacked, decided, largest, rigorous)
        out.append(Contestant(label, numbers, outcomes, conditions, *own_facts, n0=sampling["n0"]))
    return out


def at_most(n: int, beside: int | None = None) -> str:
    """The condition `n` of votes that a rule stopped: their largest number, and how many of another network
    they rest on. With fewer of either, fewer images are certified at any radius.
    """
    return f"stopped, at most {n}" + ("" if beside is None else f" beside {beside} of another network")


def unlike(contestants: Sequence[Contestant]) -> list[str]:
    """The conditions in which those contestants that state them differ, by name."""
    values: dict[str, set[Any]] = {}
    for contestant in contestants:
        for key, value in contestant.stated.items():
            values.setdefault(key, set()).add(value)
    return [key for key, own in values.items() if len(own) > 1]


def refuse_other_norms(contestants: Sequence[Contestant]) -> None:
    """Raises UserError where certified radii are in two norms: a number of one says nothing of the other."""
    norms = {c.conditions["norm"]: c.name for c in reversed(contestants) if "norm" in c.conditions}
    if len(norms) > 1:
        radii = " and ".join(f"{name} has {norm_text(norm)} radii" for norm, name in reversed(norms.items()))
        raise UserError(f"{radii}; allowed: certificates of one norm")


def _under(plan: Plan, noise: dict[str, Any]) -> dict[str, Any]:
    """The conditions of everything that is observed under the noise."""
    return {"data": describe(plan.study.data), "smoothing": describe(noise)}


def sigma_of(noise: dict[str, Any], certificate: str) -> float | None:
    """The noise level for Cohen et al.'s certificate, whose radius is sigma Phi^-1 of a bound of p_A."""
    gaussian = noise["name"] == "gaussian" and certificate == "cohen"
    return float(noise["sigma"]) if gaussian else None


def _certified(plan: Plan, planned: PlannedRun, path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    spec = plan.maker(plan.existing(path)).spec
    return read_whole(path, spec, str(read_model_manifest(planned.manifest)["sha256"]))


def _attacked(
    plan: Plan, seeds: list[PlannedRun], observed: list[Observation]
) -> dict[tuple[str, str, float], Outcomes]:
    """Outcomes of the attacks; attacks with other settings have other keys."""
    outcomes: dict[tuple[str, str, float], Outcomes] = {}
    for i, attack in enumerate(seeds[0].run.sections["attacks"]):
        paths = [plan.existing(o.attacks[i]) for o in observed]
        frames: list[pd.DataFrame] = []
        for planned, path in zip(seeds, paths, strict=True):
            frame, provenance = read_judged(path)
            network = str(read_model_manifest(planned.manifest)["sha256"])
            belongs(path, provenance, plan.maker(path).spec, network)
            frames.append(frame[frame["variant"] == ""])
        settings = dumps([plan.maker(paths[0]).spec["attack"], str(provenance["norm"]), provenance["judge"]])
        for radius in sorted(set(frames[0]["radius"])):
            own = [frame[frame["radius"] == radius] for frame in frames]
            right = of_frames(own, lambda frame: 1.0 - frame["success"].to_numpy(np.float64))
            outcomes[attack_label(attack), settings, float(radius)] = right
    return outcomes


def of_frames(frames: list[pd.DataFrame], value: Any) -> Outcomes:
    """The outcomes of all networks on their common images, in the images' order."""
    common = frames[0]["image"].to_numpy(np.int64)
    for frame in frames[1:]:
        common = np.intersect1d(common, frame["image"].to_numpy(np.int64))
    ordered = [frame.set_index("image").loc[np.sort(common)] for frame in frames]
    values = np.stack([value(frame) for frame in ordered])
    return Outcomes(np.sort(common), ordered[0]["label"].to_numpy(np.int64), values)


def common_images(a: Outcomes, b: Outcomes, names: tuple[str, str]) -> tuple[Ints, Floats, Floats, Ints]:
    """Images [N] that both have, the values of each [S, N], and the labels.

    Raises UserError where there is none, or where an image has two labels, or other marks of one kind, and so
    is not the same image.
    """
    images, at_a, at_b = np.intersect1d(a.images, b.images, assume_unique=True, return_indices=True)
    if len(images) == 0:
        ends = [f"{o.images[0]} to {o.images[-1]}" for o in (a, b)]
        problem = f"{names[0]} has images {ends[0]}, {names[1]} {ends[1]}"
        raise UserError(f"{names[0]} and {names[1]}: no image in common: {problem}")
    labels, others = a.labels[at_a], b.labels[at_b]
    if (labels != others).any():
        i = int(np.flatnonzero(labels != others)[0])
        problem = f"image {images[i]} has label {labels[i]} there and {others[i]} here"
        raise UserError(f"{names[0]} and {names[1]}: of different data: {problem}")
    for kind in sorted(a.marks.keys() & b.marks.keys()):
        there, here = a.marks[kind][at_a], b.marks[kind][at_b]
        if (there != here).any():
            i = int(np.flatnonzero(there != here)[0])
            problem = f"image {images[i]} has the {kind} {there[i]} there and {here[i]} here"
            raise UserError(f"{names[0]} and {names[1]}: of different images: {problem}")
    return images, a.values[:, at_a], b.values[:, at_b], labels
