"""A study's tables, read back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rs.provenance.files import read_table


def read(tables: Path, name: str) -> pd.DataFrame:
    """``<tables>/<name>.parquet``; an empty frame where the study has no such table."""
    path = tables / f"{name}.parquet"
    return read_table(path)[0].to_pandas() if path.exists() else pd.DataFrame()
