"""Reads Snakemake's records of the files that its jobs made, in .snakemake/. No torch."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RECORDS = Path(".snakemake") / "metadata"
UNFINISHED = Path(".snakemake") / "incomplete"
FORMAT = 6  # format of the records that this module reads


def place(path: Path | str, folder: Path = RECORDS) -> Path:
    """The path of Snakemake's record of a file: the file's path in base64 is its name."""
    name, most = base64.urlsafe_b64encode(str(path).encode()).decode(), 254
    pieces = [name[i : i + most] for i in range(0, len(name), most)]
    return folder.joinpath(*(f"@{piece}" for piece in pieces[:-1]), pieces[-1])


def read(path: Path | str) -> dict[str, Any] | None:
    """The record of a file; None where there is none, or where it is half written."""
    try:
        record = json.loads(place(path).read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record else None


def unfinished() -> bool:
    """Whether Snakemake has a record of any job that began and did not end."""
    return UNFINISHED.is_dir() and any(path.is_file() for path in UNFINISHED.rglob("*"))


def is_unfinished(path: Path | str) -> bool:
    """Whether the job that makes this file began and did not end."""
    return place(path, UNFINISHED).is_file()


def record_other_code(paths: Iterable[Path]) -> None:
    """Leaves a record by which Snakemake makes files again that it could not know to be stale: no file that
    they are made from is there, so no time tells. A record that cannot be written is left out.
    """
    for path in map(place, paths):
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"record_format_version": FORMAT, "params": ["other code"]}))
