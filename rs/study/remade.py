"""Rebuilds a study from the provenance in the tables of its results. No torch."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.study.study import CALLED, Study


def files_of(provenance: Mapping[str, Any]) -> list[Path]:
    """The files in a table's provenance, without the entry for values given on the command line."""
    return [Path(file) for file in provenance.get("files") or () if file != CALLED]


def study_of(table: Path, provenance: Mapping[str, Any]) -> Study:
    """The study of a table's `provenance`. Raises UserError where the provenance does not name it."""
    files, overrides = files_of(provenance), provenance.get("overrides") or {}
    if not files or (CALLED in provenance["files"] and not overrides):
        raise UserError(f"{table}: does not name its study; run the study again")
    return Study(files, overrides)


def command(study: Study) -> str:
    """The Snakemake command that runs the study."""
    files = " ".join(file.as_posix() for file in study.files if file != Path(CALLED))
    keys = " ".join(shlex.quote(f"{key}={json.dumps(value)}") for key, value in study.overrides.items())
    return f"snakemake --cores N --configfile {files}" + (f" {CALLED} {keys}" if keys else "")
