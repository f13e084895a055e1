"""The parts of a plan: jobs with specs and files, runs with their observations, readable ids. No torch."""

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
LONGEST = 150  # characters of a slug; with digest, ending and a half-written file's mark below 255


def slug(*parts: Any) -> str:
    """The readable part of an id: [a-z0-9-]+, with 0.25 written 0p25, and at most LONGEST characters."""
    text = "-".join(str(int(p) if isinstance(p, float) and p.is_integer() else p) for p in parts)
    text = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(\d)\.(\d)", r"\1p\2", text.lower())).strip("-")
    return text[:LONGEST].strip("-")


def noise_slug(noise: dict[str, Any]) -> str:
    return slug(noise["name"], *(v for k, v in sorted(noise.items()) if k != "name"))


@dataclass
class Job:
    """One stage's work on one target: its specification and code, which enter digests, and its files."""

    stage: str
    spec: dict[str, Any]
    methods: tuple[str, ...]  # the classes of its methods, as "module:name"
    run: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)  # paths, {name: path}, and places of paths
    outputs: dict[str, Path] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1
    processes: int = 1
    workers: int = 4  # of each process, for decoding images
    device_class: str | None = None  # the class it must compute on (rs.machine.device_class)
    data_dir: str | None = None  # folder of the user's own files, for the stage that reads them
    digest_code: Callable[[tuple[str, ...]], str] = known_digest  # the plan's: computes each digest once

    @functools.cached_property
    def declared(self) -> Stage:
        return stage_named(self.stage)

    @property
    def target(self) -> Path:
        """The first output, by which the job is found."""
        return next(iter(self.outputs.values()))

    @property
    def log(self) -> Path:
        """Its log, which no other job has: Snakemake (whose rules name it) and `rs slice` write the same one.

        `log/STAGE-TARGET.txt` in the run's folder, without the target where a run has one job of the stage;
        draws are many and have a folder of their own. A data set has one job.
        """
        kind, name, *below = self.target.relative_to(RESULTS).with_suffix("").parts
        folder = RESULTS / kind / name
        if kind == "data":
            return folder / "log.txt"
        own = "-".join(below[1:])  # below[0] is the folder of the stage's files
        if self.stage == "sample":
            return folder / "log" / self.stage / f"{own}.txt"
        return folder / "log" / ("-".join(filter(None, (self.stage, own))) + ".txt")

    @property
    def params(self) -> str:
        """The tracked parameter of the job's rule: canonical JSON of its spec."""
        return dumps(self.spec)

    @property
    def executes(self) -> tuple[str, ...]:
        """The places ("module:name") that its code digest covers."""
        return (*self.declared.code_of(self.spec), *self.methods)

    @functools.cached_property
    def code(self) -> str:
        return self.digest_code(self.executes)

    def check_files(self) -> None:
        """Raises UserError where inputs or outputs are not those that its stage's record declares."""
        record = self.declared
        if {*self.outputs} != {*record.outputs}:
            raise UserError(f"stage {self.stage}: outputs must be {', '.join(record.outputs)}")
        if unknown := self.inputs.keys() - {*record.known}:
            known = ", ".join(record.known) or "none"
            raise UserError(f"stage {self.stage}: inputs: unknown {min(unknown)}; allowed: {known}")

    def _files(self, keys: tuple[str, ...]) -> Iterator[Path]:
        for value in (self.inputs[key] for key in keys if key in self.inputs):
            files = value.values() if isinstance(value, dict) else [value]
            yield from (path for path in files if isinstance(path, Path))

    @functools.cached_property
    def _read(self) -> tuple[Path, ...]:
        more = self.declared.reads
        return (*self._files(self.declared.inputs), *(more(self.spec, self.inputs) if more else ()))

    def reads(self) -> list[Path]:
        """The files from whose content the job is made, without those that a manifest vouches for."""
        return list(self._read)

    def needs(self) -> list[Path]:
        """All files that must exist before the job starts."""
        return [*self.reads(), *self._files(self.declared.beside)]

    def follows(self) -> list[Path]:
        """The files whose makers enter the job's lineage. Of the files that the spec names, only the first
        and the last: they share their code.
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
    form: Path | None = None  # of a form that a job tries out


@dataclass
class PlannedRun:
    """A run and the jobs that it needs.

    `network` names its network and its folder; runs that differ only in how they vote share both. `id` is the
    run's own, in tables and MLflow: that of the network, if need be followed by a digest (rs.plan.sharing).
    """

    run: Run
    network: str
    spec: dict[str, Any]
    id: str = ""
    observations: list[Observation] = field(default_factory=list)
    calibration: Path | None = None
    inputs: dict[str, Any] = field(default_factory=dict)  # of the jobs that observe it: model, data, form
    classes: tuple[str, ...] = ()  # of the network, as "module:name"
    denoisers: tuple[Run, ...] = ()  # the denoisers in a joined network
    source: PlannedRun | None = None  # the run whose draws this run's draws start from

    def __post_init__(self) -> None:
        self.id = self.id or self.network

    @property
    def title(self) -> str:
        """The run as the study's reader knows it."""
        return f"{self.run.label} seed {self.run.seed}"

    @property
    def folder(self) -> Path:
        return RESULTS / "runs" / self.network

    @property
    def manifest(self) -> Path:
        return self.folder / "model.json"

    @property
    def weights(self) -> Path:
        return self.folder / "model.safetensors"

    def read_by(self, data_manifest: Path) -> dict[str, Any]:
        """The inputs of every job that reads the network."""
        return {"data": data_manifest, "model": self.manifest, "weights": self.weights}


@dataclass(frozen=True)
class PlannedLog:
    """A certification log beside the runs. `claim` is what a certified file says of every image."""

    label: str
    id: str
    path: Path
    noise: dict[str, Any]
    claim: dict[str, Any]
