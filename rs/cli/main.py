"""`rs`: the pipeline's verbs on the command line. `rs --help` is the list."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from rs import __version__
from rs.cli import acceptance, cleaning, compare, radius, stages, study_stages, time_slice
from rs.cli import certify_checkpoint as own_checkpoint
from rs.cli import logs as exchange
from rs.cli import price as pricing
from rs.cli.plans import add_study, plan_of
from rs.errors import UserError
from rs.plan.stages import STAGES, STUDY_STAGES
from rs.study import schema as study_schema

AS_WRITTEN = argparse.RawDescriptionHelpFormatter
USAGE = """\
Snakemake runs a study: `snakemake --cores 2 --configfile config/mnist.yaml`.
`rs VERB --help` explains a verb.
"""
PEOPLES = (
    *("list", "price", "status", "accept", "show", "ui", "clean", "slice", "rederive", "precision"),
    *("compare", "radius", "certify", "import-log", "export-log", "schema"),
)
EXIT_CODES = """\
exit codes:
    0    done
    1    refused or failed; the last line on standard error says why
    130  interrupted (Ctrl-C)
"""


class Parser(argparse.ArgumentParser):
    """Wrong arguments are bad input like any other: one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    top = Parser("rs", description=USAGE, formatter_class=AS_WRITTEN)
    top.add_argument("--version", action="version", version=f"rs {__version__}")
    top.set_defaults(act=lambda _: top.print_help())
    verbs = top.add_subparsers(dest="verb", metavar="VERB")
    for stage in STAGES.values():
        verb = verbs.add_parser(stage.name, description=stage.text)
        stages.add_arguments(verb, stage)
        verb.set_defaults(act=stages.run, stage=stage.name)
    own_checkpoint.add_to(verbs.choices["certify"])
    for last in STUDY_STAGES.values():
        verb = verbs.add_parser(last.name, description=last.text)
        study_stages.add_arguments(verb)
        verb.set_defaults(act=study_stages.run, stage=last.name)

    def study_verb(name: str, text: str, act: Any) -> Parser:
        verb = verbs.add_parser(name, description=text)
        add_study(verb)
        verb.set_defaults(act=act)
        return verb

    study_verb("show", "print a study's certified-accuracy table and where its results lie", show)
    text = "how many votes bfloat16 changes, and what that does to certified accuracy"
    verb = study_verb("precision", text, precision)
    verb.add_argument("--run", metavar="LABEL", help="only this run (default: all that are trained)")
    verb.add_argument(
        "--images", type=int, default=100, metavar="N", help="of the test subset (default: 100)"
    )
    verb.add_argument("--n", type=int, default=1000, metavar="N", help="votes per image (default: 1000)")
    text = "as many jobs of a queue of studies as fit into some minutes, without Snakemake"
    told = f"{text}\n\n{time_slice.__doc__}"
    verb = verbs.add_parser("slice", description=told, formatter_class=AS_WRITTEN)
    time_slice.add_arguments(verb)
    verb.set_defaults(act=time_slice.run)
    text = "a study's tables from kept observations, without its networks or data"
    verb = verbs.add_parser("rederive", description=text)
    chosen = verb.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--study", nargs="+", type=Path, metavar="FILE", help="print the text of one study")
    chosen.add_argument(
        "--list", type=Path, metavar="FILE", help="YAML file: tables: {TEXT FILE: [STUDY, ...]}"
    )
    verb.set_defaults(act=rederive)
    verb.add_argument("--observations", type=Path, default=Path("evidence/runs"), metavar="FOLDER")
    text = "what a study costs before it runs: hours here and on GPUs, memory, disk"
    verb = study_verb("price", f"{text}\n\n{pricing.__doc__}", pricing.run)
    verb.formatter_class = AS_WRITTEN
    pricing.add_arguments(verb)
    study_verb("status", "what a study has, lacks and holds stale", status)
    acceptance.add_arguments(study_verb("accept", acceptance.TEXT, acceptance.run))
    study_verb("ui", "open the MLflow UI on a study's store", ui).add_argument(
        "--port", type=int, default=5000
    )
    text = "list results that no known study names, with sizes and ages"
    verb = verbs.add_parser("clean", description=text)
    cleaning.add_arguments(verb)
    verb.set_defaults(act=cleaning.run)
    verb = verbs.add_parser(
        "compare", description=f"{compare.TEXT}\n\n{compare.__doc__}", formatter_class=AS_WRITTEN
    )
    compare.add_arguments(verb)
    verb.set_defaults(act=compare.run)
    text = "the certified radius for votes that you type or pipe in"
    verb = verbs.add_parser("radius", description=f"{text}\n\n{radius.__doc__}", formatter_class=AS_WRITTEN)
    radius.add_arguments(verb)
    verb.set_defaults(act=radius.run)
    text = "read certification logs (idx label predict radius correct time): accuracies, ACR, a table"
    verb = verbs.add_parser("import-log", description=text)
    exchange.add_import_arguments(verb)
    verb.set_defaults(act=exchange.import_logs)
    text = "write a run's certified radii as a certification log"
    exchange.add_export_arguments(study_verb("export-log", text, export_log))
    verb = verbs.add_parser(
        "list", description="every data set, model, objective, noise, certificate and attack"
    )
    verb.add_argument("--json", action="store_true", help="for programs")
    verb.set_defaults(act=list_methods)
    verb = verbs.add_parser(
        "schema", description="the JSON schema of a study, generated from the dataclasses"
    )
    verb.add_argument("--write", action="store_true", help="renew rs/schema.json instead of printing")
    verb.set_defaults(act=write_schema)
    workers = [name for name in verbs.choices if name not in PEOPLES]
    summary = {name: str(found.description).splitlines()[0] for name, found in verbs.choices.items()}
    top.epilog = "\n".join(
        [
            *("verbs for people:", *(f"    {name:<14} {summary[name]}" for name in PEOPLES)),
            *("\nverbs that the workflow calls:", *(f"    {name:<14} {summary[name]}" for name in workers)),
            f"\n{EXIT_CODES}",
        ]
    )
    return top


def show(args: argparse.Namespace) -> None:
    from rs.cli.overview import certified_accuracy_text, places, published_text
    from rs.tables.aggregate import check_tables

    plan = plan_of(args)
    check_tables(plan)
    print(certified_accuracy_text(plan.tables))
    print(published_text(plan.tables))
    print(places(plan))


def precision(args: argparse.Namespace) -> None:
    from rs.cli.precision import run

    run(args)


def rederive(args: argparse.Namespace) -> None:
    from rs.cli.rederive import read_list, text_of
    from rs.provenance.files import write_text

    if args.study:
        print(text_of(args.study, args.observations), end="")
        return
    for out, files in read_list(args.list).items():
        write_text(out, text_of(files, args.observations))


def status(args: argparse.Namespace) -> None:
    from rs.cli.overview import status as tell

    print(tell(plan_of(args), args.study))


def ui(args: argparse.Namespace) -> None:
    from rs.cli.tracking import serve

    serve(plan_of(args), args.port)


def export_log(args: argparse.Namespace) -> None:
    exchange.export_log(plan_of(args), args)


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


def write_schema(args: argparse.Namespace) -> None:
    from rs.methods import catalog

    chosen = catalog.schema() if args.write else study_schema.schema()
    text = json.dumps(chosen, indent=1, sort_keys=True) + "\n"
    if args.write:
        study_schema.SCHEMA.write_text(text)
    else:
        print(text, end="")


def main(argv: list[str] | None = None) -> int:
    try:
        args = parser().parse_args(argv)
        args.act(args)
    except UserError as error:
        print(f"rs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rs: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `rs list | head`
        sys.stdout = None
    return 0


if __name__ == "__main__":
    sys.exit(main())
