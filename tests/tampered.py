"""Results of the tiny study that a test may damage, and what is said of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_study import Workspace

from rs.errors import UserError
from rs.provenance.files import read_table, write_table
from rs.tables.aggregate import aggregate, check_tables


def refusal(read: Callable[[], Any], path: Path) -> str:
    """What `read` says of the damaged `path`: one line that begins with its name and says what to do."""
    with pytest.raises(UserError) as caught:
        read()
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert "remove " in message
    return message


def tables_of(space: Workspace) -> dict[str, list[dict[str, Any]]]:
    with contextlib.chdir(space.folder):
        aggregate(space.plan, space.plan.tables, "code")
        check_tables(space.plan)
        return {path.stem: read_table(path)[0].to_pylist() for path in space.plan.table_files()}


def edited(path: Path, **columns: Any) -> None:
    """Writes the file again, well formed and sealed, with other values in its first row."""
    table, provenance = read_table(path)
    for name, value in columns.items():
        values = table.column(name).to_pylist()
        values[0] = value
        table = table.set_column(table.column_names.index(name), name, [values])
    write_table(path, table, provenance)
