"""What a training leaves: weights, metrics and manifest at its end, or the curve of one that diverged."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rs.errors import UserError
from rs.machine.devices import device_name
from rs.networks import checkpoints, distributed
from rs.provenance.files import provenance, write_table

if TYPE_CHECKING:
    from rs.stages.train import Progress, Subject


def leave_curve(
    subject: Subject, rows: list[dict[str, Any]], lost: str, spec: dict[str, Any], code: str, path: Path
) -> str:
    """Writes the rows of a training that `lost` in its last one; returns in words where they are, or why
    they are not: a full disk does not hide that the training diverged.
    """
    origin = run_provenance(subject, rows, spec, code, diverged={"epoch": rows[-1]["epoch"], "lost": lost})
    try:
        if distributed.is_first():
            write_table(path, pa.Table.from_pylist(rows), origin)
    except UserError as error:
        return f"its curve is lost: {error}"
    return f"its curve is {path}"


def run_provenance(
    subject: Subject, rows: list[dict[str, Any]], spec: dict[str, Any], code: str, **more: Any
) -> dict[str, Any]:
    """The provenance of what a training writes, after the epochs of `rows`."""
    return provenance(
        spec,
        code,
        device=device_name(subject.device),
        processes=distributed.processes(),
        precision=subject.training.precision,
        seed=spec["seed"],
        resolved=subject.resolved,
        train_seconds=sum(r["seconds"] for r in rows),
        images_per_second=statistics.median(r["images_per_second"] for r in rows),
        epochs=subject.training.epochs,
        **more,
    )


def finish(
    subject: Subject,
    progress: Progress,
    spec: dict[str, Any],
    code: str,
    outputs: dict[str, Path],
) -> None:
    """Writes metrics, weights and manifest."""
    kept = progress.best[1] or subject.training.epochs
    origin = run_provenance(subject, progress.rows, spec, code, kept_epoch=kept)
    write_table(outputs["metrics"], pa.Table.from_pylist(progress.rows), origin)
    weights = progress.kept or subject.network.state_dict()
    checkpoints.save(outputs, weights, {"provenance": origin, "classes": subject.manifest["classes"]})
