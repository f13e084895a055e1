"""Where things lie that cost seconds to find and can be found again: the user's cache. No torch.

What is read from it as numbers and texts (rates, digests, schemas: JSON) is checked where it is read and may
lie in a folder that a group shares. What is run as code (compiled forms) must be the user's own: `private`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path


def folder(kind: str) -> Path:
    """Of one kind of them. It may not exist, not be writable, and be removed at any time."""
    own = os.environ.get("XDG_CACHE_HOME", "")
    return Path(own if os.path.isabs(own) else Path.home() / ".cache") / "rs-smoothing" / kind


def private(paths: Iterable[Path]) -> bool:
    """Whether all belong to this user and nobody else can write to them. OSError for a missing one."""
    found = [os.stat(path) for path in paths]
    writable = stat.S_IWGRP | stat.S_IWOTH
    return all(each.st_uid == os.getuid() and not each.st_mode & writable for each in found)
