"""Another study of the same name: each would replace the other's tables, page and MLflow runs. No torch.

A copy of a study whose `name` was forgotten is told apart from the same study under other overlays or in
another place: its first file is another one, and the former files are still there and still state the name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.plan import started_studies
from rs.plan.plan import Plan
from rs.provenance.files import read_provenance
from rs.study.rerun import files_of, stated
from rs.study.yaml_file import read_yaml


def sentences(plan: Plan) -> Iterator[str]:
    """A sentence per other file of this study's name, of those that made the tables in its place or were
    begun there.
    """
    own = stated(plan.study.files)
    others = {files[0]: files for files in _of_this_name(plan) if files and own}
    for other, files in others.items():
        with contextlib.suppress(UserError, OSError):
            if not other.samefile(own[0]) and _name(files) == plan.study.name:
                name, shared = plan.study.name, "tables, page and MLflow runs"
                yield (
                    f"{own[0]}: name: {name} is the name of {other}, too: each replaces the other's {shared} "
                    f"in {plan.folder}; give one of them another name"
                )


def _of_this_name(plan: Plan) -> Iterator[Sequence[Path]]:
    """Files, with overlays, of the studies that made the tables in the place of this one or began there."""
    with contextlib.suppress(UserError):
        yield files_of(read_provenance(plan.table_files()[0]))
    for path in started_studies.records():
        with contextlib.suppress(UserError):
            found = started_studies.read(path)
            if path == started_studies.place(plan.study.name, found):
                yield files_of(found)


def _name(files: Sequence[Path]) -> Any:
    """The name that a study's files state; a later file overrides an earlier one."""
    return next((name for file in reversed(files) if (name := read_yaml(file).get("name")) is not None), None)
