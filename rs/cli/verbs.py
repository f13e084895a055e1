"""The verbs for people: what `rs --help` lists first."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs.cli import acceptance, audit, board, cleaning, compare, papers, power, radius, time_slice
from rs.cli import logs as exchange
from rs.cli import price as pricing
from rs.cli.plans import add_study, plan_of
from rs.study import schema as study_schema

AS_WRITTEN = argparse.RawDescriptionHelpFormatter


@dataclass(frozen=True)
class Verb:
    """A verb for people. `more` is what its help goes on with; a `study` one is about that of --study."""

    name: str
    text: str
    act: Callable[[argparse.Namespace], None]
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None
    more: str | None = None
    study: bool = False

    def add_to(self, verbs: Any) -> None:
        if self.more is None:
            verb = verbs.add_parser(self.name, description=self.text)
        else:
            whole = f"{self.text}\n\n{self.more}"
            verb = verbs.add_parser(self.name, description=whole, formatter_class=AS_WRITTEN)
        if self.study:
            add_study(verb)
        if self.add_arguments is not None:
            self.add_arguments(verb)
        verb.set_defaults(act=self.act)


def show(args: argparse.Namespace) -> None:
    from rs.cli.overview import certified_accuracy_text, places, published_text
    from rs.tables.aggregate import check_tables

    plan = plan_of(args)
    check_tables(plan)
    print(certified_accuracy_text(plan.tables))
    print(published_text(plan.tables))
    print(places(plan))


def precision_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", metavar="LABEL", help="only this run (default: all that are trained)")
    images = "of the test subset (default: 100)"
    parser.add_argument("--images", type=int, default=100, metavar="N", help=images)
    parser.add_argument("--n", type=int, default=1000, metavar="N", help="votes per image (default: 1000)")


def precision(args: argparse.Namespace) -> None:
    from rs.cli.precision import run

    run(args)


def rederive_arguments(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--study", nargs="+", type=Path, metavar="FILE", help="print the text of one study")
    listed = "YAML file: tables: {TEXT FILE: [STUDY, ...]}"
    chosen.add_argument("--list", type=Path, metavar="FILE", help=listed)
    parser.add_argument("--observations", type=Path, default=Path("evidence/runs"), metavar="FOLDER")


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


def verdicts_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--paper", metavar="NAME", help="only of this paper: NAL, STN, MACER, ...")
    parser.add_argument("--json", action="store_true", help="for programs: totals, numbers, claims")
    parser.add_argument("--kept", action="store_true", help="what kept observations say, without results/")
    told = "write it into these files, between the marks <!-- verdicts --> and <!-- /verdicts -->"
    parser.add_argument("--write", nargs="+", type=Path, default=[], metavar="FILE", help=told)


def verdicts(args: argparse.Namespace) -> None:
    from rs.cli.verdicts import run

    run(args)


def why_arguments(parser: argparse.ArgumentParser) -> None:
    told = "of a number or a claim, as rs verdicts prints it, or of a table's row: STUDY/TABLE[N]"
    parser.add_argument("address", metavar="ADDRESS", help=told)


def why(args: argparse.Namespace) -> None:
    from rs.cli.why import chain

    print("\n".join(chain(args.address)))


def ui_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=5000)


def ui(args: argparse.Namespace) -> None:
    from rs.cli.tracking import serve

    serve(plan_of(args), args.port)


def follow_arguments(parser: argparse.ArgumentParser) -> None:
    every = "between two looks (default: 30)"
    parser.add_argument("--every", type=float, default=30.0, metavar="SECONDS", help=every)


def follow(args: argparse.Namespace) -> None:
    from rs.cli.tracking import follow

    follow(plan_of(args), args.every)


def export_log(args: argparse.Namespace) -> None:
    exchange.export_log(plan_of(args), args)


def list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


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
    parser.add_argument("--write", action="store_true", help="renew rs/schema.json instead of printing")


def write_schema(args: argparse.Namespace) -> None:
    from rs.methods import catalog

    chosen = catalog.schema() if args.write else study_schema.schema()
    text = json.dumps(chosen, indent=1, sort_keys=True) + "\n"
    if args.write:
        study_schema.SCHEMA.write_text(text)
    else:
        print(text, end="")


VERBS = (
    Verb(
        "list",
        "every data set, model, objective, noise, certificate and attack",
        list_methods,
        list_arguments,
    ),
    Verb(
        "price",
        "what a study costs before it runs: hours here and on GPUs, memory, disk",
        pricing.run,
        pricing.add_arguments,
        more=pricing.__doc__,
        study=True,
    ),
    Verb("status", "what a study has, lacks and holds stale", status, study=True),
    Verb("accept", acceptance.TEXT, acceptance.run, acceptance.add_arguments, study=True),
    Verb("show", "print a study's certified-accuracy table and where its results lie", show, study=True),
    Verb(
        "verdicts",
        "what became of every printed number and claim of the papers",
        verdicts,
        verdicts_arguments,
    ),
    Verb("why", "where a number, a claim or a table's row comes from", why, why_arguments),
    Verb("ui", "open the MLflow UI on a study's store", ui, ui_arguments, study=True),
    Verb(
        "follow",
        "log to MLflow, epoch by epoch, the curves of trainings that are under way; it only reads",
        follow,
        follow_arguments,
        study=True,
    ),
    Verb(
        "clean",
        "list results that no known study names, with sizes and ages",
        cleaning.run,
        cleaning.add_arguments,
    ),
    Verb(
        "slice",
        "as many jobs of a queue of studies as fit into some minutes, without Snakemake",
        time_slice.run,
        time_slice.add_arguments,
        more=time_slice.__doc__,
    ),
    Verb(
        "rederive",
        "a study's tables from kept observations, without its networks or data",
        rederive,
        rederive_arguments,
    ),
    Verb(
        "precision",
        "how many votes bfloat16 changes, and what that does to certified accuracy",
        precision,
        precision_arguments,
        study=True,
    ),
    Verb("compare", compare.TEXT, compare.run, compare.add_arguments, more=compare.__doc__),
    Verb("power", power.TEXT, power.run, power.add_arguments, more=power.__doc__),
    Verb("papers", papers.TEXT, papers.run, papers.add_arguments),
    Verb("board", board.TEXT, board.run, board.add_arguments, more=board.__doc__),
    Verb("audit", audit.TEXT, audit.run, audit.add_arguments, more=audit.__doc__),
    Verb(
        "radius",
        "the certified radius for votes that you type or pipe in",
        radius.run,
        radius.add_arguments,
        more=radius.__doc__,
    ),
    Verb(
        *(
            "import-log",
            "read certification logs (idx label predict radius correct time): accuracies, ACR, a table",
        ),
        exchange.import_logs,
        exchange.add_import_arguments,
    ),
    Verb(
        "export-log",
        "write a run's certified radii as a certification log",
        export_log,
        exchange.add_export_arguments,
        study=True,
    ),
    Verb(
        "schema",
        "the JSON schema of a study, generated from the dataclasses",
        write_schema,
        schema_arguments,
    ),
)
