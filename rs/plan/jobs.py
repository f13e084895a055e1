"""What a plan is made of: jobs with specs and files, runs with their observations, readable ids. No torch."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs.errors import UserError
from rs.plan.stages import Stage, stage_named
from rs.provenance.digests import dumps
from rs.provenance.known_code import known_digest

if TYPE_CHECKING:
    from rs.study.study import Run

RESULTS = Path("results")
LONGEST = 150  # letters of a slug: with digest, ending and what a half-written file is called, below 255


def slug(*parts: Any) -> str:
    """Readable part of an id: [a-z0-9-]+, with 0.25 written 0p25; cut where it is long."""
    text = "-".join(str(int(p) if isinstance(p, float) and p.is_integer() else p) for p in parts)
    text = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(\d)\.(\d)", r"\1p\2", text.lower())).strip("-")
    return text[:LONGEST].strip("-")


def noise_slug(noise: dict[str, Any]) -> str:
    return slug(noise["name"], *(v for k, v in sorted(noise.items()) if k != "name"))


def describe(noise: dict[str, Any]) -> str:
    """`gaussian sigma=0.25`."""
    return " ".join([noise["name"], *(f"{k}={v}" for k, v in sorted(noise.items()) if k != "name")])


@dataclass
class Job:
    """One stage's work on one target: what enters its digest (`spec`, `code`) and where its files lie."""

    stage: str
    spec: dict[str, Any]
    methods: tuple[str, ...]  # the classes of its methods, as "module:name"
    run: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)  # paths, {name: path}, and what says where paths lie
    outputs: dict[str, Path] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1
    processes: int = 1
    workers: int = 4  # of each process, to decode images
    device_class: str | None = None  # that it must compute on (rs.machine.device_class)
    data_dir: str | None = None  # where the user's own files are, for the stage that reads them
    digest_code: Callable[[tuple[str, ...]], str] = known_digest  # its plan's, which asks once for each

    @functools.cached_property
    def declared(self) -> Stage:
        return stage_named(self.stage)

    @property
    def target(self) -> Path:
        """The file by which it is found."""
        return next(iter(self.outputs.values()))

    @property
    def params(self) -> str:
        """The one tracked parameter of its rule: canonical JSON of its spec."""
        return dumps(self.spec)

    @property
    def executes(self) -> tuple[str, ...]:
        """What its code digest is taken over."""
        return (*self.declared.code_of(self.spec), *self.methods)

    @functools.cached_property
    def code(self) -> str:
        return self.digest_code(self.executes)

    def check_files(self) -> None:
        """Raises UserError where its inputs and outputs are not those of its stage's record."""
        record = self.declared
        if {*self.outputs} != {*record.outputs}:
            raise UserError(f"stage {self.stage}: outputs must be {', '.join(record.outputs)}")
        if unknown := self.inputs.keys() - {*record.known}:
            known = ", ".join(record.known) or "none"
            raise UserError(f"stage {self.stage}: inputs: unknown {min(unknown)}; allowed: {known}")

    def _files(self, keys: tuple[str, ...]) -> Iterator[Path]:
        for value in (self.inputs[key] for key in keys if key in self.inputs):
            found = value.values() if isinstance(value, dict) else [value]
            yield from (path for path in found if isinstance(path, Path))

    @functools.cached_property
    def _read(self) -> tuple[Path, ...]:
        more = self.declared.reads
        return (*self._files(self.declared.inputs), *(more(self.spec, self.inputs) if more else ()))

    def reads(self) -> list[Path]:
        """The files whose content it is made from, without those that a manifest speaks for."""
        return list(self._read)

    def needs(self) -> list[Path]:
        """Every file that must be there before it starts."""
        return [*self.reads(), *self._files(self.declared.beside)]

    def follows(self) -> list[Path]:
        """The files whose makers are above it; of files that the spec names, which share their code, first
        and last.
        """
        named = self.declared.reads(self.spec, self.inputs) if self.declared.reads else []
        return [*self._files(self.declared.follows), *named[:1], *named[-1:]]


@dataclass
class Observation:
    """One run smoothed with one noise: its draws, certified radii and attacks."""

    noise: dict[str, Any]
    certified: Path | None
    attacks: list[Path]
    distributional: Path | None = None
    form: Path | None = None  # that had to be tried out


@dataclass
class PlannedRun:
    """A run and the jobs that it wants. `network` names its network and the folder, which runs share that
    differ in how they vote. `id` is its own, in tables and MLflow: the network's, or with a digest behind it
    (rs.plan.sharing).
    """

    run: Run
    network: str
    spec: dict[str, Any]
    id: str = ""
    observations: list[Observation] = field(default_factory=list)
    calibration: Path | None = None
    inputs: dict[str, Any] = field(default_factory=dict)  # of what observes it: model, data, form
    classes: tuple[str, ...] = ()  # of the network, as "module:name"
    denoisers: tuple[Run, ...] = ()  # in the network, if it is joined of others
    source: PlannedRun | None = None  # whose draws its own start from

    def __post_init__(self) -> None:
        self.id = self.id or self.network

    @property
    def folder(self) -> Path:
        return RESULTS / "runs" / self.network


@dataclass(frozen=True)
class PlannedLog:
    """A certification log beside the runs; `claim` holds what a certified file says of every image."""

    label: str
    id: str
    path: Path
    noise: dict[str, Any]
    claim: dict[str, Any]
