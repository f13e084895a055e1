"""The test images that adversaries moved (rs.stages.distributional), as the tables on the distributional
certificate read them. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter

from rs.plan.jobs import PlannedRun
from rs.provenance.run_files import read_moved
from rs.settings.distributional import Distributional
from rs.statistics.bounds import Floats
from rs.study.schema import defaults, method_schema
from rs.tables.stored import Stored
from rs.tables.table import Row

GRID = 41  # rhos where the study names none


@dataclass(frozen=True)
class Observed:
    """One adversary's points, [N images, P gammas]; the last gamma is infinite (x_0 itself)."""

    gammas: Floats
    squared_distance: Floats
    loss: Floats
    loss_square: Floats
    gradient_product: Floats

    def surrogate(self, gamma: float) -> Floats:
        """phi_gamma of every image, [N], from the best point found for it."""
        values: Floats = (self.loss - gamma * self.squared_distance).max(1)
        return values

    def own(self, gamma: float) -> Floats:
        """phi_gamma of every image, [N], from the point at which this gamma's ascent ended."""
        i = self.at(gamma)
        values: Floats = self.loss[:, i] - gamma * self.squared_distance[:, i]
        return values

    def at(self, gamma: float) -> int:
        return int(np.flatnonzero(self.gammas == gamma)[0])

    def refused(self, estimates: int) -> NDArray[np.bool_]:
        """[N, P]: ascents that ended below their start by over 4 standard errors of both, or at nan."""
        error = np.sqrt(np.maximum(self.loss_square - self.loss**2, 0) / (estimates - 1))
        gammas = np.where(np.isinf(self.gammas), 0.0, self.gammas)
        value, start = self.loss - gammas * self.squared_distance, self.loss[:, -1:]
        below: NDArray[np.bool_] = ~(value >= start - 4 * (error + error[:, -1:])) & np.isfinite(start)
        below[:, -1] = False
        return below

    def without(self, refused: NDArray[np.bool_]) -> Observed:
        """The same with x_0 in place of the refused points, and without gradients."""
        kept = {
            name: np.where(refused, getattr(self, name)[:, -1:], getattr(self, name))
            for name in ("squared_distance", "loss", "loss_square")
        }
        return Observed(self.gammas, gradient_product=np.full_like(self.loss, np.nan), **kept)

    def noise_error(self, at: NDArray[np.int64], estimates: int) -> float:
        """Standard error, from the noise alone, of the mean loss with image i at its point at[i]."""
        rows = np.arange(len(at))
        variance = self.loss_square[rows, at] - self.loss[rows, at] ** 2
        return float(np.sqrt(np.maximum(variance, 0).sum() / (estimates - 1)) / len(at))


def observed(frame: pd.DataFrame) -> dict[str, Observed]:
    """The rows of a distributional file by adversary."""
    adversaries = {}
    for name, rows in frame[frame["gamma"].notna()].groupby("adversary", sort=False):
        wide = rows.pivot(index="image", columns="gamma").sort_index(axis=1)
        values = [wide[c].to_numpy(np.float64) for c in Observed.__dataclass_fields__ if c != "gammas"]
        adversaries[str(name)] = Observed(wide["loss"].columns.to_numpy(np.float64), *values)
    return adversaries


@dataclass(frozen=True)
class Setting:
    """Settings from the study and the file's provenance: M, sigma, d, noises per estimate, alpha, gammas,
    rhos, and the gamma of the training, if it had one.
    """

    bound: float
    sigma: float
    dimension: int
    estimates: int
    alpha: float
    gammas: Sequence[float]
    rhos: Sequence[float]
    training_gamma: float | None = None

    @property
    def noise_cost(self) -> float:
        """d sigma^2, the noise's share of NAL's cost."""
        return self.dimension * self.sigma**2


def setting_of(
    section: Distributional,
    provenance: Mapping[str, Any],
    adversaries: Mapping[str, Observed],
    training_gamma: float | None,
) -> Setting:
    """The setting from a run's section, the provenance of its file and its training."""
    rhos: Sequence[float] = section.rhos
    if not rhos:
        points = adversaries.get("smoothed", adversaries["base"])
        points = points.without(points.refused(int(provenance["estimates"])))
        gammas = section.attack_gammas or section.gammas
        ends = [points.squared_distance[:, points.at(gamma)].mean() for gamma in gammas]
        near, far = max(min(ends), 1e-6), max(*ends, 1e-5)
        rhos = [0.0, *map(float, np.geomspace(near, far, GRID - 1))]
    return Setting(
        section.bound,
        sigma=float(provenance["sigma"]),
        dimension=int(provenance["dimension"]),
        estimates=int(provenance["estimates"]),
        alpha=section.alpha,
        gammas=sorted(set(section.gammas)),
        rhos=sorted(set(rhos)),
        training_gamma=training_gamma,
    )


@dataclass(frozen=True)
class Independent:
    """One adversary's points [N images, R radii]; one of the radii is the image itself."""

    squared_distance: Floats
    loss: Floats
    loss_square: Floats
    chosen_loss: Floats  # under the noise by which a mixture is chosen


def independent(frame: pd.DataFrame) -> dict[str, Independent]:
    """The points of a distributional file that no surrogate uses, by the attacked classifier."""
    if "radius" not in frame:
        return {}
    adversaries = {}
    for name, rows in frame[frame["radius"].notna()].groupby("adversary", sort=False):
        wide = rows.pivot(index="image", columns="radius").sort_index(axis=1)
        values = (wide[c].to_numpy(np.float64) for c in Independent.__dataclass_fields__)
        adversaries[str(name).removeprefix("pgd_")] = Independent(*values)
    return adversaries


@dataclass(frozen=True)
class MovedRun:
    """One smoothed run's file: the columns that name it and the measured loss, its settings, and its points
    by adversary.
    """

    named: Row
    setting: Setting
    observed: dict[str, Observed]
    independent: dict[str, Independent]
    attack_gammas: Sequence[float]


def moved_runs(stored: Stored) -> list[MovedRun]:
    return [
        moved_run(observation.distributional, planned, named)
        for planned, observation, named in stored.observations()
        if observation.distributional
    ]


def moved_run(file: Path, planned: PlannedRun, named: Row) -> MovedRun:
    section = TypeAdapter(Distributional).validate_python(planned.run.sections["distributional"])
    frame, provenance = read_moved(file)
    adversaries, unseen = observed(frame), independent(frame)
    if float(provenance["sigma"]) == 0:  # level 0 smooths nothing
        adversaries.pop("smoothed", None)
        unseen.pop("smoothed", None)
    measured = section.loss if section.clip is None else f"{section.loss} to {section.clip:g}"
    setting = setting_of(section, provenance, adversaries, _training_gamma(planned))
    gammas = section.attack_gammas or section.gammas
    return MovedRun({**named, "measured": measured}, setting, adversaries, unseen, gammas)


def _training_gamma(planned: PlannedRun) -> float | None:
    """The price gamma with which the run's objective (NAL, WRM) trained; None for other objectives."""
    objective = planned.spec.get("objective")
    if not objective or not (schema := method_schema("objectives", objective["name"])).get("x-calibrates"):
        return None
    return float(defaults(schema, objective)["gamma"])
