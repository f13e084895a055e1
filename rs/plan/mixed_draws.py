"""Finds draws of one run from two device classes before computing; they cannot be merged. No torch.

The class that the study pins counts, or else the class of most of the run's draw files. Only files of another
class are stale. A job on a device of another class refuses before its first vote.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rs.errors import UserError
from rs.machine import device_class
from rs.plan.plan import Plan
from rs.plan.staleness import forget
from rs.provenance.accepted_code import counts_as
from rs.provenance.files import KEY

MOST_LOOKED_AT = 64  # neighbouring files that one job reads


def _provenance_of(path: Path) -> dict[str, Any]:
    """A draw file's provenance, from its metadata; empty where it cannot be read."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
        provenance = json.loads(metadata.get(KEY, b"{}"))
    except (OSError, ValueError, pa.ArrowException):  # the stage that reads the votes says what is wrong
        return {}
    return provenance if isinstance(provenance, dict) else {}


def class_of(path: Path, code: str) -> str | None:
    """The device class of a draw file made by `code`, or by code accepted as equal; else None."""
    provenance = _provenance_of(path)
    ours = code in counts_as(path, str(provenance.get("code_digest")))
    name = provenance.get("device_class") if ours else None
    return name if isinstance(name, str) else None


def check(target: Path, code: str, here: str, pinned: str | None, selection: Path | None = None) -> None:
    """Raises UserError where votes drawn `here` into `target` would not merge with the run's other draws, or
    with the `selection` votes that precede them.
    """
    if pinned is not None:
        if pinned != here:
            problem = f"sampling.device_class asks for {pinned}, and this device is {here}"
            raise UserError(f"{target}: {problem}; run it on such a device, or change the setting")
        return
    neighbours = (path for path in target.parent.parent.glob("*/*.parquet") if path != target)
    classes = Counter(class_of(path, code) for path in itertools.islice(neighbours, MOST_LOOKED_AT))
    if selection is not None:
        classes[_provenance_of(selection).get("device_class")] += MOST_LOOKED_AT
    del classes[None]
    if classes and classes.most_common(1)[0][0] != here:
        theirs = classes.most_common(1)[0][0]
        problem = f"the run's draws are of {theirs}, and this device is {here}: their votes would not merge"
        raise UserError(f"{target}: {problem}; run it on such a device, or set sampling.device_class: {here}")


@dataclass(frozen=True)
class Draws:
    """The draw files of a run under one noise: how many are needed, and those that exist, by class."""

    label: str
    files: int
    there: dict[str, list[Path]]
    pinned: str | None
    here: str

    @property
    def kept(self) -> str | None:
        """The device class that all draw files must have."""
        most = max(self.there, key=lambda name: len(self.there[name]), default=None)
        return self.pinned or most

    @property
    def others(self) -> list[Path]:
        return [path for name, paths in self.there.items() if name != self.kept for path in paths]

    def sentences(self) -> Iterator[str]:
        """Sentences to show before computing."""
        missing = self.files - len(self.there.get(self.kept or "", ()))
        if self.others:
            names = ", ".join(name for name in self.there if name != self.kept)
            start = f"{self.label}: {len(self.others)} of {self.files} draw files are of {names}"
            yield f"{start} and will be drawn again"
        if self.kept not in (None, self.here) and missing:
            why = "sampling.device_class asks for" if self.pinned else "its other draw files are of"
            start = f"{self.label}: {why} {self.kept}, and votes of this machine, {self.here}, do not merge"
            yield f"{start}; draw the {missing} missing there, or set sampling.device_class: {self.here}"


def draws_of(plan: Plan) -> Iterator[Draws]:
    """The draws of every active run and noise without certificates yet. Certified draws had one class; of
    other runs only the networks are needed.
    """
    jobs_of_runs = ((planned, job) for planned in plan.runs for job in plan.of_run(planned.id))
    for planned, certify in jobs_of_runs:
        if certify.stage != "certify" or certify.outputs["certified"].exists():
            continue
        files = certify.reads()
        jobs = [plan.maker(path) for path in files]
        there: dict[str, list[Path]] = {}
        for path, job in zip(files, jobs, strict=True):
            name = class_of(path, job.code) if path.is_file() else None
            if name is not None:
                there.setdefault(name, []).append(path)
        here = device_class.here(jobs[0].device)
        yield Draws(planned.run.label, len(files), there, jobs[0].device_class, here)


def settle(plan: Plan) -> list[str]:
    """Makes draw files of another class stale; returns sentences to show before computing."""
    sentences: list[str] = []
    for draws in draws_of(plan):
        sentences += draws.sentences()
        forget(draws.others)
    return sentences
