"""The files of a study's runs, from which tables are made. No torch.

Every file is checked before the first one is used: it must belong to the run and the settings of its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd

from rs.errors import UserError
from rs.plan.calibrated import read_calibration
from rs.plan.jobs import Observation, PlannedRun
from rs.plan.plan import Plan
from rs.provenance import checksums
from rs.provenance.files import ADVICE, read_table
from rs.provenance.run_files import belongs, read_certified, read_model_manifest
from rs.settings.images import Subset
from rs.tables.noise import smoothed_with
from rs.tables.table import Row

T = TypeVar("T")
Certified = tuple[pd.DataFrame, dict[str, Any]]  # certified radii and their provenance
_TRAINED = ("epochs", "train_seconds", "device", "precision", "resolved")  # keys of a manifest's provenance


class Stored:
    """A plan whose files are all checked. Raises UserError for an invalid file."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._certified: dict[Path, Certified] = {}
        # files without checksums, by the id of their run
        self.unchecked = check_files(plan, self._certified)
        self._derived: dict[Callable[[Stored], object], object] = {}

    def once(self, derive: Callable[[Stored], T]) -> T:
        """The result of `derive`, computed for the first table that asks and kept for the others."""
        if derive not in self._derived:
            self._derived[derive] = derive(self)
        return cast(T, self._derived[derive])

    def certified(self, path: Path) -> Certified:
        """What a certified file holds: for whoever asks first, as it was read when it was checked."""
        return self._certified.pop(path, None) or read_certified(path)

    def observations(self) -> Iterator[tuple[PlannedRun, Observation, Row]]:
        """Every run with each of its smoothing noises, and the columns that name both."""
        for planned in self.plan.runs:
            for observation in planned.observations:
                yield planned, observation, {**head(planned), **smoothed_with(observation.noise)}


def head(planned: PlannedRun) -> Row:
    """The columns that name a run."""
    return {"run": planned.id, "label": planned.run.label}


# --- checks ---


def check_files(plan: Plan, kept: dict[Path, Certified] | None = None) -> dict[str, list[Path]]:
    """Files without a checksum (written before there were any), by the id of their run.

    Raises UserError for a file of another run, other settings or another network.
    """
    return {planned.id: _check_run(plan, planned, kept) for planned in plan.runs}


def _check_run(plan: Plan, planned: PlannedRun, kept: dict[Path, Certified] | None) -> list[Path]:
    path = planned.manifest
    manifest = read_model_manifest(path)
    provenance, trained = manifest["provenance"], planned.run.trained
    lacks = [key for key in _TRAINED if trained and key not in provenance]
    if lacks:
        raise UserError(f"{path}: lacks {lacks[0]}: not a model's manifest; remove it and train again")
    belongs(path, provenance, planned.spec)
    unchecked = [] if checksums.KEY in manifest else [path]
    network = str(manifest["sha256"])

    def check(path: Path, provenance: Any, spec: Any, model: str | None, checked: bool) -> None:
        belongs(path, provenance, spec, model)
        if not checked:
            unchecked.append(path)

    if trained:
        path = planned.folder / "training.parquet"
        provenance = read_table(path, ("epoch", "loss"))[1]
        check(path, provenance, planned.spec, None, checksums.KEY in provenance)
    if planned.calibration:
        calibration = read_calibration(planned.calibration)
        spec = plan.maker(planned.calibration).spec
        provenance = calibration.get("provenance")
        check(planned.calibration, provenance, spec, network, checksums.KEY in calibration)
    for observation in planned.observations:
        made = [(path, read_table(path)[1]) for path in observation.attacks]
        if certified := observation.certified:
            read = read_whole(certified, plan.maker(certified).spec, network)
            made.append((certified, read[1]))
            if kept is not None:
                kept[certified] = read
        if moved := observation.distributional:
            made.append((moved, read_table(moved)[1]))
        for path, provenance in made:
            checked = checksums.KEY in provenance and provenance.get("content", "checked") == "checked"
            check(path, provenance, plan.maker(path).spec, network, checked)
    return unchecked


def read_whole(path: Path, spec: dict[str, Any], network: str) -> Certified:
    """Certified radii and their provenance. Raises UserError unless they were made from `spec` with this
    network, and every certificate covers exactly the images that `spec` asks for.
    """
    frame, provenance = read_certified(path)
    belongs(path, provenance, spec, network)
    positions = list(Subset(**spec["test"]).positions(spec["data_size"]))
    groups = frame.groupby("certificate", sort=False)["image"]
    if len(groups) != len(spec["certificates"]) or any(sorted(images) != positions for _, images in groups):
        contents = f"{len(spec['certificates'])} certificates of {len(positions)} images each"
        raise UserError(f"{path}: does not hold the {contents} that it was made for; {ADVICE}")
    return frame, provenance
