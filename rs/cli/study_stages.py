"""The verbs that the rules of a whole study call (rs.plan.stages): tables and page. MLflow: rs.cli.tracking.

The function that a stage's record names carries out its verb, with the plan of the study.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rs.cli.plans import add_study, plan_of
from rs.machine.worker import become_worker
from rs.plan import namesakes, started_studies
from rs.plan.plan import Plan
from rs.plan.stages import STUDY_STAGES
from rs.plan.staleness import page_line, table_inputs
from rs.provenance.files import commit, made_from, make_folder, versions
from rs.stages.execution import function_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    overrides = "keys of the study that were given to snakemake with --config"
    parser.add_argument("--overrides", default="{}", metavar="JSON", help=overrides)
    parser.add_argument(
        "--worker", type=Path, metavar="LOG", help="run as a job of the workflow, with this log file"
    )


def run(args: argparse.Namespace) -> None:
    if args.worker:
        become_worker(args.worker)
    plan = plan_of(args)
    for sentence in () if args.worker else namesakes.sentences(plan):  # Snakemake's run begins with them
        print(f"rs: {sentence}", file=sys.stderr)
    function_of(STUDY_STAGES[args.stage])(plan)


def aggregate(plan: Plan) -> None:
    from rs.tables import aggregate as tables

    with made_from(table_inputs(plan)):
        tables.aggregate(plan, plan.tables, plan.code("aggregate"))
    started_studies.forget(plan)  # the tables name the study from now on


def report(plan: Plan) -> None:
    from rs.report import figures, page
    from rs.tables.aggregate import check_tables

    check_tables(plan)
    folder, study = plan.folder / "figures", plan.study
    make_folder(folder, "certified-accuracy.png")  # the rule promises it, even for a study without figures
    drawn = figures.draw(plan.tables, folder, study.report)
    context: page.Context = {
        "description": study.description,
        "versions": versions(),
        "commit": commit(),
        "files": [str(f) for f in study.files],
        "overrides": study.overrides,
        "radii": study.report["radii"],
        "report": study.report,
        "last_line": page_line(plan),
    }
    page.write_report(study.name, plan.tables, drawn, plan.folder / "report.html", context)
