"""A job in several processes of this machine, started by torchrun; one line if one of them fails.

Every process runs the same command with the same job. An error that ends a process goes, with its traceback,
into the file that torchrun names. So the launching process can report it once, without the lost connections
of the other processes that follow from it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from rs.errors import UserError
from rs.machine import gpu_slots

USER_ERROR = f"{UserError.__name__}: "


def die_with_parent(parent: int) -> None:
    """Ends this process when its parent ends, or at once if the parent is no longer `parent`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # the parent died before prctl
            os._exit(1)


def launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def torchrun(stage: str, job: dict[str, Any]) -> None:
    """Runs `rs STAGE --job JOB` in the job's number of processes and waits for them.

    Raises UserError if a process raised one or left no error, RuntimeError with the traceback of any other.
    """
    import torch
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    place = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", str(job["processes"])]
    quiet = ["--local-ranks-filter", "0", "--monitor-interval", "0.1"]
    arguments = run.parse_args([*place, *quiet, "-m", "rs", stage, "--job", json.dumps(job)])
    before = dict(os.environ)
    os.environ.setdefault("OMP_NUM_THREADS", str(job.get("threads", 1)))  # torchrun warns without it
    os.environ["RS_PARENT"] = str(os.getpid())
    logging.disable(logging.ERROR)  # torchrun's log; errors are raised below
    gpus = 0 if job.get("device") == "cpu" else torch.cuda.device_count()
    try:
        with gpu_slots.for_processes(job["processes"], gpus):
            run.run(arguments)
    except SignalException:  # Ctrl-C: the processes are ended, and one line is enough
        raise KeyboardInterrupt from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        entry = failure.error_file_data["message"]
        if not isinstance(entry, dict):  # it left no error: the system ended it, for lack of memory say
            how = failure.signal_name() if failure.exitcode < 0 else f"exit code {failure.exitcode}"
            raise UserError(f"{stage}: process {rank} of {job['processes']} ended by {how}") from None
        message, trace = entry.get("message", ""), entry.get("extraInfo", {}).get("py_callstack", "")
        if message.startswith(USER_ERROR):
            raise UserError(message.removeprefix(USER_ERROR)) from None
        raise RuntimeError(
            f"process {rank} of {job['processes']} ended with exit code {failure.exitcode}\n{trace}"
        ) from None
    finally:
        logging.disable(logging.NOTSET)
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def member() -> Iterator[None]:
    """For one of the processes: it dies with the launcher and leaves its errors to the launcher to report."""
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    if "RS_PARENT" in os.environ:  # absent if a user called torchrun
        die_with_parent(int(os.environ["RS_PARENT"]))
    try:
        yield
    except Exception as error:
        get_error_handler().record_exception(error)
        raise SystemExit(1) from None
