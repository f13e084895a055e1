"""All stages, each declared once. No torch.

What the command line, the worker, the plan, code digests and lineage know of a stage is derived from its
record here. A test compares the rules and the Slurm profile with the records. A new stage is a record, its
function and its rule (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rs.errors import UserError, guess
from rs.plan.draw_paths import read_by_certify, read_by_sample

USE_DEVICE = "rs.machine.devices:use_device"
DRAWS_CHECKED = "rs.stages.network_draws:checked"
COLUMNS = Path(__file__).parents[1] / "tables" / "columns.toml"  # types and meanings of the tables' columns
# executed by every way of certifying
CERTIFYING = ("rs.plan.draw_paths:files_of", "rs.settings.certificates:CertificateUse")


@dataclass(frozen=True)
class Stage:
    """A stage with one job per run or more, each with a rule, a verb and files of its own.

    `function` ("module:name", imported when a job starts) is called with the job, the torch.device that it
    computes on (None without `device`) and the digest of its code. It passes them on and computes nothing.
    The job's code is the places in `executes`, the device's place and the classes of its methods.
    """

    name: str  # of its verb, and of its rule unless it is a keyword of Python
    text: str  # its text in `rs --help`
    function: str
    executes: tuple[str, ...]
    outputs: tuple[str, ...]  # the first is the target, by which jobs are found
    inputs: tuple[str, ...] = ()  # inputs whose content counts, in this order
    beside: tuple[str, ...] = ()  # other files that a job needs; a manifest or the spec vouches for them
    where: tuple[str, ...] = ()  # inputs that say where files lie and are not files themselves
    reads: Callable[[dict[str, Any], dict[str, Any]], list[Path]] | None = None  # more, by spec and inputs
    follows: tuple[str, ...] = ()  # inputs whose makers' code and lineage enter the job's lineage
    tabled: tuple[str, ...] = ()  # outputs that the tables are made from
    device: bool = False  # computes on a GPU where there is one: its rule states gpu and threads
    local: bool = False  # runs where Snakemake runs, because it needs internet access
    data_dir: bool = False  # reads the user's own files: its verb takes --data-dir
    instead: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # key in a spec -> its `executes`

    @property
    def rule(self) -> str:
        """The name of its rule: the last part of its module's name."""
        return self.function.partition(":")[0].rpartition(".")[2]

    @property
    def known(self) -> tuple[str, ...]:
        """All inputs that its jobs may have."""
        return (*self.inputs, *self.beside, *self.where)

    def code_of(self, spec: Mapping[str, Any]) -> tuple[str, ...]:
        """The places that a job executes, apart from the classes of its methods."""
        own = next((places for key, places in self.instead.items() if key in spec), self.executes)
        return (*own, USE_DEVICE) if self.device else own


@dataclass(frozen=True)
class StudyStage:
    """A stage with one job per study, which takes seconds. `function` is called with the plan. The content of
    `data` counts as the code that it `executes` does.
    """

    name: str
    text: str
    function: str
    executes: tuple[str, ...]
    data: tuple[Path, ...] = ()


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            "data",
            "load and check a data set, and store it as tensors",
            "rs.stages.data:run_job",
            ("rs.stages.data:prepare",),
            outputs=("manifest", "train", "test"),
            local=True,
            data_dir=True,
        ),
        Stage(
            "train",
            "train one run",
            "rs.stages.train:run_job",
            ("rs.stages.train:train", "rs.networks.distributed:process_group"),
            outputs=("manifest", "weights", "metrics"),
            inputs=("data", "calibrations", "networks"),
            beside=("weights",),
            follows=("data", "calibrations", "networks"),
            tabled=("manifest", "metrics"),
            device=True,
        ),
        Stage(
            "import",
            "import a checkpoint that was trained elsewhere",
            "rs.stages.import_weights:run_job",
            ("rs.stages.import_weights:convert",),
            outputs=("manifest", "weights"),
            inputs=("data",),
            beside=("weights",),
            follows=("data",),
            tabled=("manifest",),
            instead={"chance": (DRAWS_CHECKED, "rs.stages.import_weights:convert")},
        ),
        Stage(
            "join",
            "join the networks of several runs into one model",
            "rs.stages.join:run_job",
            ("rs.stages.join:join",),
            outputs=("manifest", "weights"),
            inputs=("data", "parts"),
            beside=("weights",),
            follows=("data", "parts"),
            tabled=("manifest",),
            instead={"chance": (DRAWS_CHECKED, "rs.stages.join:join")},
        ),
        Stage(
            "calibrate",
            "measure rho and epsilon of a trained run (NAL eq. 8)",
            "rs.stages.calibrate:run_job",
            ("rs.stages.calibrate:calibrate",),
            outputs=("calibration",),
            inputs=("data", "model"),
            beside=("weights",),
            follows=("model",),
            tabled=("calibration",),
            device=True,
        ),
        Stage(
            "form",
            "fix the inference form of a run: the requested one, or the next one that works",
            "rs.stages.form:run_job",
            ("rs.stages.form:fix",),
            outputs=("form",),
            inputs=("data", "model"),
            beside=("weights",),
            follows=("model",),
            device=True,
        ),
        Stage(
            "sample",
            "draw votes under noise for a range of images",
            "rs.stages.sample:run_job",
            ("rs.stages.sample:sample",),
            outputs=("draws",),
            inputs=("data", "model", "form", "selection"),
            beside=("weights", "source_model"),
            where=("source",),
            reads=read_by_sample,
            follows=("model", "selection"),
            device=True,
            instead={
                "rule": ("rs.stages.sample_group_sequential:sample",),
                "source": ("rs.stages.sample_incremental:sample",),
                "answers": ("rs.stages.sample_answered:sample",),
                "stop": ("rs.stages.sample_sequential:sample",),
            },
        ),
        Stage(
            "certify",
            "turn draws into certified radii",
            "rs.stages.certify:run_job",
            ("rs.stages.certify:certify", *CERTIFYING),
            outputs=("certified",),
            beside=("model",),
            where=("folder", "shards"),
            reads=read_by_certify,
            tabled=("certified",),
            instead={
                "rule": ("rs.stages.certify_group_sequential:certify", *CERTIFYING),
                "source": ("rs.stages.certify_incremental:certify", *CERTIFYING),
            },
        ),
        Stage(
            "attack",
            "attack a smoothed classifier",
            "rs.stages.attack:run_job",
            ("rs.stages.attack:attack",),
            outputs=("attacks",),
            inputs=("data", "model", "form", "source"),
            beside=("weights", "source_weights"),
            follows=("model", "source"),
            tabled=("attacks",),
            device=True,
        ),
        Stage(
            "distributional",
            "move test images for the distributional certificate (NAL Thm. 1)",
            "rs.stages.distributional:run_job",
            ("rs.stages.distributional:observe", "rs.methods.noise.none:NoNoise"),
            outputs=("observed",),
            inputs=("data", "model"),
            beside=("weights",),
            follows=("model",),
            tabled=("observed",),
            device=True,
        ),
    )
}

STUDY_STAGES: dict[str, StudyStage] = {
    stage.name: stage
    for stage in (
        StudyStage(
            "aggregate",
            "write a study's tables from its runs' files",
            "rs.cli.study_stages:aggregate",
            ("rs.tables.aggregate:aggregate", "rs.plan.plan:Plan"),
            data=(COLUMNS,),
        ),
        StudyStage(
            "track",
            "log a study to its MLflow store",
            "rs.cli.tracking:track",
            ("rs.report.tracking.study:log_study", "rs.report.tracking.sources:sources"),
        ),
        StudyStage(
            "report",
            "draw a study's figures and write its HTML page",
            "rs.cli.study_stages:report",
            ("rs.report.page:write_report", "rs.report.figures:draw"),
        ),
    )
}


def stage_named(name: str) -> Stage:
    """The record of a stage. Raises UserError where there is none."""
    if name not in STAGES:
        raise UserError(f"no stage {name!r}{guess(name, STAGES)}; stages: {', '.join(STAGES)}")
    return STAGES[name]
