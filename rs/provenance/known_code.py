"""A cache of code digests: following imports takes seconds, reading all files 20 ms.

It lies in the user's cache, with one file per content of the packages. The file's name is the digest of all
lines over which its digests were taken, so it cannot be out of date. It may be removed at any time. If two
processes write it, one may undo the other's additions, which are then computed again. No torch.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterable
from pathlib import Path

from rs.errors import UserError
from rs.provenance import user_cache
from rs.provenance.code import code_digest, here
from rs.provenance.digests import digest
from rs.provenance.files import read_json, write_json

DIGEST = re.compile(r"[0-9a-f]{12}")


def known_digest(entries: Iterable[str]) -> str:
    """`code_digest` of `entries`, from the cache if it is there."""
    entries = tuple(entries)
    place = user_cache.folder("code") / f"{here(*entries).content}.json"
    known, key = _known(place), digest(entries, 16)
    if key not in known:
        known[key] = code_digest(entries)
        with contextlib.suppress(UserError):  # a home folder may be read-only
            write_json(place, {"digests": {**_read(place), **known}})
    return known[key]


@functools.lru_cache(maxsize=8)
def _known(place: Path) -> dict[str, str]:
    return _read(place)


def _read(place: Path) -> dict[str, str]:
    """The content of a cache file; empty for one that is missing, damaged or of another kind."""
    with contextlib.suppress(UserError, KeyError, TypeError, AttributeError):
        found = read_json(place)["digests"]
        return {str(k): v for k, v in found.items() if isinstance(v, str) and DIGEST.fullmatch(v)}
    return {}
