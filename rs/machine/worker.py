"""A job of the workflow as a process: it dies with its parent process, and writes a log."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

from rs.machine import launching
from rs.provenance.files import cannot_write


class Tee:
    """Standard error that is also written to the rule's log."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        self._log.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._log.flush()
        self._stream.flush()

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
