"""A long job's output in parts, kept beside it until it is complete: a killed job continues after the last
part.

A part is valid for one job only: its file's name holds a digest of everything that determines its content.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from rs.errors import UserError
from rs.machine.progress import follow
from rs.provenance.digests import digest
from rs.provenance.files import read_table, write_table

Piece = TypeVar("Piece")


@dataclass(frozen=True)
class Parts:
    """Tables of the parts of `output`, numbered from 0. `decided_by` (JSON) is everything that determines
    them.
    """

    output: Path
    decided_by: Any

    def _path(self, number: int) -> Path:
        key = digest(self.decided_by, 16)
        return self.output.with_name(f"resume-{self.output.stem}-{key}-{number}.parquet")

    def kept(self) -> list[pa.Table]:
        """The first parts, up to one that is missing or damaged."""
        found: list[pa.Table] = []
        while (path := self._path(len(found))).is_file():
            try:
                found.append(read_table(path)[0])
            except UserError:
                print(f"{path}: damaged: made again", file=sys.stderr)
                break
        return found

    def tables(
        self, pieces: Sequence[Piece], make: Callable[[Piece], pa.Table], label: str, unit: str
    ) -> list[pa.Table]:
        """The table of every piece. Each is kept as soon as it is made, except the last: the output
        follows.
        """
        tables = self.kept()
        if tables:
            print(f"{label}: continuing after {len(tables)} of {len(pieces)} {unit}", file=sys.stderr)
        for piece in follow(pieces[len(tables) :], len(pieces), label, unit, len(tables)):
            tables.append(make(piece))
            if len(tables) < len(pieces):
                write_table(self._path(len(tables) - 1), tables[-1], {"part_of": self.output.name})
        return tables

    def remove(self) -> None:
        """Removes all parts of the output, including those of other settings or code."""
        ours = re.compile(rf"resume-{re.escape(self.output.stem)}-[0-9a-f]{{16}}-\d+\.parquet")
        for path in self.output.parent.glob("resume-*.parquet"):
            if ours.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
