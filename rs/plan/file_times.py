"""Modification times as Snakemake compares them, and how they are set. No torch.

A file is made anew if one of its inputs is newer. A link has two times: as an output its own counts, as an
input the later of its own and its target's. A folder has the time of Snakemake's file inside it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

BEFORE_ALL = 1.0  # second of 1970
CLOCKS_DIFFER = 1.0  # seconds by which a file system's clock may be ahead of the machine's
STAMP = ".snakemake_timestamp"


def of_output(path: Path | str) -> float:
    """The time of a path that a job makes. Raises OSError where there is none."""
    own = os.lstat(path)
    return own.st_mtime if stat.S_ISLNK(own.st_mode) else _noted(path, own)


def of_input(path: Path | str) -> float:
    """The time of a path that a job reads. Raises OSError where there is none."""
    own = os.lstat(path)
    return max(own.st_mtime, _noted(path, os.stat(path))) if stat.S_ISLNK(own.st_mode) else _noted(path, own)


def _noted(path: Path | str, status: os.stat_result) -> float:
    if stat.S_ISDIR(status.st_mode):
        with contextlib.suppress(FileNotFoundError):
            return os.stat(os.path.join(path, STAMP)).st_mtime
    return status.st_mtime


def newest(inputs: Iterable[Path]) -> float:
    """The time of the newest of the inputs that are there; 0 where none is."""
    return max((of_input(path) for path in inputs if path.exists()), default=0.0)


def oldest(outputs: Iterable[Path]) -> float:
    """The time of the oldest output."""
    return min(map(of_output, outputs))


def is_ahead(path: Path) -> bool:
    """Whether a file is dated after now: the clock was set back, or that of another machine is ahead.

    Snakemake removes what a job makes if that is older than its inputs, be it after hours of training.
    """
    return path.exists() and of_input(path) > time.time() + CLOCKS_DIFFER


def set_to(paths: Iterable[Path], when: float | None) -> None:
    """Sets files to a time, or to now. Of a link its own time is set: others may link to its target, which is
    set only where it is dated after now. Files that cannot be changed keep their times.
    """
    times = None if when is None else (when, when)
    for path in paths:
        with contextlib.suppress(OSError):
            os.utime(path, times, follow_symlinks=False)
            if (path / STAMP).is_file():
                os.utime(path / STAMP, times)
            elif path.is_symlink() and is_ahead(path):
                os.utime(path, times)
