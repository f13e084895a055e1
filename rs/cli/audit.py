"""`rs audit`: the mistakes that make a certificate say what is not so, and where each is caught."""

from __future__ import annotations

import argparse
from pathlib import Path

from rs.cli.marked import within
from rs.cli.mistakes import table
from rs.errors import UserError
from rs.provenance.files import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    told = "the table of all mistakes that are refused or flagged, in Markdown"
    parser.add_argument("--mistakes", action="store_true", help=told)
    told = "write it into this file, between the marks <!-- mistakes --> and <!-- /mistakes -->"
    parser.add_argument("--write", type=Path, metavar="FILE", help=told)


def run(args: argparse.Namespace) -> None:
    if not args.mistakes:
        raise UserError("audit: give --mistakes")
    if args.write:
        write_text(args.write, within(args.write, "mistakes", table()))
    else:
        print(table(), end="")
