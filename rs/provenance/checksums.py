"""One checksum inside a file over all of its bytes, so that a single flipped bit is noticed. No torch.

A file is written with a blank checksum of 64 zeros, which its SHA-256 then replaces. A reader puts the zeros
back and compares. Parquet's own page checksums cover neither page headers nor the footer with its schema and
provenance, and JSON has none.

The checksum stands under the key "checksum" of a JSON object and begins with a mark of its own. If a bit
flips in the key or in the mark, the other still distinguishes the file from one without a checksum.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

KEY = "checksum"
_MARK = "rs-sha256:"
BLANK = _MARK + 64 * "0"
_FOUND = re.compile(rb"rs-sha256:([0-9a-f]{64})")


def seal(content: bytes) -> bytes:
    """`content`, which holds BLANK once, with its checksum in the place of BLANK."""
    digits = hashlib.sha256(content).hexdigest()
    return content.replace(BLANK.encode(), f"{_MARK}{digits}".encode())


def broken(content: bytes) -> bool:
    """Whether `content` holds a checksum that does not match it."""
    found = list(_FOUND.finditer(content))
    if not found:
        return False
    start, end = found[-1].span(1)
    digits = hashlib.sha256(content[:start])
    digits.update(64 * b"0")
    digits.update(content[end:])
    return digits.hexdigest().encode() != found[-1][1]


def lost(content: bytes, value: Any) -> bool:
    """Whether `value`, the JSON object read from `content`, has a checksum that cannot be found in it."""
    return isinstance(value, dict) and KEY in value and not _FOUND.search(content)
