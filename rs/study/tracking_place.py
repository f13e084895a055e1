"""Checks a study's MLflow store, as far as is possible without a server. No torch, no MLflow.

Tracking is the last job of a study, so what would fail there is refused before any other job starts.
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from rs.errors import UserError
from rs.provenance.reading import check_file
from rs.study.study import Study

SERVERS = ("http", "https", "databricks", "databricks-uc")
DATABASES = ("postgresql", "mysql", "mssql")
PLACE = ("tracking", "uri")


def sqlite_file(uri: str) -> Path | None:
    """The database's file, relative to the working directory if given so; None for another store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def artifact_root(uri: str) -> Path | None:
    """The folder of a SQLite store's artifacts: ``a/mlflow`` of ``a/mlflow.db``; None for a server."""
    file = sqlite_file(uri)
    if file is None:
        return None
    return file.with_suffix("") if file.suffix else file.with_name(f"{file.name}-artifacts")


def same_store(first: str, second: str) -> bool:
    """Whether two addresses are one, or name one SQLite file."""
    files = [sqlite_file(uri) for uri in (first, second)]
    return first == second or (None not in files and len({os.path.realpath(str(f)) for f in files}) == 1)


def check_address(study: Study) -> None:
    """MLflow knows the store's kind, and the address is complete. Raises UserError at the key."""
    uri: str = study.tracking["uri"]
    scheme, colon, _ = uri.partition(":")
    name, _, driver = scheme.partition("+")
    if name == "sqlite" and colon:
        file = sqlite_file(uri)
        if file is None or not file.name or "?" in uri:
            study.fail(PLACE, f"{uri!r}: must be sqlite:///FILE (sqlite:////FILE for an absolute path)")
        return
    if name not in (*SERVERS, *DATABASES, "file") or (not colon and name not in SERVERS[2:]):
        allowed = "sqlite:///FILE, http(s)://SERVER, " + ", ".join(f"{d}://..." for d in DATABASES)
        study.fail(PLACE, f"{uri!r}: not the address of an MLflow store; allowed: {allowed}")
    if name in (*SERVERS[:2], *DATABASES):
        try:
            address = urlsplit(uri)
            whole = bool(address.hostname) and (address.port is None or address.port > 0)
        except ValueError:  # a port that is no number, or half of an IPv6 address
            whole = False
        if not whole:
            study.fail(PLACE, f"{without_password(uri)!r}: names no server; must be {scheme}://SERVER...")
    if driver and importlib.util.find_spec(driver.replace("-", "_")) is None:
        study.fail(PLACE, f"{scheme}: the Python package {driver} is not installed")


def check_place(study: Study) -> None:
    """The SQLite file is a database or can be created, and so can its folder. Raises UserError at the key.
    Servers are not checked.
    """
    file = sqlite_file(study.tracking["uri"])
    if file is None:
        return
    if os.path.lexists(file):
        try:
            check_file(file)
        except UserError as error:
            study.fail(PLACE, str(error))
        if not os.access(file, os.R_OK | os.W_OK):
            study.fail(PLACE, f"{file}: cannot be written: Permission denied")
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
                database.execute("PRAGMA schema_version")
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):  # a lock, say, may be gone later
                study.fail(PLACE, f"{file}: cannot be used as an MLflow store: {error}")
    folder = next(place for place in file.absolute().parents if os.path.lexists(place))
    if not folder.is_dir():
        study.fail(PLACE, f"{file}: cannot be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        study.fail(PLACE, f"{file}: cannot be written: no permission to write into {folder}")


def without_password(uri: str) -> str:
    """An address without its user and password, as it may be shown. Those of files have none."""
    head, at, tail = uri.rpartition("@")
    of_a_file = uri.startswith(("sqlite:", "file:"))
    return f"{head.partition('//')[0]}//{tail}" if at and not of_a_file else uri
