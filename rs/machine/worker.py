"""A job of the workflow as a process: it dies with its parent process, and writes a log."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from pathlib import Path
from typing import TextIO

from rs.machine import launching
from rs.provenance.files import cannot_write


class Tee:
    """Standard error that is also written to the rule's log. Where a full disk or a closed terminal takes one
    of the two, the other has the line, and a line of progress ends no job.
    """

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._both = log, stream

    def write(self, text: str) -> int:
        for place in self._both:
            with contextlib.suppress(OSError, ValueError):  # ValueError: closed, as at the end
                place.write(text)
        return len(text)

    def flush(self) -> None:
        for place in self._both:
            with contextlib.suppress(OSError, ValueError):
                place.flush()

    def isatty(self) -> bool:
        return False


def become_worker(log: Path) -> None:
    """For a job of the workflow: die with the parent process, write a log, show no progress bar."""
    launching.die_with_parent(int(os.environ.get("RS_PARENT", os.getppid())))
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        log_to(log)
    except OSError as error:
        raise cannot_write(log, error) from error
    os.environ["RS_LOG"] = str(log)  # for the processes that this one launches


def is_worker() -> bool:
    """Whether this process is a job of the workflow."""
    return isinstance(sys.stderr, Tee)


def log_to(log: Path) -> None:
    """Standard error goes to the log too, in UTF-8 whatever the locale; file names may be no text in it."""
    file = open(log, "a", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    sys.stderr = Tee(sys.stderr, file)
    atexit.register(_close, file)


def _close(log: TextIO) -> None:
    """Closes a log. Left to Python's end, what a full disk did not take would be an error of its own."""
    with contextlib.suppress(OSError):
        log.close()
