"""Files that say what made them: complete files with their provenance inside.

A finished file is complete: it is written beside its place under a unique name, flushed and renamed. Parquet
and JSON files carry a checksum of all their bytes (rs.provenance.checksums), compared whenever they are read.
No torch.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib.metadata
import io
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs import __version__
from rs.errors import UserError
from rs.provenance import checksums
from rs.provenance.digests import canonical, digest
from rs.provenance.reading import JSON, read_bytes
from rs.settings.plugins import plug_ins

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"rs"

ADVICE = "remove it and run again"

PART = ".part"  # suffix of a file that is being written

_CHECKOUT = Path(__file__).resolve().parents[2]
_CODE = ("rs", "Snakefile", "workflow")  # what decides results in a checkout; studies are in files whole

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "pyarrow", "snakemake")

# --- provenance and whole files ---


@functools.lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "rs": __version__}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found | {p.distribution: p.version for p in plug_ins()}


@functools.lru_cache(maxsize=1)
def commit() -> str:
    """The commit of this checkout (with + if its code differs from it), or nothing outside of a checkout. The
    repository around an installed package, as that of a project whose environment holds it, is none: it
    tracks no code of ours.
    """

    def git(*arguments: str) -> str:
        # without optional locks: jobs must not hold the index while somebody commits
        command = ["git", "--no-optional-locks", "-C", str(_CHECKOUT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        git("ls-files", "--error-unmatch", "--", _CODE[0])
        edited = "+" if git("status", "--porcelain", "--", *_CODE) else ""
        return git("rev-parse", "--short=12", "HEAD") + edited
    return ""


_INPUTS: ContextVar[str | None] = ContextVar("inputs", default=None)
_BEGUN: ContextVar[float | None] = ContextVar("begun", default=None)


@contextlib.contextmanager
def made_from(inputs: str) -> Iterator[None]:
    """Within this context, files carry this digest of their inputs (rs.plan.staleness)."""
    token = _INPUTS.set(inputs)
    try:
        yield
    finally:
        _INPUTS.reset(token)


@contextlib.contextmanager
def timed() -> Iterator[None]:
    """Within this context, files carry the seconds from its beginning to their completion."""
    token = _BEGUN.set(time.monotonic())
    try:
        yield
    finally:
        _BEGUN.reset(token)


def provenance(spec: Any, code: str, **more: Any) -> dict[str, Any]:
    """The provenance of every finished file: its spec, the digests, versions, and the stage that made it."""
    inputs, begun = _INPUTS.get(), _BEGUN.get()
    more |= {} if inputs is None else {"inputs": inputs}
    more |= {} if begun is None else {"seconds": round(time.monotonic() - begun, 2)}
    return {
        "spec": canonical(spec),
        "spec_digest": digest(spec),
        "code_digest": code,
        "versions": versions(),
        "commit": commit(),
        "command": " ".join(["rs", *sys.argv[1:2]]),
        **more,
    }


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a unique temporary path beside `path`. Renames it into place if the block succeeds, removes it
    otherwise. Raises UserError where the place is not writable.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # the mode follows the umask, unlike tempfile's
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> UserError:
    """The error for a file that could not be written; names the file that stands where a folder should be."""
    reason = error.strerror or str(error)
    for place in (*reversed(path.parents), path):
        if os.path.islink(place) and not os.path.exists(place):
            reason = f"{place} is a link to something that is not there"
        elif place != path and os.path.exists(place) and not os.path.isdir(place):
            reason = f"{place} is not a folder"
    return UserError(f"{path}: cannot be written: {reason}")


def make_folder(folder: Path, file: str) -> None:
    """Makes a folder for `file` and others. Raises UserError, before the work, if none can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise cannot_write(folder / file, error) from error


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds the lock of the folder itself, which leaves no file; none where the file system has no locks."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            opened = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, opened)
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def write_text(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes a JSON file with its checksum."""
    text = json.dumps({**value, checksums.KEY: checksums.BLANK}, indent=1, sort_keys=True) + "\n"
    with whole_file(path) as temporary:
        temporary.write_bytes(checksums.seal(text.encode()))


def read_json(path: Path) -> Any:
    """The content of a JSON file. A dictionary without "checksum" comes from before checksums, or from
    others. Raises UserError for a file that is missing, incomplete, damaged or edited.
    """
    content = read_bytes(path, JSON)
    try:
        value = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a complete JSON file ({error}); {ADVICE}") from error
    if checksums.broken(content) or checksums.lost(content, value):
        raise _differs(path)
    return value


def write_table(path: Path, table: pa.Table, provenance: dict[str, Any]) -> None:
    """Writes a Parquet file with its provenance and checksum in the metadata."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    # store the provenance once: in the schema's metadata it would be stored a second time, in base64
    metadata = {k: v for k, v in (table.schema.metadata or {}).items() if k != KEY}
    table = table.replace_schema_metadata(metadata or None)
    with pq.ParquetWriter(buffer, table.schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: json.dumps({**provenance, checksums.KEY: checksums.BLANK})})
    with whole_file(path) as temporary:
        temporary.write_bytes(checksums.seal(buffer.getvalue()))


def read_table(path: Path, needs: Iterable[str] = ()) -> tuple[pa.Table, dict[str, Any]]:
    """The table and its provenance, which lacks "checksum" in files from before checksums.

    Raises UserError for a file that is missing, truncated, damaged or foreign, and for missing columns.
    """
    table, provenance = _parquet(path, rows=True)
    missing = [c for c in needs if c not in table.column_names]
    if missing:
        raise UserError(f"{path}: lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; {ADVICE}")
    return table, provenance


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance of a Parquet file without reading its rows, in a third of the time. Raises UserError as
    `read_table` does.
    """
    return _parquet(path, rows=False)[1]


def _parquet(path: Path, rows: bool) -> tuple[pa.Table, dict[str, Any]]:
    """The table, or None without `rows`, and the provenance."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = read_bytes(path)
    if checksums.broken(content):
        raise _differs(path)
    try:
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
            table, metadata = file.read() if rows else None, file.metadata.metadata or {}
        provenance = json.loads(metadata.get(KEY, b"{}"))
    except Exception as error:  # a damaged file can make pyarrow raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path}: not a complete Parquet file ({reason}); {ADVICE}") from error
    if checksums.lost(content, provenance):
        raise _differs(path)
    return table, provenance if isinstance(provenance, dict) else {}


def _differs(path: Path) -> UserError:
    return UserError(f"{path}: damaged or edited: it differs from its checksum; {ADVICE}")
