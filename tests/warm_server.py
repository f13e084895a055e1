"""The process that tests/warm.py forks: it has imported what takes seconds, and nothing of this project.

A request on its socket is three streams and, as JSON, the arguments after `python`, the working directory and
the environment. A fork becomes that process; another waits for it and answers with its exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
import traceback
from typing import Any

import jsonschema  # noqa: F401
import pyarrow.parquet  # noqa: F401
import scipy.stats  # noqa: F401
import smart_open  # noqa: F401
import snakemake.cli
import torch

snakemake.cli.get_argument_parser()  # looks for plug-ins among all packages
PACKAGES = [*sys.path]  # started with -I: the standard library and what the environment has installed


def serve(place: str) -> dict[str, Any]:
    """Returns, in a fork, the request that it is to answer. Ends when standard input does."""
    gc.freeze()  # what the forks share is neither searched nor copied
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            client, _ = listening.accept()
            if os.fork() == 0:
                return answer(client)
            client.close()
    shutil.rmtree(os.path.dirname(place))
    os._exit(0)


def answer(client: socket.socket) -> dict[str, Any]:
    """Waits for a fork and sends its exit code; returns in the fork itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile("rb") as sent:
        request: dict[str, Any] = json.load(sent)
    if child := os.fork():
        for stream in (0, 1, 2, *streams):
            os.close(stream)  # who reads them waits for the fork alone
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(OSError):
            client.sendall(str(code).encode())
        os._exit(0)
    client.close()
    for number, (stream, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"), strict=True)):
        os.dup2(stream, number)
        os.close(stream)
        setattr(sys, name, os.fdopen(number, "w" if number else "r", 1 if name == "stderr" else -1))
    return request


def become(request: dict[str, Any]) -> None:
    """This process is as `python -m MODULE ...` would have started it."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if "RS_PARENT" in os.environ:  # which a worker dies with: of a fork, the process that waits for it
        os.environ["RS_PARENT"] = str(os.getppid())
    own = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [os.getcwd(), *own, *PACKAGES]
    sys.executable = request["python"]
    sys.argv = request["arguments"][1:]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))


def run(module: str) -> int:
    """The exit code, after all that Python does at its end but freeing memory: of torch, half a second."""
    code: Any = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


if __name__ == "__main__":
    become(received := serve(sys.argv[1]))
    os._exit(run(received["arguments"][1]))
