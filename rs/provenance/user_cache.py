"""Where things lie that cost seconds to find and can be found again: the user's cache. No torch."""

from __future__ import annotations

import os
from pathlib import Path


def folder(kind: str) -> Path:
    """Of one kind of them. It may not exist, not be writable, and be removed at any time."""
    own = os.environ.get("XDG_CACHE_HOME", "")
    return Path(own if os.path.isabs(own) else Path.home() / ".cache") / "rs-smoothing" / kind
