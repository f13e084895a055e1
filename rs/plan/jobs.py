"""What a plan is made of: jobs with specs and files, runs with their observations, readable ids. No torch."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rs.provenance.code import code_digest
from rs.provenance.digests import dumps
from rs.study.study import Run

RESULTS = Path("results")

# What a job of each stage executes beside its methods' classes: all that rs.stages and rs.cli call for it,
# and what reaches it without its code naming it.
STAGE_CODE = {
    "data": ("rs.stages.data:prepare",),
    "train": (
        "rs.stages.train:train",
        "rs.networks.distributed:process_group",
        "rs.machine.devices:use_device",
    ),
    "import": ("rs.stages.import_weights:convert",),
    "calibrate": ("rs.stages.calibrate:calibrate", "rs.machine.devices:use_device"),
    "form": ("rs.stages.form:fix", "rs.machine.devices:use_device"),
    "sample": ("rs.stages.sample:sample", "rs.machine.devices:use_device"),
    "sample until decided": ("rs.stages.sample_sequential:sample", "rs.machine.devices:use_device"),
    "certify": (
        "rs.stages.certify:certify",
        "rs.plan.draw_paths:files_of",
        "rs.settings.certificates:CertificateUse",
    ),
    "attack": ("rs.stages.attack:attack", "rs.machine.devices:use_device"),
    "distributional": (
        "rs.stages.distributional:observe",
        "rs.methods.noise.none:NoNoise",
        "rs.machine.devices:use_device",
    ),
    "aggregate": ("rs.tables.aggregate:aggregate", "rs.plan.plan:Plan"),
    "report": ("rs.report.page:write_report", "rs.report.figures:draw"),
    "track": ("rs.report.mlflow:log_study",),
}


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
    executes: tuple[str, ...]  # its stage's function and its methods' classes, as "module:name"
    run: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Path] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1
    processes: int = 1
    workers: int = 4  # of each process, to decode images
    device_class: str | None = None  # that it must compute on (rs.machine.device_class)
    digest_code: Callable[[tuple[str, ...]], str] = code_digest  # its plan's, which asks once for each

    @property
    def params(self) -> str:
        """The one tracked parameter of its rule: canonical JSON of its spec."""
        return dumps(self.spec)

    @functools.cached_property
    def code(self) -> str:
        return self.digest_code(self.executes)


@dataclass
class Observation:
    """One run smoothed with one noise: its draws, certified radii and attacks."""

    noise: dict[str, Any]
    certified: Path | None
    attacks: list[Path]
    distributional: Path | None = None


@dataclass
class PlannedRun:
    run: Run
    id: str
    spec: dict[str, Any]
    observations: list[Observation] = field(default_factory=list)
    calibration: Path | None = None
    inputs: dict[str, Any] = field(default_factory=dict)  # of what observes it: model, data, form
    classes: tuple[str, ...] = ()  # of the network, as "module:name"

    @property
    def folder(self) -> Path:
        return RESULTS / "runs" / self.id


@dataclass(frozen=True)
class PlannedLog:
    """A certification log beside the runs; `claim` holds what a certified file says of every image."""

    label: str
    id: str
    path: Path
    noise: dict[str, Any]
    claim: dict[str, Any]
