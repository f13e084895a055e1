# What every stage's rule asks of the plan. `spec` and `code` are tracked (they take only wildcards, so a change of
# either makes the target stale); the command and the whole job, with its files and device, are handed over untracked.
import inspect
import json
import shlex

from rs.cli import stages
from rs.stages.execution import as_json

PYTHON = shlex.quote(sys.executable)  # jobs run in the environment that runs Snakemake


def known(function):
    """Snakemake asks for the signature of such a function up to four times per job: a third of what planning
    a job costs. It is told from now on.
    """
    function.__signature__ = inspect.signature(function)
    return function


@known
def command(w, output):
    """`exec`: the shell becomes the worker, which dies with the process that started the shell (RS_PARENT)."""
    return f"RS_PARENT=$PPID exec {PYTHON} -m rs"


def spec(stage, pattern):
    return known(lambda w: PLAN.job(stage, pattern.format(**w)).params)


def code(stage, pattern):
    return known(lambda w: PLAN.lineage(PLAN.job(stage, pattern.format(**w))))


def whole(stage, pattern):
    return known(lambda w, output: as_json(PLAN.job(stage, pattern.format(**w))))


def reads(stage, pattern):
    """The files whose content the job of `stage` is made from, whose first output is `pattern` filled with the
    wildcards.
    """
    return known(lambda w: PLAN.job(stage, pattern.format(**w)).reads())


def named(stage, pattern, key):
    """The files of one input, that not every such job has or of which it has several."""

    def files(w):
        found = PLAN.job(stage, pattern.format(**w)).inputs.get(key, [])
        return list(found.values()) if isinstance(found, dict) else found

    return known(files)


def cpus(stage, pattern):
    return known(lambda w: (j := PLAN.job(stage, pattern.format(**w))).threads * j.processes)


def elsewhere():
    """Whether jobs run on a cluster. A dry run is local whatever it stands for: that, only its threads tell."""
    return not workflow.local_exec or (workflow.dryrun and workflow.execution_settings.use_threads)


def gpus(stage, pattern):
    return known(lambda w: stages.gpus(PLAN.job(stage, pattern.format(**w)), elsewhere()))
