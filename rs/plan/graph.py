"""Jobs by stage and target: where their files come from, and the code that led to them. No torch."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from rs.errors import UserError
from rs.plan.jobs import Job
from rs.plan.stages import STAGES, STUDY_STAGES, stage_named
from rs.provenance.digests import digest
from rs.provenance.known_code import known_digest
from rs.settings.limits import MOST_JOBS


class JobGraph:
    """Every job under its stage and its target."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Job]] = {stage: {} for stage in STAGES}
        self._by_target: dict[str, Job] = {}
        self._by_run: dict[str, dict[str, Job]] = {}
        self._digest_code = functools.cache(known_digest)  # thousands of jobs execute the same
        self._lineages: dict[str, str] = {}

    def job(self, stage: str, target: str) -> Job:
        return self.jobs[stage_named(stage).name][str(target)]

    def maker(self, path: Path) -> Job:
        """The job whose target is `path`."""
        return self._by_target[str(path)]

    def all_jobs(self) -> Iterator[Job]:
        """In the order of the stages."""
        for jobs in self.jobs.values():
            yield from jobs.values()

    def add(self, job: Job) -> Job:
        """Takes a job into the plan, or returns the one that is there for its target."""
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
        """The jobs that a run wants, by its id, in the order of the plan. Others may want them too."""
        return list(self._by_run.get(run, {}).values())

    def tabled_files(self, run: str) -> Iterator[Path]:
        """The files of a run, by its id, that the tables are made from; in the order of the plan."""
        for job in self.of_run(run):
            yield from (job.outputs[key] for key in job.declared.tabled)

    def code(self, stage: str) -> str:
        """Digest of the code of a stage that has one job per study."""
        return self._digest_code(STUDY_STAGES[stage].executes)

    def lineage(self, job: Job) -> str:
        """Digest of the code of a job and of all jobs that its inputs come from.

        Snakemake passes staleness on by new files, and a failed job leaves none: the next plan would take
        what lies downstream of it for current.
        """
        target = str(job.target)
        if target not in self._lineages:
            above = map(self.maker, job.follows())
            self._lineages[target] = digest([job.code, *map(self.lineage, above)], 12)
        return self._lineages[target]
