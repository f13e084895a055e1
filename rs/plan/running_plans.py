"""What running processes have planned: every later plan takes their shard sizes, and nothing is removed
while they run. No torch.

Before a run's first draw no file records a size (rs.plan.shard_sizes). Two Snakemakes, or one and `rs slice`,
that start then with different sizes would draw the same images in different files. So processes that draw
plan one after another, and each writes the sizes of its plan to a file that it keeps locked until it ends.
The lock says that the process runs: a plan that was abandoned, or a dry run, binds nobody. Processes that
compute and draw nothing write such a file without sizes (`hold`).

On a file system without locks, nothing is written, and such processes draw some images twice. No image is
counted twice in any case: a certificate reads the files of one plan.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from rs.errors import UserError
from rs.plan.jobs import RESULTS
from rs.plan.shard_sizes import Kept
from rs.provenance.files import whole_file

PLACE = RESULTS / ".planned"
_HELD: list[TextIO] = []  # the files of this process; closing one would unlock it


@contextlib.contextmanager
def in_turn(draws: bool = True) -> Iterator[Callable[[Kept], None]]:
    """Inside, no other process plans draws. Yields the function that writes the sizes of this process's plan;
    for a process that does not draw, nothing is locked or written.
    """
    if not draws:
        yield lambda kept: None
        return
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(_turn())
            stack.callback(_tidy)
        for path in (path for path, _, runs in _files() if not runs):
            with contextlib.suppress(OSError):
                path.unlink()
        yield _write


def _turn() -> TextIO:
    """The locked file of whose turn it is. Raises OSError where there is no such lock."""
    path = PLACE / "turn.lock"
    for _ in range(1000):  # a working directory that is gone would be tried for ever
        with contextlib.suppress(FileNotFoundError):  # removed by who had the turn
            PLACE.mkdir(parents=True, exist_ok=True)
            turn = open(path, "w")  # noqa: SIM115
            try:
                fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("rs: waiting for another process here that is planning", file=sys.stderr)
                fcntl.flock(turn, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(turn.fileno()), os.stat(path)):
                return turn
            turn.close()
    raise FileNotFoundError(path)


def _tidy() -> None:
    """Ends this process's turn. A study that was refused leaves nothing."""
    with contextlib.suppress(OSError):
        (PLACE / "turn.lock").unlink()
        PLACE.rmdir()
        RESULTS.rmdir()


def running() -> list[Path]:
    """The files of the processes that compute here now. Their names begin with machine and process number."""
    return [path for path, _, runs in _files() if runs]


def beside(unlocking: bool = False) -> str | None:
    """One line for a Snakemake that starts, or takes locks away, while others compute here; None if none do.

    Where studies share runs, Snakemake's own error advises --unlock, as if the other process were dead.
    """
    others = list(dict.fromkeys("process {1} of {0}".format(*_owner(path)) for path in running()))
    if not others:
        return None
    compute = f"{' and '.join(others)} compute{'s' * (len(others) == 1)} here now"
    if unlocking:
        return f"{compute}: --unlock removes the locks of all studies, theirs, too"
    return f"{compute}: if Snakemake says that the directory cannot be locked, wait for it; do not --unlock"


def _owner(path: Path) -> tuple[str, str]:
    """Machine and number of the process that wrote a file."""
    machine, process, _ = path.stem.rsplit("-", 2)
    return machine, process


def hold() -> None:
    """Says, as long as this process runs, that it computes here. It draws nothing."""
    _write({})


def sizes() -> dict[tuple[Path, int, int], int]:
    """The images per shard that running processes have planned, by the keys of `Kept`."""
    planned: dict[tuple[Path, int, int], int] = {}
    for _, file, runs in _files():
        with contextlib.suppress(OSError, ValueError):
            for folder, first, step, images in json.load(file) if runs else ():
                planned.setdefault((Path(folder), first, step), images)
    return planned


def _write(kept: Kept) -> None:
    path = PLACE / f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}.json"
    rows = [(str(folder), first, step, shards.images) for (folder, first, step), shards in kept.items()]
    with contextlib.suppress(UserError), whole_file(path) as temporary:
        _HELD.append(held := open(temporary, "w"))  # noqa: SIM115
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # before its name is there
        json.dump(rows, held)
        held.flush()


def _files() -> Iterator[tuple[Path, TextIO, bool]]:
    """The files of plans, open, and whether the process that wrote each still runs."""
    for path in sorted(PLACE.glob("*.json")):
        with contextlib.suppress(OSError), open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                runs = False
            except BlockingIOError:
                runs = True
            yield path, file, runs
