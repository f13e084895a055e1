# What every stage's rule asks of the plan. `spec` and `code` are tracked (they take only wildcards, so a change of
# either makes the target stale); the command and the whole job, with its files and device, are handed over untracked.
import json
import shlex

from rs.provenance.digests import file_digest
from rs.cli import stages
from rs.stages.execution import as_dict

PYTHON = shlex.quote(sys.executable)  # jobs run in the environment that runs Snakemake


def command(w, output):
    """`exec`: the shell becomes the worker, which dies with the process that started the shell (RS_PARENT)."""
    return f"RS_PARENT=$PPID exec {PYTHON} -m rs"


def job(stage, pattern):
    """The job of `stage` whose first output is `pattern` filled with the wildcards."""
    return lambda w: PLAN.job(stage, pattern.format(**w))


def spec(stage, pattern):
    return lambda w: PLAN.job(stage, pattern.format(**w)).params


def code(stage, pattern):
    return lambda w: PLAN.lineage(PLAN.job(stage, pattern.format(**w)))


def whole(stage, pattern):
    return lambda w, output: json.dumps(as_dict(PLAN.job(stage, pattern.format(**w))))


def form(stage, pattern):
    """The file that fixes the inference form, for a form that had to be tried out."""
    return lambda w: PLAN.job(stage, pattern.format(**w)).inputs.get("form", [])


def source(stage, pattern, key="source"):
    """The network of another run that a transfer attack differentiates."""
    return lambda w: PLAN.job(stage, pattern.format(**w)).inputs.get(key, [])


def cpus(stage, pattern):
    return lambda w: (j := PLAN.job(stage, pattern.format(**w))).threads * j.processes


def elsewhere():
    """Whether jobs run on a cluster. A dry run is local whatever it stands for: that, only its threads tell."""
    return not workflow.local_exec or (workflow.dryrun and workflow.execution_settings.use_threads)


def gpus(stage, pattern):
    return lambda w: stages.gpus(PLAN.job(stage, pattern.format(**w)), elsewhere())
