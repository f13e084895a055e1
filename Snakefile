# The targets of a study: tables, MLflow runs, figures and report. Paths, specs and digests come from rs.plan.
import sys

from snakemake.utils import min_version

from rs.cli import workflow_plan
from rs.errors import UserError
from rs.plan import started_studies

min_version("9.20")


report: "workflow/captions/workflow.rst"


try:
    PLAN, FILES, OVERRIDES = workflow_plan.plan_of(workflow, config)
except UserError as error:
    print(f"rs: {error}", file=sys.stderr)
    sys.exit(1)


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/import.smk"
include: "workflow/rules/join.smk"
include: "workflow/rules/calibrate.smk"
include: "workflow/rules/distributional.smk"
include: "workflow/rules/form.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/certify.smk"
include: "workflow/rules/attack.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/report.smk"


onstart:
    started_studies.record(PLAN)


# Not sent to a cluster: these take seconds, need the network or write one SQLite file.
localrules:
    all,
    data,
    aggregate,
    report,
    track,


rule all:
    default_target: True
    input:
        PLAN.folder / "report.html",
        PLAN.folder / "mlflow.json",
        PLAN.folder / "figures",
        PLAN.table_files(),
