# A study's targets: tables, MLflow runs, figures and report. Paths, specs and digests come from rs.plan.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from rs.interfaces import UserError
from rs.plan import Plan
from rs.study import Study

min_version("9.20")


container: None


PYTHON = sys.executable
FILES = [Path(f) for f in workflow.overwrite_configfiles] or [Path(workflow.basedir) / "config" / "config.yaml"]
OVERRIDES = dict(workflow.config_settings.config)
try:
    PLAN = Plan(Study(FILES, OVERRIDES))
except UserError as error:
    raise WorkflowError(str(error)) from None


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/calibrate.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/certify.smk"
include: "workflow/rules/attack.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/report.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        PLAN.folder / "report.html",
        PLAN.folder / "mlflow.json",
