"""What made this file: canonical specs and their digests, code digests, whole files with their provenance
inside.

A finished file is complete: it is written beside its place under a unique name, flushed and renamed. No
torch.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rs.interfaces import UserError

KEY = b"rs"
PACKAGES = ("rs", "torch", "torchvision", "numpy", "scipy", "pandas", "pyarrow", "snakemake")

# --- canonical specs ---


def canonical(value: Any) -> Any:
    """The same value in one form: 1.0 becomes 1, tuples become lists; dictionaries are sorted when they are
    dumped.
    """
    if isinstance(value, dict):
        return {str(k): canonical(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def dumps(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any, length: int = 8) -> str:
    """Short hexadecimal digest of the canonical form of a JSON value."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()[:length]


def file_digest(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


# --- code digests ---

# Tables of contents are every package's __init__; these modules only join or describe methods.
_OUTSIDE = {"rs.catalog", "rs.cli", "rs.interfaces", "rs.provenance"}
_ROOT = Path(__file__).resolve().parent


class _Bare(ast.NodeTransformer):
    """Drops docstrings and other string statements; comments never reach the syntax tree."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)


def _module_file(module: str) -> Path | None:
    path = _ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return path if module.startswith("rs.") and path.is_file() else None


@functools.cache
def _read_module(path: Path, mtime_ns: int) -> tuple[str, tuple[str, ...]]:
    """Digest of one file's bare syntax tree, and the in-package modules that it imports."""
    tree = _Bare().visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports.add(node.module)
            imports.update(f"{node.module}.{a.name}" for a in node.names)
    names = tuple(sorted(m for m in imports if _module_file(m) is not None))
    # unparse, not dump: its text hardly changes from one Python version to the next
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest(), names


def code_digest(modules: Iterable[str], length: int = 12) -> str:
    """Digest of the code that `modules` and their in-package imports execute, without comments and
    docstrings.

    Tables of contents, catalog, protocols and this file are outside: adding a method makes nothing stale.
    """
    todo, seen = sorted(set(modules)), {}
    while todo:
        module = todo.pop()
        path = _module_file(module)
        if module in seen or module in _OUTSIDE or path is None:
            continue
        seen[module], imports = _read_module(path, path.stat().st_mtime_ns)
        todo += imports
    return digest(sorted(seen.items()), length)


# --- provenance and whole files ---


@functools.lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@functools.lru_cache(maxsize=1)
def commit() -> str:
    """The commit of this checkout (with + where files differ from it), or nothing outside of one."""
    git = ["git", "-C", str(_ROOT.parent)]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        )
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
        return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
    return ""


def provenance(spec: Any, code: str, **more: Any) -> dict[str, Any]:
    """What every finished file carries: its spec, the digests, versions, and the stage that made it."""
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
    """Yields a unique temporary path beside `path`; renames it into place when the block ends well, else
    removes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path}: not a complete JSON file ({error}); remove it and run again") from error


def write_table(path: Path, table: pa.Table, provenance: dict[str, Any]) -> None:
    """A Parquet file with its provenance in the schema's metadata."""
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), KEY: json.dumps(provenance).encode()}
    )
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path, needs: Iterable[str] = ()) -> tuple[pa.Table, dict[str, Any]]:
    """The table and its provenance. Raises UserError for a missing, truncated or foreign file or missing
    columns.
    """
    try:
        table = pq.read_table(path, partitioning=None)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a complete Parquet file ({reason}); remove it and run again") from error
    missing = [c for c in needs if c not in table.column_names]
    if missing:
        raise UserError(f"{path}: lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    return table, json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
