"""Verbs that only pass their arguments on to other functions, which are imported when needed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rs.cli.plans import plan_of
from rs.errors import UserError

if TYPE_CHECKING:
    from rs.plan.plan import Plan


def show(args: argparse.Namespace) -> None:
    from rs.cli.overview import certified_accuracy_text, places, published_text, slips
    from rs.plan import diverged
    from rs.tables.aggregate import check_tables

    plan = _as_its_tables(plan_of(args))
    for sentence in diverged.sentences(plan):  # without this run there are no tables, or older ones
        print(f"rs: {sentence}", file=sys.stderr)
    check_tables(plan, only_shown=True)
    print(certified_accuracy_text(plan.tables))
    print(*slips(plan), published_text(plan.tables), sep="\n")
    print(places(plan))


def _as_its_tables(plan: Plan) -> Plan:
    """The plan, with the values of --config that its tables were made with: `rs show` takes none itself."""
    from rs.plan.plan import Plan
    from rs.provenance.files import read_provenance
    from rs.study.rerun import files_of, study_of

    table = plan.table_files()[0]
    provenance = read_provenance(table) if table.is_file() else {}
    if not provenance.get("overrides") or files_of(provenance) != plan.study.files:
        return plan
    made = Plan(study_of(table, provenance))
    values = " ".join(f"{key}={json.dumps(value)}" for key, value in made.study.overrides.items())
    print(f"rs: {plan.tables}: made with --config {values}", file=sys.stderr)
    return made


def precision_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", metavar="LABEL", help="only this run (default: all trained runs)")
    images = "how many images of the test subset (default: 100)"
    parser.add_argument("--images", type=int, default=100, metavar="N", help=images)
    parser.add_argument("--n", type=int, default=1000, metavar="N", help="votes per image (default: 1000)")
    against = "compare this precision with float32 (default: the study's own, or bfloat16)"
    parser.add_argument("--precision", choices=("bfloat16", "int8"), help=against)


def rederive_arguments(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument(
        "--study", nargs="+", type=Path, metavar="FILE", help="print the tables of this study"
    )
    listed = "write the text files that this YAML file lists: tables: {TEXT FILE: [STUDY, ...]}"
    chosen.add_argument("--list", type=Path, metavar="FILE", help=listed)
    kept = Path("evidence/runs")
    help_text = f"where the observations are kept (default: {kept})"
    parser.add_argument("--observations", type=Path, default=kept, metavar="FOLDER", help=help_text)
    into = "with --study: write its page, figures and tables into this new folder instead of printing"
    parser.add_argument("--into", type=Path, metavar="FOLDER", help=into)


def rederive(args: argparse.Namespace) -> None:
    from rs.cli.rederive import read_list, text_of, write_study
    from rs.provenance.files import write_text

    if args.into and not args.study:
        raise UserError("--into: a folder for the page of one study, which --study names")
    if args.into:
        write_study(args.study, args.observations, args.into)
        print(f"{args.into / 'report.html'}")
        return
    if args.study:
        print(text_of(args.study, args.observations), end="")
        return
    for out, files in read_list(args.list).items():
        write_text(out, text_of(files, args.observations))


def status(args: argparse.Namespace) -> None:
    from rs.cli.status import status as tell

    print(tell(plan_of(args), args.study))


def verdicts_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--paper", metavar="NAME", help="only this paper: NAL, STN, MACER, ...")
    parser.add_argument("--json", action="store_true", help="print totals, numbers and claims as JSON")
    help_text = "use only kept observations (evidence/), not results/"
    parser.add_argument("--kept", action="store_true", help=help_text)
    help_text = "first compute verdicts from other people's logs (evidence/logs.yaml), and keep them"
    parser.add_argument("--from-logs", action="store_true", help=help_text)
    help_text = "write them into these files, between the marks <!-- verdicts --> and <!-- /verdicts -->"
    parser.add_argument("--write", nargs="+", type=Path, default=[], metavar="FILE", help=help_text)


def why_arguments(parser: argparse.ArgumentParser) -> None:
    help_text = "address of a number or claim, as rs verdicts prints it; or row N of a table: STUDY/TABLE[N]"
    parser.add_argument("address", metavar="ADDRESS", help=help_text)


def why(args: argparse.Namespace) -> None:
    from rs.cli.why import chain

    print("\n".join(chain(args.address)))


def ui_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=5000, metavar="PORT", help="default: 5000")


def ui(args: argparse.Namespace) -> None:
    from rs.cli.tracking import serve

    serve(plan_of(args), args.port)


def follow_arguments(parser: argparse.ArgumentParser) -> None:
    every = "seconds between two updates (default: 30)"
    parser.add_argument("--every", type=float, default=30.0, metavar="SECONDS", help=every)


def follow(args: argparse.Namespace) -> None:
    from rs.cli.tracking import follow

    follow(plan_of(args), args.every)


def export_log(args: argparse.Namespace) -> None:
    from rs.cli import logs

    logs.export_log(plan_of(args), args)


def list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def list_methods(args: argparse.Namespace) -> None:
    from rs.methods.catalog import listing

    methods = listing()
    if args.json:
        print(json.dumps(methods, indent=1))
        return
    for kind, entries in methods.items():
        print(f"\n{kind}")
        for entry in entries:
            print(f"  {entry['name']:<18} {entry['description']}\n{'':<20} {entry['source']}")
            for name, default in entry["parameters"].items():
                print(f"{'':<22} {name}: {json.dumps(default)}")


def schema_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", action="store_true", help="write rs/schema.json instead of printing")


def write_schema(args: argparse.Namespace) -> None:
    from rs.methods import catalog
    from rs.provenance.files import write_text
    from rs.study import schema as study_schema

    chosen = catalog.schema() if args.write else study_schema.schema()
    text = json.dumps(chosen, indent=1, sort_keys=True) + "\n"
    if args.write:
        write_text(study_schema.SCHEMA, text)
    else:
        print(text, end="")
