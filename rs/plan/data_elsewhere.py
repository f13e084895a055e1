"""Finished jobs whose prepared data are not here: results came without them, or they were removed. No torch.

As soon as one job needs the data, Snakemake has them prepared, and then makes everything again that reads
them. So of a job that has nothing to do it is not told that it reads them. The next plan compares the data
with those that the results were made from (rs.plan.staleness).
"""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path

from rs.plan import file_times
from rs.plan.jobs import Job
from rs.plan.plan import Plan


def left_out(plan: Plan, job: Job) -> Path | None:
    """The manifest of the data if Snakemake is not to know that the job reads it, else None."""
    if job.inputs.get("data") is None or plan.data_manifest.exists():
        return None
    return plan.data_manifest if _rests(plan, job) else None


def _rests(plan: Plan, job: Job) -> bool:
    """Whether each output of the job is there, and was not found stale, or no other job asks for it: networks
    and draws may have stayed behind.
    """
    for key, path in job.outputs.items():
        if path.exists():
            if file_times.of_output(path) == file_times.BEFORE_ALL:
                return False
        elif key in job.declared.tabled or not all(_rests(plan, other) for other in _readers(plan)[path]):
            return False
    return True


@functools.lru_cache(maxsize=1)
def _readers(plan: Plan) -> defaultdict[Path, list[Job]]:
    """The jobs that need each file."""
    readers: defaultdict[Path, list[Job]] = defaultdict(list)
    for job in plan.all_jobs():
        for path in job.needs():
            readers[path].append(job)
    return readers
