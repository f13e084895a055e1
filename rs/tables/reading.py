"""Reads a study's tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pandas as pd

from rs.provenance.files import read_table
from rs.tables.table import Row


def rows_of(frame: pd.DataFrame) -> Iterator[Row]:
    """The rows of a table as dictionaries of its columns."""
    yield from cast(list[Row], frame.rename(columns=str).to_dict("records"))


def read(tables: Path, name: str) -> pd.DataFrame:
    """``<tables>/<name>.parquet``; an empty frame where the study has no such table."""
    path = tables / f"{name}.parquet"
    return read_table(path)[0].to_pandas() if path.exists() else pd.DataFrame()
