"""Which code counts as which: acceptances of results that an older version made (`rs accept`). No torch.

Acceptances are in `accepted.json` in the folder of a run or a data set, beside the files that they concern.
They name code by its digest, so they do not apply to files of other code, or to other current code.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.provenance.files import ADVICE, alone_in, read_json, write_json

NAME = "accepted.json"
SHARED = ("runs", "data")  # their subfolders hold files that studies share


def folder_of(path: Path) -> Path | None:
    """The folder of the run or data set to which a file belongs."""
    return next((parent for parent in path.parents if parent.parent.name in SHARED), None)


def counts_as(path: Path, code: str) -> frozenset[str]:
    """The digests of all code that a file made by `code` counts as made by: `code` itself and the code that
    it was accepted as. Raises UserError where the acceptances beside the file cannot be read.
    """
    folder = folder_of(path)
    found = read(folder) if folder else []
    return frozenset([code, *(entry["to"] for entry in found if entry["from"] == code)])


def read(folder: Path) -> list[dict[str, Any]]:
    """The acceptances of a run or a data set, oldest first."""
    path = folder / NAME
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        return []


@functools.lru_cache(maxsize=4096)
def _read(path: Path, time: int) -> list[dict[str, Any]]:
    found = read_json(path)
    entries = found.get("accepted") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise UserError(f"{path}: holds no list of acceptances; {ADVICE}")
    for entry in entries:
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("from", "to")):
            raise UserError(f"{path}: an acceptance without `from` and `to`; {ADVICE}")
    return entries


def add(folder: Path, entries: list[dict[str, Any]]) -> None:
    """Behind those that are there, also where other processes add at the same time."""
    with alone_in(folder):
        _read.cache_clear()  # what another process has just added may bear the same time
        write_json(folder / NAME, {"accepted": [*read(folder), *entries]})
