"""Jobs by stage and target: where their files come from, and the code that led to them. No torch."""

from __future__ import annotations

import functools
from pathlib import Path

from rs.errors import UserError
from rs.plan.draw_paths import files_of
from rs.plan.jobs import STAGE_CODE, Job
from rs.provenance.code import code_digest
from rs.provenance.digests import digest
from rs.settings.limits import MOST_JOBS

STAGES = ("data", "train", "import", "calibrate", "form", "sample", "certify", "attack", "distributional")


class JobGraph:
    """Every job under its stage and the first of its outputs."""

    data_manifest: Path

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Job]] = {stage: {} for stage in STAGES}
        self._digest_code = functools.cache(code_digest)  # thousands of jobs execute the same
        self._lineages: dict[tuple[str, str], str] = {}
        self._count = 0

    def job(self, stage: str, target: str) -> Job:
        return self.jobs[stage][str(target)]

    def add(self, job: Job) -> Job:
        target = str(next(iter(job.outputs.values())))
        job.digest_code = self._digest_code
        planned = self.jobs[job.stage].setdefault(target, job)
        if planned is not job and planned.params != job.params:
            raise UserError(f"{target}: two different specs have the same digest; change one seed")
        self._count += planned is job
        if self._count > MOST_JOBS:
            advice = "fewer runs, or larger shards and blocks"
            raise UserError(f"the study has more than {MOST_JOBS} jobs; {advice} (sampling)")
        return planned

    def draw_files(self, certify: Job) -> list[Path]:
        """Every draw file that a certify job reads."""
        spec, folder = certify.spec, certify.inputs["folder"]
        selection, estimation = files_of(
            folder, certify.inputs["shards"], spec["n0"], spec["n"], spec["block"], spec.get("stop")
        )
        return [*selection, *(path for blocks in estimation for path in blocks)]

    def needs(self, job: Job) -> list[Path]:
        """Every file that must be there before a job starts."""
        if job.stage == "certify":
            return self.draw_files(job)
        calibrations = job.inputs.get("calibrations", {}).values()
        return [*(value for value in job.inputs.values() if isinstance(value, Path)), *calibrations]

    def code(self, stage: str) -> str:
        """Digest of the code of a stage that has one job per study."""
        return self._digest_code(STAGE_CODE[stage])

    def lineage(self, job: Job) -> str:
        """Digest of the code of a job and of all jobs that its inputs come from.

        Snakemake passes staleness on by new files, and a failed job leaves none: the next plan would take
        what lies downstream of it for current.
        """
        place = (job.stage, str(next(iter(job.outputs.values()))))
        if place not in self._lineages:
            self._lineages[place] = digest([job.code, *map(self.lineage, self._above(job))], 12)
        return self._lineages[place]

    def _above(self, job: Job) -> list[Job]:
        """The jobs that made a job's inputs; of draw files, whose kinds share their code, first and last."""
        if job.stage == "data":
            return []
        if job.stage == "train":
            calibrations = [self.job("calibrate", path) for path in job.inputs["calibrations"].values()]
            return [self.job("data", str(self.data_manifest)), *calibrations]
        if job.stage == "import":
            return [self.job("data", str(self.data_manifest))]
        if job.stage == "certify":
            files = self.draw_files(job)
            return [self.job("sample", str(path)) for path in (files[0], files[-1])]
        model = str(job.inputs["model"])
        selection = [self.job("sample", job.inputs["selection"])] if "selection" in job.inputs else []
        models = [model, str(job.inputs["source"])] if "source" in job.inputs else [model]
        return [*(self.jobs["train"].get(m) or self.job("import", m) for m in models), *selection]
