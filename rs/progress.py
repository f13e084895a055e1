"""Progress on the terminal: a bar where somebody watches one job, a line now and then where many jobs share a
log.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 5.0


def follow(items: Iterable[T], total: int, label: str, unit: str, done: int = 0) -> Iterator[T]:
    """Yields `items`, telling how many of `total` are done and how long the rest will take."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, unit=unit, total=total, initial=done)
        return
    start = last = time.monotonic()
    for count, item in enumerate(items, done + 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or count == total:
            rate = (count - done) / max(now - start, 1e-9)
            left = time.strftime("%H:%M:%S", time.gmtime((total - count) / rate))
            print(f"{label}: {count}/{total} {unit}, {rate:.3g}/s, {left} left", file=sys.stderr, flush=True)
            last = now
