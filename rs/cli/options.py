"""Options of verbs whose own modules import libraries: neither help nor a wrong option waits for those."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from rs.errors import UserError


def refuse_inputs(option: str, out: Path, read: Iterable[Path]) -> None:
    """Raises UserError where the file to write is one of the files that the verb reads: it would be lost."""
    if out.resolve() in {file.resolve() for file in read}:
        raise UserError(f"{option} {out}: is one of the files to read, which it would replace; name another")


def list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def precision_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", metavar="LABEL", help="only this run (default: all trained runs)")
    images = "how many images of the test subset (default: 100)"
    parser.add_argument("--images", type=int, default=100, metavar="N", help=images)
    parser.add_argument("--n", type=int, default=1000, metavar="N", help="votes per image (default: 1000)")
    against = "compare this precision with float32 (default: the study's own, or bfloat16)"
    parser.add_argument("--precision", choices=("bfloat16", "int8"), help=against)


def rederive_options(parser: argparse.ArgumentParser) -> None:
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


def verdicts_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--paper", metavar="NAME", help="only this paper: NAL, STN, MACER, ...")
    parser.add_argument("--json", action="store_true", help="print totals, numbers and claims as JSON")
    help_text = "use only kept observations (evidence/), not results/"
    parser.add_argument("--kept", action="store_true", help=help_text)
    help_text = "first compute verdicts from other people's logs (evidence/logs.yaml), and keep them"
    parser.add_argument("--from-logs", action="store_true", help=help_text)
    help_text = "write them into these files, between the marks <!-- verdicts --> and <!-- /verdicts -->"
    parser.add_argument("--write", nargs="+", type=Path, default=[], metavar="FILE", help=help_text)


def why_options(parser: argparse.ArgumentParser) -> None:
    help_text = "address of a number or claim, as rs verdicts prints it; or row N of a table: STUDY/TABLE[N]"
    parser.add_argument("address", metavar="ADDRESS", help=help_text)


def ui_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=5000, metavar="PORT", help="default: 5000")


def follow_options(parser: argparse.ArgumentParser) -> None:
    every = "seconds between two updates (default: 30)"
    parser.add_argument("--every", type=float, default=30.0, metavar="SECONDS", help=every)


def schema_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", action="store_true", help="write rs/schema.json instead of printing")
