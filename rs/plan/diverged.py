"""Tells of trainings that diverged: they left a curve in the place of their results. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rs.errors import UserError
from rs.provenance.files import read_table
from rs.provenance.run_files import DIVERGED, belongs

if TYPE_CHECKING:
    from rs.plan.plan import Plan


def sentences(plan: Plan) -> Iterator[str]:
    """A sentence for each training of the plan that diverged the last time it ran."""
    labels = {p.network: p.title for p in reversed(plan.runs)}
    for target, job in plan.jobs["train"].items():
        path = Path(target).with_name(DIVERGED)
        if not path.is_file() or _trained_since(path):
            continue
        try:
            provenance = read_table(path)[1]
            belongs(path, provenance, job.spec)
            epoch, lost = provenance["diverged"]["epoch"], provenance["diverged"]["lost"]
        except UserError as error:
            yield str(error)
        else:
            run = labels.get(path.parent.name, path.parent.name)
            yield f"{run}: diverged in epoch {epoch} ({lost}); its curve: {path}"


def _trained_since(path: Path) -> bool:
    """Whether a training has left a checkpoint or its results after this curve."""
    later = [*path.parent.glob("resume-*.pt"), path.with_name("model.json")]
    return any(p.stat().st_mtime_ns > path.stat().st_mtime_ns for p in later if p.is_file())
