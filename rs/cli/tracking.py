"""`rs track`, `rs follow` and `rs ui`: log a study to its MLflow store, and open the store in a browser.

In the workflow an unreachable store costs one line: all results exist, and the next call of Snakemake logs
them. For a person who calls the verb it is an error.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from typing import Any

from rs.cli.plans import plan_of
from rs.errors import UserError, plural
from rs.machine.worker import is_worker
from rs.plan.logged import NOT_LOGGED, record_file, unlogged
from rs.plan.plan import Plan
from rs.plan.staleness import page_inputs
from rs.provenance.files import ADVICE, made_from, provenance, read_json, write_json
from rs.settings.limits import LARGEST
from rs.study.tracking_place import same_store, sqlite_file, without_password


def track(plan: Plan) -> None:
    """Logs the study and writes to ``mlflow.json`` where it is, or that it is still to be logged. Tells a
    person what was new.
    """
    from rs.report.tracking.sources import sources
    from rs.report.tracking.store import StoreError
    from rs.report.tracking.study import log_study
    from rs.tables.aggregate import check_tables

    check_tables(plan)
    uri, study = plan.study.tracking["uri"], plan.study.name
    tell_environment(uri)
    try:
        record: dict[str, Any] = log_study(study, plan.tables, uri, sources(plan))
        with made_from(page_inputs(plan)):
            record["provenance"] = provenance("mlflow.json", plan.code("track"))
    except StoreError as error:
        if not is_worker():
            raise
        print(f"rs: not logged: {error}; the same command logs it when the store is back", file=sys.stderr)
        record = {"uri": without_password(uri), NOT_LOGGED: str(error)}
    write_json(record_file(plan), record)
    if not is_worker():
        print(f"{_news(record)}: {record['uri']}")


def _news(record: dict[str, Any]) -> str:
    """`3 runs written, 1 run updated`."""
    parts = [f"{plural(len(record[how]), 'run')} {how}" for how in ("written", "updated") if record[how]]
    return ", ".join(parts) or "nothing new"


def tell_environment(uri: str) -> None:
    """A line where MLflow's own variable names another store than the study's `uri`, which is used."""
    other = os.environ.get("MLFLOW_TRACKING_URI", "")
    if other and not same_store(other, uri):
        shown, used = without_password(other), without_password(uri)
        print(f"rs: MLFLOW_TRACKING_URI={shown}: not used; tracking.uri is {used}", file=sys.stderr)


def follow(args: argparse.Namespace) -> None:
    """Logs the curves of trainings in progress, until all have ended or the user interrupts."""
    from rs.report.tracking.live import Live

    plan, every = plan_of(args), args.every
    if not 0 < every <= LARGEST:
        raise UserError(f"follow: --every: must be a number of seconds above 0 and at most {LARGEST}")
    trained = [planned for planned in plan.runs if planned.run.trained]
    runs = {p.id: (p.title, p.folder) for p in trained}
    print(
        f"following {plural(len(runs), 'training')} until each has its network (Ctrl-C ends it)", flush=True
    )
    tell_environment(plan.study.tracking["uri"])
    live = Live(plan.study.name, plan.study.tracking["uri"], runs)
    while live.look():
        time.sleep(every)


def tracked_page(plan: Plan) -> str:
    """The part of the MLflow UI's address that shows a study's runs."""
    path = plan.existing(record_file(plan))
    record = read_json(path)
    if why := unlogged(plan):
        raise UserError(f"{path}: {why}")
    page = record.get("fragment") if isinstance(record, dict) else None
    if not isinstance(page, str) or "uri" not in record:
        raise UserError(f"{path}: does not say where this study was logged; {ADVICE}")
    return page


def check_port(port: int) -> None:
    """Raises UserError where no server can listen at this port of the local address."""
    if not 0 < port < 65536:
        raise UserError(f"ui: --port {port}: must be a whole number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, right after another one
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(f"ui: --port {port}: {reason}; choose another one") from error


def ui(args: argparse.Namespace) -> None:
    """Serves a SQLite store until interrupted, and prints the address of the study's runs (the UI starts
    empty). For a server, only the address is printed.
    """
    plan, port = plan_of(args), args.port
    page, uri = tracked_page(plan), plan.study.tracking["uri"]
    tell_environment(uri)
    if sqlite_file(uri) is None and uri.startswith(("http://", "https://")):
        print(f"{without_password(uri).rstrip('/')}/{page}")
        return
    check_port(port)
    print(f"http://127.0.0.1:{port}/{page}", flush=True)
    print(
        "rs: the server starts, and answers there in some seconds; Ctrl-C ends it",
        file=sys.stderr,
        flush=True,
    )
    os.environ |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
    os.execv(sys.executable, [*server, "--port", str(port), "--backend-store-uri", uri])
