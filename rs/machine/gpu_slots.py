"""Which of several GPUs a process, or a job of several processes, takes: those that no other job of this user
holds. No torch.

A GPU is held by the lock of a file with its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rs.machine.device_class import A_GPU
from rs.provenance.files import cannot_write

VISIBLE = "CUDA_VISIBLE_DEVICES"
BETWEEN_LOOKS = 1.0  # seconds between looks for a GPU that no other job holds
_own: list[tuple[str, TextIO]] = []  # what the environment named before this process took a GPU, and the lock


def take_one() -> None:
    """Of several GPUs in CUDA_VISIBLE_DEVICES, leaves one there that no other job holds. It is this process's
    until it ends: CUDA reads the environment once. Call this before the first use of CUDA.
    """
    stated = os.environ.get(VISIBLE, "")
    if len(names := _named(stated)) > 1 and not _own:
        os.environ[VISIBLE], lock = free(names)
        _own.append((stated, lock))


@contextlib.contextmanager
def for_processes(count: int, gpus: int) -> Iterator[None]:
    """Holds a GPU for each of `count` processes that this one launches, if there are more: of those that
    CUDA_VISIBLE_DEVICES named, else of the machine's `gpus`. The variable then names them (the caller puts it
    back).

    One job at a time collects its GPUs: two that each held a part would wait for each other for ever.
    """
    stated = _own[0][0] if _own else os.environ.get(VISIBLE)
    names = list(map(str, range(gpus))) if stated is None else list(dict.fromkeys(_named(stated)))
    with contextlib.ExitStack() as held:
        if count < len(names):
            with _open("collects") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                taken = dict(free(names) for _ in range(count))
            for lock in taken.values():
                held.enter_context(lock)
            os.environ[VISIBLE] = ",".join(sorted(taken, key=names.index))
        elif _own:
            os.environ[VISIBLE] = _own[0][0]
        yield


def _named(stated: str) -> list[str]:
    """The GPUs that CUDA_VISIBLE_DEVICES names. CUDA ignores everything from the first entry on that is none,
    as an empty one or -1; a job that took that entry would see no GPU.
    """
    return [name.strip() for name in itertools.takewhile(A_GPU.match, stated.split(","))]


def free(names: list[str]) -> tuple[str, TextIO]:
    """The first of the GPUs that is free, as soon as one is, and its lock."""
    while True:
        for name in names:
            lock = _open(name)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return name, lock
            lock.close()
        time.sleep(BETWEEN_LOOKS)


def _open(name: str) -> TextIO:
    plain = name.replace("/", "-")
    path = Path(tempfile.gettempdir(), f"rs-gpu-{os.getuid()}-{plain}.lock")
    try:
        return open(path, "w")
    except OSError as error:
        raise cannot_write(path, error) from error
