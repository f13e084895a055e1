"""Canonical specs and their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.provenance.reading import check_file

# --- canonical specs ---


def canonical(value: Any) -> Any:
    """The same value in one form: 1.0 becomes 1, tuples become lists (`dumps` sorts dictionaries)."""
    if isinstance(value, dict):
        return {str(k): canonical(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def dumps(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any, length: int = 8) -> str:
    """Short hexadecimal digest of the canonical form of a JSON value."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()[:length]


def digests_by_key(settings: Mapping[str, Any]) -> str:
    """ "key=digest" of each setting, apart by spaces: what differs between two such texts can be named."""
    return " ".join(f"{key}={digest(value, 12)}" for key, value in settings.items())


def file_digest(path: Path) -> str:
    """SHA-256 of a regular file, hexadecimal. Raises UserError for any other."""
    check_file(path)
    try:
        with open(path, "rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
