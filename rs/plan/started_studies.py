"""The studies that were started here and have no tables yet: their files, which may lie in other folders,
with overlays and with values from the command line. `rs clean` keeps their results. No torch.

Tables name the study that made them. Before the first ones, and after a run with `--until train`, nothing
else does. There is a file per study, in a folder that belongs to no study.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.plan.plan import Plan
from rs.plan.running_plans import PLACE
from rs.provenance.digests import digest
from rs.provenance.files import read_json, read_provenance, write_json

STUDIES = PLACE / "studies"


def record(plan: Plan) -> None:
    """Records the files of a study that is about to be computed, unless its tables name them already. Where
    nothing can be written, nothing is.
    """
    tabled = None
    with contextlib.suppress(UserError):
        tabled = _named(read_provenance(plan.table_files()[0]))
    if tabled != _of(plan):
        with contextlib.suppress(UserError):
            write_json(_place(plan), _of(plan))


def forget(plan: Plan) -> None:
    """Removes the record of a study whose tables are there."""
    with contextlib.suppress(OSError):
        _place(plan).unlink(missing_ok=True)
        STUDIES.rmdir()
        PLACE.rmdir()


def records() -> list[Path]:
    """The files with the records."""
    return sorted(STUDIES.glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    """The `files` and `overrides` of a study, as in the provenance of tables. Raises UserError for another
    file.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise UserError(f"{path}: names no study")
    return found


def _of(plan: Plan) -> dict[str, Any]:
    return {"files": [str(file) for file in plan.study.files], "overrides": plan.study.overrides}


def _named(provenance: dict[str, Any]) -> dict[str, Any]:
    return {"files": provenance.get("files"), "overrides": provenance.get("overrides") or {}}


def _place(plan: Plan) -> Path:
    return place(plan.study.name, _of(plan))


def place(name: str, files: dict[str, Any]) -> Path:
    """The file with the record of a study of this name; `files` as in `read`."""
    return STUDIES / f"{name}-{digest({key: files.get(key) for key in ('files', 'overrides')})}.json"
