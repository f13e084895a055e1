# What the rules of the stages ask the plan for. Snakemake tracks `spec` and `code`, since they take only wildcards: a
# change of either makes the target stale. It does not track the command and the whole job (its files and device).
import inspect
import json
import shlex

from rs.cli import stages
from rs.plan.data_elsewhere import left_out
from rs.plan.work import streamed
from rs.stages.execution import as_json

PYTHON = shlex.quote(sys.executable)  # jobs run in the environment that runs Snakemake


def known(function):
    """Stores the function's signature. Snakemake inspects it up to four times per job, which is a third of the
    cost of planning a job.
    """
    function.__signature__ = inspect.signature(function)
    return function


@known
def command(w, output):
    """`exec` turns the shell into the worker, which ends when the process that started the shell (RS_PARENT) does."""
    return f"RS_PARENT=$PPID exec {PYTHON} -m rs"


def spec(stage, pattern):
    return known(lambda w: PLAN.job(stage, pattern.format(**w)).params)


def code(stage, pattern):
    return known(lambda w: PLAN.lineage(PLAN.job(stage, pattern.format(**w))))


def whole(stage, pattern):
    return known(lambda w, output: as_json(PLAN.job(stage, pattern.format(**w))))


def reads(stage, pattern):
    """The files that the job reads. The job is that of `stage` whose first output is `pattern` with the wildcards
    filled in.
    """

    def files(w):
        job = PLAN.job(stage, pattern.format(**w))
        out = left_out(PLAN, job)
        return [path for path in job.reads() if path != out]

    return known(files)


def prepared(stage, pattern):
    """The manifest of the prepared data, as far as Snakemake is to know it."""
    return known(lambda w: [] if left_out(PLAN, PLAN.job(stage, pattern.format(**w))) else PLAN.data_manifest)


def named(stage, pattern, key):
    """The files of one input, for inputs that only some jobs have, or that have several files."""

    def files(w):
        found = PLAN.job(stage, pattern.format(**w)).inputs.get(key, [])
        return list(found.values()) if isinstance(found, dict) else found

    return known(files)


def cpus(stage, pattern):
    return known(lambda w: stages.cpus(PLAN.job(stage, pattern.format(**w)), elsewhere() and streamed(PLAN)))


def elsewhere():
    """Whether jobs run on a cluster. A dry run always counts as local; only its thread setting shows the cluster."""
    return not workflow.local_exec or (workflow.dryrun and workflow.execution_settings.use_threads)


# The rules that ask for GPUs also state nodes=1: a job's processes find each other on one machine, while Slurm would
# spread its GPUs over several.
def gpus(stage, pattern):
    return known(lambda w: stages.gpus(PLAN.job(stage, pattern.format(**w)), elsewhere()))
