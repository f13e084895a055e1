"""`rs`: the pipeline's verbs on the command line. `rs --help` lists them."""

from __future__ import annotations

import argparse
import errno
import functools
import io
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from rs import __version__
from rs.cli import stages
from rs.errors import UserError
from rs.machine import launching
from rs.machine.memory import how_much, ran_out
from rs.plan.stages import STAGES, STUDY_STAGES, Stage

USAGE = """\
Snakemake runs a study: `snakemake --cores 2 --configfile config/mnist.yaml`.
`rs VERB --help` explains a verb.
"""
EXIT_CODES = """\
exit codes:
    0    done
    1    refused or failed; the last line on standard error says why
    2    rs audit found something
    130  interrupted (Ctrl-C)
"""
# The use of a stage's verb for people, without a study.
OF_PEOPLE = {"certify": "certify your own model (--model, --checkpoint)"}


T = TypeVar("T")

# What argparse calls a value that `type` cannot read, in the words of who typed it.
ALLOWED = {"int": "a whole number, as 10", "float": "a number, as 0.5"}

# What the system says of a place that is none, is not the user's, or has no room. A look whether something is
# there says it too.
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EIO}


class Parser(argparse.ArgumentParser):
    """Wrong arguments give one line, as all bad input does."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for kind in (int, float):
            self.register("type", kind, functools.partial(_typed, kind))

    def error(self, message: str) -> NoReturn:
        if match := re.fullmatch(r"argument (\S+): invalid (int|float) value: (.*)", message, re.DOTALL):
            message = f"argument {match[1]}: {match[3]}: must be {ALLOWED[match[2]]}"
        raise UserError(f"{message} (see {self.prog} --help)")


def _typed(kind: Callable[[str], T], text: str) -> T:
    """The number that a text is. Raises ValueError for 1_0, which Python would read as 10."""
    if "_" in text:
        raise ValueError
    return kind(text)


def understood(arguments: list[str]) -> argparse.Namespace:
    """The arguments; the verb's own help is named where one of them is unknown.

    Raises UserError for an empty one, as an unset variable of a shell leaves it: it would name the working
    directory, or nothing, so that the verb took all runs. A job's are the workflow's, whose
    --data-dir is empty where a study states no folder.
    """
    stage = STAGES.get(arguments[0]) if arguments and "--job" in arguments else None
    named = ""
    for text in () if stage else arguments:
        named = text.partition("=")[0] if text.startswith("--") or not named else named
        if not text or re.fullmatch(r"--[\w-]+=", text):
            raise UserError(f"{named or 'rs'}: an empty argument; give it a value, or leave it out")
    args, unknown = (
        job_parser(stage) if stage else parser(arguments[0] if arguments else None)
    ).parse_known_args(arguments)
    if unknown:
        verb = f"rs {args.verb}" if args.verb else "rs"
        raise UserError(f"unrecognized arguments: {' '.join(unknown)} (see {verb} --help)")
    return args


def job_parser(stage: Stage) -> argparse.ArgumentParser:
    """The parser of a single job. Other verbs take a second to import, which every job would pay."""
    top = Parser("rs")
    verb = top.add_subparsers(dest="verb").add_parser(stage.name, description=stage.text)
    stages.add_arguments(verb, stage)
    verb.set_defaults(act=stages.run, stage=stage.name)
    return top


def parser(requested: str | None = None) -> argparse.ArgumentParser:
    """All verbs with names and texts; the `requested` one is imported, with its arguments and function."""
    from rs.cli.verbs import AS_WRITTEN, VERBS

    top = Parser("rs", description=USAGE, formatter_class=AS_WRITTEN)
    top.add_argument("--version", action="version", version=f"rs {__version__}")
    top.set_defaults(act=lambda _: top.print_help())
    verbs = top.add_subparsers(dest="verb", metavar="VERB")
    for stage in STAGES.values():
        before = f"{OF_PEOPLE[stage.name]}; without these options, " if stage.name in OF_PEOPLE else ""
        verb = verbs.add_parser(stage.name, description=f"{before}{stage.text}")
        if stage.name == requested:
            add_stage(verb, stage)
    for last in STUDY_STAGES.values():
        verb = verbs.add_parser(last.name, description=last.text)
        if last.name == requested:
            from rs.cli import study_stages

            study_stages.add_arguments(verb)
            verb.set_defaults(act=study_stages.run, stage=last.name)
    for own in VERBS:
        own.add_to(verbs, requested)
    peoples = [*(own.name for own in VERBS), *OF_PEOPLE]
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


def add_stage(verb: argparse.ArgumentParser, stage: Stage) -> None:
    """Adds the arguments of a stage's verb, for the workflow and for people."""
    stages.add_arguments(verb, stage)
    verb.set_defaults(act=stages.run, stage=stage.name)
    if stage.name == "certify":
        from rs.cli import certify

        certify.add_to(verb)


def act(args: argparse.Namespace) -> None:
    """Runs the verb. Raises UserError where code that it ran (an entry, a plug-in) would end the process."""
    try:
        args.act(args)
    except SystemExit as error:
        if launching.launched():  # it ends like this itself
            raise
        frames = traceback.extract_tb(error.__traceback__)
        last = next(f for f in reversed(frames) if not _of_python(f.filename))
        problem = "must not read the command line or end the process when it is imported or called"
        raise UserError(f"{last.filename}:{last.lineno}: exits with {error.code!r}; {problem}") from error


def _of_python(file: str) -> bool:
    """Whether a file is Python's own. In some installations packages lie inside its library's folder."""
    packages = tuple(map(sysconfig.get_path, ("purelib", "platlib")))
    return file.startswith((sysconfig.get_path("stdlib"), "<")) and not file.startswith(packages)


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if isinstance(sys.stdout, io.TextIOWrapper):  # of any encoding: a letter that it lacks is no error
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        act(understood(arguments))
    except UserError as error:
        print(f"rs: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        print("rs: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # from `rs list | head`
        sys.stdout = None
    except Exception as error:
        if not (line := _of_machine(error)):
            raise
        print(f"rs: {line}", file=sys.stderr)
        return 1
    return 0


def _of_machine(error: Exception) -> str:
    """What the machine refused, in one line; empty where it may be a fault of the code."""
    if ran_out(error):
        advice = "use smaller batches, or run fewer jobs on this device at a time"
        return f"memory ran out ({how_much(error)}); {advice}"
    if isinstance(error, OSError) and error.errno in REFUSED and error.filename is not None:
        return str(UserError(f"{os.fsdecode(error.filename)}: cannot be read or written: {error.strerror}"))
    return ""


if __name__ == "__main__":
    sys.exit(main())
