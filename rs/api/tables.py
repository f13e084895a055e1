"""`rs.read`: the tables of a study as data frames. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rs.errors import UserError
from rs.provenance.files import read_table

if TYPE_CHECKING:
    import os

    import pandas as pd


def read(place: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """The tables of a study by name, as docs/tables.md describes them: `rs.read("results/demo")["runs"]`.

    `place` is the study's folder, its folder of tables, or a single Parquet file written by rs. Every file is
    compared with its checksum. Raises UserError where there is no table, or a damaged one.
    """
    try:
        path = Path(place)
    except TypeError as error:
        raise UserError(f"read: a {type(place).__name__}; give the folder of a study that ran") from error
    if path.is_file():
        if path.suffix != ".parquet":
            raise UserError(f"read: {path}: no table (*.parquet); give the folder of a study that ran")
        files = [path]
    else:
        folder = path / "tables" if (path / "tables").is_dir() else path
        files = sorted(folder.glob("*.parquet"))
    if not files:
        problem = "no such folder" if not path.exists() else "no tables in it (tables/*.parquet)"
        raise UserError(f"read: {path}: {problem}; give the folder of a study that ran, as results/demo")
    return {file.stem: read_table(file)[0].to_pandas() for file in files}
