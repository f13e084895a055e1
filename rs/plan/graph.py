"""Jobs by stage and target, the jobs that make their files, and the code that led to them. No torch."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from rs.errors import UserError
from rs.plan.jobs import Job
from rs.plan.stages import STAGES, STUDY_STAGES, stage_named
from rs.provenance.digests import digest, file_digest
from rs.provenance.known_code import known_digest
from rs.settings.limits import MOST_JOBS


class JobGraph:
    """All jobs by stage and target."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Job]] = {stage: {} for stage in STAGES}
        self._by_target: dict[str, Job] = {}
        self._by_run: dict[str, dict[str, Job]] = {}
        self._digest_code = functools.cache(known_digest)  # thousands of jobs execute the same code
        self._lineages: dict[str, str] = {}

    def job(self, stage: str, target: str) -> Job:
        return self.jobs[stage_named(stage).name][str(target)]

    def maker(self, path: Path) -> Job:
        """The job whose target is `path`."""
        return self._by_target[str(path)]

    def makers(self) -> dict[Path, Job]:
        """The job that makes each file."""
        return {path: job for job in self.all_jobs() for path in job.outputs.values()}

    def all_jobs(self) -> Iterator[Job]:
        """All jobs, in the order of the stages."""
        for jobs in self.jobs.values():
            yield from jobs.values()

    def add(self, job: Job) -> Job:
        """Adds a job to the plan, or returns the job that already has its target."""
        job.check_files()
        target = str(job.target)
        job.digest_code = self._digest_code
        planned = self._by_target.setdefault(target, job)
        if planned is not job:
            if (planned.stage, planned.params) != (job.stage, job.params):
                raise UserError(f"{target}: two different specs have the same digest; change one seed")
        else:
            self.jobs[job.stage][target] = job
        of_run = self._by_run.setdefault(job.run, {})
        of_run[target] = planned
        if len(self._by_target) > MOST_JOBS:
            advice = "fewer runs, or larger shards and blocks"
            raise UserError(f"the study has more than {MOST_JOBS} jobs; {advice} (sampling)")
        return planned

    def of_run(self, run: str) -> list[Job]:
        """The jobs of the run with this id, in the order of the plan. Other runs may need them too."""
        return list(self._by_run.get(run, {}).values())

    def tabled_files(self, run: str) -> Iterator[Path]:
        """The files of the run with this id that the tables are made from, in the order of the plan."""
        for job in self.of_run(run):
            yield from (job.outputs[key] for key in job.declared.tabled)

    def code(self, stage: str) -> str:
        """Digest of the code of a stage with one job per study, and of the data that it comes with."""
        declared = STUDY_STAGES[stage]
        code = self._digest_code(declared.executes)
        return digest([code, *map(file_digest, declared.data)], 12) if declared.data else code

    def lineage(self, job: Job) -> str:
        """Digest of the code of a job and of all jobs that its inputs come from.

        Snakemake passes staleness on by new files. A job that fails leaves no new file, and the next plan
        would take everything downstream for current; this digest prevents that.
        """
        target = str(job.target)
        if target not in self._lineages:
            above = map(self.maker, job.follows())
            self._lineages[target] = digest([job.code, *map(self.lineage, above)], 12)
        return self._lineages[target]
