"""The user's cache, for results that cost seconds to compute and can be computed again. No torch.

Numbers and texts (rates, digests, schemas: JSON) are checked when they are read and may lie in a folder that
a group shares. Files that are run as code (compiled forms) must be the user's own: `private`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path


def folder(kind: str) -> Path:
    """The folder of one kind of cached results. It may be missing, read-only, or removed at any time; for a
    user without a home folder (a container without users) it can hold nothing.
    """
    own, home = os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~")
    found = own if os.path.isabs(own) else os.path.join(home if os.path.isabs(home) else os.devnull, ".cache")
    return Path(found, "rs-smoothing", kind)


def private(paths: Iterable[Path]) -> bool:
    """Whether all paths belong to this user and nobody else can write to them. Raises OSError for a missing
    one.
    """
    found = [os.stat(path) for path in paths]
    writable = stat.S_IWGRP | stat.S_IWOTH
    return all(each.st_uid == os.getuid() and not each.st_mode & writable for each in found)
