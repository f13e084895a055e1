"""A `python -m MODULE` for tests that has imported torch and Snakemake before it starts.

It is a fork of a process that has (tests/warm_server.py), which takes seconds less. For processes that end by
themselves and whose start is not what is tested: signals and limits do not reach them, and an import that is
missing might not be noticed. Tests of these start processes anew (`sys.executable`).
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIENT = """\
import json, os, socket, sys
place = sys.argv[1]
with socket.socket(socket.AF_UNIX) as server:
    server.connect(place + "/socket")
    socket.send_fds(server, [b"0"], [0, 1, 2])
    facts = {"python": place + "/python", "arguments": sys.argv[2:], "folder": os.getcwd()}
    server.sendall(json.dumps(facts | {"environment": dict(os.environ)}).encode())
    server.shutdown(socket.SHUT_WR)
    code = int(server.recv(20) or 1)
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def compiling_once() -> dict[str, str]:
    """This environment, except that Python keeps what it compiles: else each of a study's processes compiles
    this package again.
    """
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


@functools.cache
def warm_python() -> str:
    """A command for `-m MODULE ...`, whose processes are forks of one that ends with this process."""
    if sys.platform != "linux":  # elsewhere libraries do not survive a fork
        return sys.executable
    place = Path(tempfile.mkdtemp(prefix="rs-warm-"))  # a short path, as sockets need
    (place / "client.py").write_text(CLIENT)
    command = [sys.executable, "-IS", str(place / "client.py"), str(place)]
    (place / "python").write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    (place / "python").chmod(0o755)
    server = [sys.executable, "-I", str(Path(__file__).with_name("warm_server.py")), str(place / "socket")]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # torch's libraries read it once, when they load
    running = subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=one_thread)
    while not (place / "socket").exists():
        assert running.poll() is None, "the server has ended"
        time.sleep(0.02)
    return str(place / "python")
