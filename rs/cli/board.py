"""The page shows runs of studies and certification logs: curves to read at any radius, a ranking with ties,
and differences image by image.

Contestants are named as in `rs compare`: FILE is a log, STUDY.yaml:LABEL a run, STUDY.yaml all runs of a
study.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from rs.cli.compare import CONTESTANT, MOST, NAMED, add_choices, files_read, find
from rs.cli.compared_text import short_names
from rs.cli.options import refuse_inputs
from rs.errors import UserError
from rs.report.board import write_board
from rs.tables.comparisons import PairSettings, compare
from rs.tables.contestants import refuse_other_norms


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contestants", nargs="+", metavar=NAMED, help=CONTESTANT)
    add_choices(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("board.html"), metavar="FILE", help="default: board.html"
    )
    parser.add_argument("--title", default="Board", metavar="TEXT", help="title of the page (default: Board)")


def run(args: argparse.Namespace) -> None:
    if args.out.is_dir() or not args.out.parent.is_dir():
        raise UserError(f"board: --out {args.out}: must be a file in an existing folder")
    refuse_inputs("board: --out", args.out, files_read(args.contestants))
    contestants, radii = find(args)
    lacks = [c.name for c in contestants if c.certified is None]
    if lacks:
        raise UserError(f"board: {lacks[0]}: has no certified radii")
    if len(contestants) > MOST:
        raise UserError(f"board: {len(contestants)} contestants; at most {MOST} on one page")
    refuse_other_norms(contestants)
    settings = PairSettings(radii)
    pairs = compare((a, b, settings) for a, b in itertools.combinations(contestants, 2))
    largest = max(float(c.certified.values.max()) for c in contestants if c.certified is not None)
    names = short_names([c.name for c in contestants])
    write_board(args.out, args.title, contestants, names, pairs, [r for r in radii if r <= largest])
    print(args.out)
