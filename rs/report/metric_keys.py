"""The names of metrics and parameters in MLflow, for labels of any characters and length."""

from __future__ import annotations

import functools
import re

from rs.provenance.digests import digest

_LONGEST = 240  # characters of a key; MLflow takes 250, and /high may follow


def metric_key(*parts: str, taken: dict[str, tuple[str, ...]] | None = None) -> str:
    """A key, of letters, digits, spaces and ``_ - . /`` only: ``sigma=0.25`` becomes ``sigma 0.25``.

    A key that is too long, empty, or already `taken` by other parts ends in a digest.
    """
    key = "/".join(map(_clean, parts))
    if len(key) > _LONGEST:
        key = f"{key[: _LONGEST - 9].rstrip('/. ')} {digest(parts)}"
    if taken is not None and taken.setdefault(key, parts) != parts:
        key = f"{key[: _LONGEST - 9].rstrip('/. ')} {digest(parts)}"
    return key


@functools.lru_cache(maxsize=10_000)
def _clean(part: str) -> str:
    text = re.sub(r"[^\w.\- ]+", " ", part).strip()
    return text if text.strip(".") else digest(part)
