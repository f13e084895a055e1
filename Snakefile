# The targets of a study: tables, MLflow runs, figures and report. Paths, specs and digests come from rs.plan.
import sys
from pathlib import Path

from snakemake.utils import min_version

from rs.errors import UserError
from rs.plan import as_module, running_plans, staleness, started_studies
from rs.plan.plan import Plan
from rs.study.study import Study

min_version("9.20")


report: "workflow/captions/workflow.rst"

UNLOCKS = "--unlock" in sys.argv  # computes nothing: Snakemake takes its locks away and ends

try:
    if workflow.is_main_process and (beside := running_plans.beside(UNLOCKS)) is not None:
        print(f"rs: {beside}", file=sys.stderr)
    with running_plans.in_turn(workflow.is_main_process and not UNLOCKS) as record:
        if workflow.modifier.skip_configfile:  # a module of another workflow: its config is the study
            PLAN, FILES, OVERRIDES = as_module.plan_of(config, workflow.modifier)
        else:
            FILES = [Path(f) for f in workflow.overwrite_configfiles]
            FILES = FILES or [Path(workflow.basedir) / "config" / "config.yaml"]
            FILES = [f.relative_to(Path.cwd()) if f.is_relative_to(Path.cwd()) else f for f in FILES]
            OVERRIDES = dict(workflow.config_settings.config)
            PLAN = Plan(Study(FILES, OVERRIDES))
        record(PLAN.observer.kept)
    if workflow.is_main_process and not UNLOCKS:  # not in the jobs of a cluster, which parse this file again
        from rs.methods import catalog
        from rs.plan import extras, kept_shards, mixed_draws, namesakes, price
        from rs.study import tracking_place

        catalog.build_plug_ins(PLAN.study)
        tracking_place.check_place(PLAN.study)
        sentences = [*namesakes.sentences(PLAN), *staleness.settle(PLAN)]
        sentences += [*mixed_draws.settle(PLAN), *kept_shards.settle(PLAN), *extras.sentences(PLAN)]
        for sentence in sentences:
            print(f"rs: {sentence}", file=sys.stderr)
        if (cost := price.sentence(PLAN)) is not None:
            print(f"rs: {cost}", file=sys.stderr)
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
