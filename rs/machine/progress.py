"""Progress on the terminal: a bar for one job that somebody watches, occasional lines where many jobs share a
log.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 5.0
SECONDS_INSIDE = 20.0  # between lines within one long item


def follow(
    items: Iterable[T], total: int, label: str, unit: str, done: int = 0, samples: int | Callable[[], int] = 0
) -> Iterator[T]:
    """Yields `items`; reports how many of `total` are done and how long the rest will take.

    If an item is `samples` forward passes, or `samples()` counts those so far, their rate is reported instead
    of the items'.
    """
    per = samples if isinstance(samples, int) else 0
    so_far = (lambda items: items * per) if isinstance(samples, int) else (lambda items: samples())
    if sys.stderr.isatty():
        bar = tqdm(items, desc=label, unit=unit, total=total, initial=done)
        start = time.monotonic()
        for count, item in enumerate(bar, 1):
            yield item
            if samples:
                rate = so_far(count) / max(time.monotonic() - start, 1e-9)
                bar.set_postfix_str(f"{rate:.3g} samples/s", refresh=False)
        return
    start = last = time.monotonic()
    for count, item in enumerate(items, done + 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or count == total:
            elapsed = max(now - start, 1e-9)
            rate = (count - done) / elapsed
            left = tqdm.format_interval((total - count) / rate)
            speed = f"{so_far(count - done) / elapsed:.3g} samples/s" if samples else f"{rate:.3g}/s"
            print(f"{label}: {count}/{total} {unit}, {speed}, {left} left", file=sys.stderr, flush=True)
            last = now


def inside(items: Iterable[T], total: int, label: str, unit: str, done: int = 0) -> Iterator[T]:
    """Yields the parts of one item that another loop follows; reports a line if that takes long."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, unit=unit, total=total, initial=done, leave=False)
        return
    start = last = time.monotonic()
    for count, item in enumerate(items, done + 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_INSIDE:
            left = tqdm.format_interval((total - count) * (now - start) / (count - done))
            print(f"{label}: {count}/{total} {unit}, {left} left", file=sys.stderr, flush=True)
            last = now
