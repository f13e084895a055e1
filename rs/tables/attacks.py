"""Attacks on one smoothed run, as the tables on attacks read them. No torch.

`shares` says how an attack uses one radius for another: "none" (every radius is attacked anew), "kept" (what
is broken stays broken) or "minimal" (one point per image for all radii).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rs.errors import UserError
from rs.plan.jobs import Observation, PlannedRun
from rs.provenance.files import ADVICE
from rs.provenance.run_files import read_attacked, read_certified
from rs.settings.attacks import AttackUse
from rs.settings.labels import attack_label, certificate_label, is_called
from rs.statistics.majority import sure
from rs.study.schema import is_transfer, method_schema
from rs.tables.stored import Stored
from rs.tables.table import Row


@dataclass(frozen=True)
class Attacked:
    """One attack on one smoothed run: its name in tables, its file's rows, and their provenance.

    `certificate` is the one that the study compares it with, None for all of its norm. `made_by` is the
    attack on another run that made its examples, if they are transferred.
    """

    name: str
    frame: pd.DataFrame
    provenance: Mapping[str, Any]
    certificate: str | None = None
    made_by: str | None = None

    @property
    def norm(self) -> float:
        return float(self.provenance["norm"])

    @property
    def judge(self) -> tuple[Any, int | None]:
        """Votes and the seed of their noise, or "base". Only outcomes under one judge can be compared."""
        votes, attack = self.provenance["judge"], self.provenance["spec"]["attack"]
        return votes, None if votes == "base" else attack.get("seed", AttackUse.seed)

    def at(self, radius: float) -> pd.DataFrame:
        """The rows of one radius by image, without those of its checks."""
        return self.plain[self.plain["radius"] == radius].set_index("image")

    @property
    def radii(self) -> list[float]:
        return sorted(self.plain["radius"].unique())

    @cached_property
    def plain(self) -> pd.DataFrame:
        """The rows of the attack as the study asks for it, without those of its checks."""
        return self.frame[self.frame["variant"] == ""]


@dataclass(frozen=True)
class AttackedRun:
    """All attacks on one smoothed run: the columns that name it, its noise, and its certified file for
    certificates of hard votes only (None without one).
    """

    named: Row
    noise: dict[str, Any]
    attacks: list[Attacked]
    certified: pd.DataFrame | None


def attacked_runs(stored: Stored) -> list[AttackedRun]:
    return [attacked_run(*observation) for observation in stored.observations()]


def of_attacked(rows_of: Callable[[AttackedRun], Iterable[Row]]) -> Callable[[Stored], Iterator[Row]]:
    """The rows of a table that treats each attacked run by itself."""

    def rows(stored: Stored) -> Iterator[Row]:
        for run in stored.once(attacked_runs):
            yield from rows_of(run)

    return rows


def attacked_run(planned: PlannedRun, observation: Observation, named: Row) -> AttackedRun:
    attacks = []
    for path, use in zip(observation.attacks, planned.run.sections["attacks"], strict=True):
        frame, provenance = read_judged(path, ("clean", "noisy", "attacked"))
        made_by = use["attack"] if is_transfer(use) else None
        attacks.append(Attacked(attack_label(use), frame, provenance, _certificate(planned, use), made_by))
    certified = None if observation.certified is None else _voted(observation.certified, planned)
    return AttackedRun(named, observation.noise, attacks, certified)


def read_judged(path: Path, needs: Iterable[str] = ()) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Outcomes of an attack and their provenance. Raises UserError where an image has fewer votes than the
    judge was to draw and they do not decide.
    """
    frame, provenance = read_attacked(path, needs)
    n = 1 if provenance["judge"] == "base" else provenance["judge"]
    if len(frame):
        undecided = np.flatnonzero(~sure(np.stack(frame["votes"].to_list()), n))
        if len(undecided):
            votes = list(frame["votes"].iloc[undecided[0]])
            problem = f"{sum(votes)} of {n} votes, which do not decide"
            raise UserError(f"{path}: row {undecided[0]}: {problem}; {ADVICE}")
    return frame, provenance


def _certificate(planned: PlannedRun, use: Row) -> str | None:
    """The name in certified files of the certificate that the study compares an attack with, or None."""
    name = use.get("certificate")
    if not name:
        return None
    offered = planned.run.sections["certificates"]
    return next((certificate_label(c) for c in offered if is_called(c, name)), name)


def _voted(path: Path, planned: PlannedRun) -> pd.DataFrame:
    """The claims of certificates of hard votes; others are about another classifier than the judge's."""
    frame, _ = read_certified(path, ("certificate", "norm", "alpha", "image", "prediction", "radius"))
    kinds = {certificate_label(c): c["name"] for c in planned.run.sections["certificates"]}
    soft = [
        label for label, n in kinds.items() if "soft_moments" in method_schema("certificates", n)["x-needs"]
    ]
    return frame[~frame["certificate"].isin(soft)]
