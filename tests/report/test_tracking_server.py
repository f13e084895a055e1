"""A team's server: a real one over HTTP, one that refuses, and none."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import tracked_study
from tracked_study import NOTHING_NEW, everything, of_kind

from rs.report.tracking.sources import Sources
from rs.report.tracking.store import StoreError, open_store
from rs.report.tracking.study import log_study

pytestmark = pytest.mark.slow
STARTED = 90.0  # seconds that a server may take on a busy machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    if request.param == "postgresql":
        store = request.getfixturevalue("postgres")
    else:
        store = f"sqlite:///{folder}/mlflow.db"
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with open(folder / "log.txt", "w") as log:
        running = subprocess.Popen(
            command, cwd=folder, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True
        )
    try:
        until = time.monotonic() + STARTED
        while not answers(f"{address}/health"):
            assert running.poll() is None, (folder / "log.txt").read_text()
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.3)
        yield address
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(20)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of this test alone, where one is installed; it does not run as root."""
    missing = "no driver for PostgreSQL: pip install psycopg2-binary (the extra postgres)"
    pytest.importorskip("psycopg2", reason=missing)
    binaries = [shutil.which(name) for name in ("initdb", "pg_ctl")]
    if not all(binaries):
        pytest.skip("PostgreSQL is not installed")
    initdb, pg_ctl = map(str, binaries)
    folder = Path("/tmp") / f"rs-postgres-{os.getpid()}"
    folder.mkdir(mode=0o700)
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    data, port = str(folder / "data"), free_port()

    def run(*command: str) -> None:
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        run(initdb, "-D", data, "-U", "rs", "--auth", "trust", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run(pg_ctl, "-D", data, "-w", "-l", str(folder / "log.txt"), "-o", options, "start")
        try:
            yield f"postgresql://rs@127.0.0.1:{port}/postgres"
        finally:
            run(pg_ctl, "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def test_a_real_server_takes_a_study_with_its_artifacts_once(server: str, tmp_path: Path) -> None:
    tables = tracked_study.tables(tmp_path / "tables")
    (tmp_path / "report.html").write_text("<p>the page</p>")
    sources = Sources("What it is.", {tmp_path / "report.html": "", tables: "tables"})
    record = log_study("demo", tables, server, sources)
    first = everything(server)
    assert log_study("demo", tables, server, sources) == record | NOTHING_NEW
    assert everything(server) == first
    (study,) = of_kind(first, "study")
    with open_store(server) as client:
        experiment = client.get_experiment_by_name("demo")
        assert experiment.artifact_location.startswith("mlflow-artifacts:")
        assert Path(client.download_artifacts(study, "report.html")).read_text() == "<p>the page</p>"
        assert "tables/runs.parquet" in [f.path for f in client.list_artifacts(study, "tables")]
    (tmp_path / "report.html").write_text("<p>another</p>")
    assert log_study("demo", tables, server, sources)["written"] == []
    with open_store(server) as client:
        assert Path(client.download_artifacts(study, "report.html")).read_text() == "<p>another</p>"


class Refusing(BaseHTTPRequestHandler):
    def refuse(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b"You are not authenticated.\nSee the documentation.")

    do_GET = do_POST = refuse

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_that_refuses_or_is_not_there_is_one_line(tmp_path: Path) -> None:
    refusing = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=refusing.serve_forever, daemon=True).start()
    tables = tracked_study.tables(tmp_path / "tables")
    for port, reason in ((refusing.server_port, "not authenticated"), (free_port(), "cannot log")):
        with pytest.raises(StoreError, match=reason) as caught:
            log_study("demo", tables, f"http://user:secret@127.0.0.1:{port}")
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    refusing.shutdown()
