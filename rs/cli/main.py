"""`rs`: the pipeline's verbs on the command line. `rs --help` is the list."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from rs import __version__
from rs.cli import stages
from rs.errors import UserError
from rs.plan.stages import STAGES, STUDY_STAGES, Stage

USAGE = """\
Snakemake runs a study: `snakemake --cores 2 --configfile config/mnist.yaml`.
`rs VERB --help` explains a verb.
"""
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


def job_parser(stage: Stage) -> argparse.ArgumentParser:
    """That of a job alone: other verbs take a second to import, which every job would pay."""
    top = Parser("rs")
    verb = top.add_subparsers(dest="verb").add_parser(stage.name, description=stage.text)
    stages.add_arguments(verb, stage)
    verb.set_defaults(act=stages.run, stage=stage.name)
    return top


def parser() -> argparse.ArgumentParser:
    from rs.cli import certify, study_stages
    from rs.cli.verbs import AS_WRITTEN, VERBS

    top = Parser("rs", description=USAGE, formatter_class=AS_WRITTEN)
    top.add_argument("--version", action="version", version=f"rs {__version__}")
    top.set_defaults(act=lambda _: top.print_help())
    verbs = top.add_subparsers(dest="verb", metavar="VERB")
    for stage in STAGES.values():
        verb = verbs.add_parser(stage.name, description=stage.text)
        stages.add_arguments(verb, stage)
        verb.set_defaults(act=stages.run, stage=stage.name)
    certify.add_to(verbs.choices["certify"])
    for last in STUDY_STAGES.values():
        verb = verbs.add_parser(last.name, description=last.text)
        study_stages.add_arguments(verb)
        verb.set_defaults(act=study_stages.run, stage=last.name)
    for own in VERBS:
        own.add_to(verbs)
    peoples = [*(own.name for own in VERBS), "certify"]
    workers = [name for name in verbs.choices if name not in peoples]
    summary = {name: str(verb.description).splitlines()[0] for name, verb in verbs.choices.items()}
    top.epilog = "\n".join(
        [
            *("verbs for people:", *(f"    {name:<14} {summary[name]}" for name in peoples)),
            *("\nverbs that the workflow calls:", *(f"    {name:<14} {summary[name]}" for name in workers)),
            f"\n{EXIT_CODES}",
        ]
    )
    return top


def main(argv: list[str] | None = None) -> int:
    given = sys.argv[1:] if argv is None else argv
    try:
        stage = STAGES.get(given[0]) if given and "--job" in given else None
        args = (job_parser(stage) if stage else parser()).parse_args(given)
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
