"""Files and texts from outside: only regular files, of a size that their kind can have. No torch.

A read from a pipe or a device might wait, or go on, without end.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from rs.errors import UserError

MEBIBYTE = 2**20
STUDY = MEBIBYTE
JSON = 256 * MEBIBYTE  # manifests
TEXT = 64 * MEBIBYTE  # lists of files and classes
IMAGE = 256 * MEBIBYTE
WEIGHTS = 2**36
ANY = 2**45


def check_file(path: Path, most: int = ANY) -> int:
    """The size of a file in bytes. Raises UserError unless it is a regular file of at most `most` bytes."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from error
    if stat.S_ISDIR(found.st_mode):
        raise UserError(f"{path}: cannot be read: it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path}: cannot be read: a pipe, device or socket; must be a regular file")
    if found.st_size > most:
        raise UserError(f"{path}: {found.st_size} bytes; at most {most}")
    return found.st_size


def read_bytes(path: Path, most: int = ANY) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises UserError for any other."""
    size = check_file(path, most)
    try:
        with open(path, "rb") as f:
            content = f.read(size + 1)  # some files of /proc are regular, have size 0 and do not end
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > size:
        raise UserError(f"{path}: grows while it is read; must be a finished file")
    return content


def is_number(value: object) -> bool:
    """Whether a value from JSON or YAML is a number; true is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_number(text: str) -> float:
    """The number that a text is; NaN where it is none, as 1_0, which Python would read."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def parse_json(text: str | bytes, where: str) -> Any:
    """The value of a JSON text. Raises UserError that begins with `where`."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{where} ({error})") from error
    except RecursionError as error:
        raise UserError(f"{where} (nested too deeply)") from error
