"""Checks every file that a study's tables are made from, before the first one is used: it must belong to the
run and the settings of its place. No torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.plan.calibrated import read_calibration
from rs.plan.jobs import PlannedRun
from rs.plan.plan import Plan
from rs.provenance import checksums
from rs.provenance.files import ADVICE, read_table
from rs.provenance.run_files import belongs, read_certified, read_model_manifest
from rs.settings.images import Subset

_TRAINED = ("epochs", "train_seconds", "device", "precision", "resolved")  # keys of a manifest's provenance


def check_files(plan: Plan) -> dict[str, list[Path]]:
    """Files without a checksum (written before there were any), by the id of their run.

    Raises UserError for a file of another run, other settings or another network.
    """
    return {planned.id: _check_run(plan, planned) for planned in plan.runs}


def _check_run(plan: Plan, planned: PlannedRun) -> list[Path]:
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
        paths = [*observation.attacks]
        if observation.certified:
            check_certified(observation.certified, plan.maker(observation.certified).spec)
            paths.append(observation.certified)
        if observation.distributional:
            paths.append(observation.distributional)
        for path in paths:
            provenance = read_table(path)[1]
            checked = checksums.KEY in provenance and provenance.get("content", "checked") == "checked"
            check(path, provenance, plan.maker(path).spec, network, checked)
    return unchecked


def check_certified(path: Path, spec: dict[str, Any]) -> None:
    """Raises UserError unless every certificate covers exactly the images that `spec` asks for."""
    frame, provenance = read_certified(path)
    belongs(path, provenance, spec)
    positions = list(Subset(**spec["test"]).positions(spec["data_size"]))
    groups = frame.groupby("certificate", sort=False)["image"]
    if len(groups) != len(spec["certificates"]) or any(sorted(images) != positions for _, images in groups):
        contents = f"{len(spec['certificates'])} certificates of {len(positions)} images each"
        raise UserError(f"{path}: does not hold the {contents} that it was made for; {ADVICE}")
