"""Rebuilds a study from the provenance in the tables of its results. No torch."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.study.study import CALLED, Study


def files_of(provenance: Mapping[str, Any]) -> list[Path]:
    """The files in a table's provenance, without the entry for values given on the command line."""
    return stated(provenance.get("files") or ())


def stated(files: Iterable[Path | str]) -> list[Path]:
    """A study's files without the entry for values given on the command line."""
    return [Path(file) for file in files if str(file) != CALLED]


def study_of(table: Path, provenance: Mapping[str, Any]) -> Study:
    """The study of a table's `provenance`. Raises UserError where the provenance does not name it."""
    files, overrides = files_of(provenance), provenance.get("overrides") or {}
    if not files or (CALLED in provenance["files"] and not overrides):
        raise UserError(f"{table}: does not name its study; run the study again")
    return Study(files, overrides)


def command(
    files: Iterable[Path | str], overrides: Mapping[str, Any], *arguments: str, cores: str = "N"
) -> str:
    """The Snakemake command that runs the study of these files, with its values from the command line.
    `arguments` are targets and options.
    """
    named = [file.as_posix() for file in stated(files)]
    words = ["snakemake", *arguments, "--cores", cores]
    words += ["--configfile", *named] if named else []
    words += (
        [CALLED, *(f"{key}={json.dumps(value)}" for key, value in overrides.items())] if overrides else []
    )
    return shlex.join(words)
