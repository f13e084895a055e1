"""Where the log of a job lies, beside the files of its run; the rules name the same files. No torch."""

from __future__ import annotations

from pathlib import Path

from rs.plan.jobs import RESULTS, Job


def log_of(job: Job) -> Path:
    """The log of a job: no other job has it, and Snakemake and `rs slice` write the same one.

    `log/STAGE-TARGET.txt` in the run's folder, without the target where a run has one job of the stage; draws
    are many and have a folder of their own. A data set has one job.
    """
    kind, name, *below = job.target.relative_to(RESULTS).with_suffix("").parts
    folder = RESULTS / kind / name
    if kind == "data":
        return folder / "log.txt"
    own = "-".join(below[1:])  # below[0] is the folder of the stage's files
    if job.stage == "sample":
        return folder / "log" / job.stage / f"{own}.txt"
    return folder / "log" / ("-".join(filter(None, (job.stage, own))) + ".txt")
