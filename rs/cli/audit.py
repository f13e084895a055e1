"""Logs are tab-separated with the columns idx label predict radius correct time, as Cohen et al. publish
them. Parquet files hold certified radii (of rs, or as `rs import-log --out` writes them) or a study's tables.
Where sigma, n and alpha are known, radii are compared with those that n votes at alpha allow for Cohen et
al.'s CERTIFY under Gaussian noise. For logs, you state the three numbers. Files that name another
certificate, another noise or a stopping rule are not compared. Every finding is one line, FILE: NAME
(IMAGES): what is seen. A finding describes the file, not the cause: a wrong --sigma, --n or --alpha looks the
same.

exit codes:

    0    nothing found
    1    a file could not be read
    2    something found
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from rs.cli.audited_tables import NothingToAudit, Subject, subjects
from rs.cli.logs import found_logs
from rs.cli.mistakes import table
from rs.cli.text_table import between_marks
from rs.errors import UserError, plural
from rs.provenance.files import write_text
from rs.provenance.reading import as_number
from rs.settings.limits import LEVELS, is_level
from rs.statistics.attainable import MOST
from rs.study.certification_log import LogFault, lines_of, log_of
from rs.study.log_audit import Finding, Stated, facts_of
from rs.study.log_audit import findings as seen_in

VOTES = ("sigma", "n", "alpha")  # the numbers that bound CERTIFY's radii
NOT_SEEN = (
    "whether the same votes chose the class and bounded its probability, or more were drawn after a look",
    "whether sigma was in the units of the images, and the noise independent",
    "whether all votes came from one deterministic network, and whether it is the published one",
    "whether images were chosen after the results were seen, unless gaps or their number show it",
    "whether alpha or n was smaller than stated, or the bound weaker",
)


class Found(UserError):
    """Something was found in files that could be read."""

    exit_code = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="*", type=Path, metavar="FILE", help="logs, Parquet files, or folders of logs")
    add("--sigma", type=float, metavar="S", help="stated standard deviation of the Gaussian noise")
    add("--n", type=int, metavar="N", help="stated number of estimation votes per image")
    add("--alpha", type=float, metavar="A", help="stated error rate of the certificate")
    add("--images", type=int, metavar="N", help="stated number of images")
    add("--acr", metavar="R", help="stated average certified radius, with all its printed digits")
    add(
        "--json", action="store_true", help="print facts, findings and what was not checked per file, as JSON"
    )
    help_text = "print the Markdown table of all mistakes that rs refuses or reports"
    add("--mistakes", action="store_true", help=help_text)
    help_text = (
        "with --mistakes: write it into this file, between the marks <!-- mistakes --> and <!-- /mistakes -->"
    )
    add("--write", type=Path, metavar="DOCUMENT", help=help_text)


def run(args: argparse.Namespace) -> None:
    """Prints facts and findings. Raises UserError for unreadable files, Found where something is found."""
    if args.mistakes:
        if args.write:
            write_text(args.write, between_marks(args.write, "mistakes", table()))
        else:
            print(table(), end="")
        return
    if not args.files:
        raise UserError("audit: give logs, Parquet files or folders of logs; or --mistakes")
    stated, faults = _stated(args), list[UserError]()
    looked_at = list(_all(args.files, stated, faults))
    if len(faults) == 1 and not looked_at:
        raise faults[0]
    findings = {s.name: found for s, found in zip(looked_at, _findings(looked_at), strict=True)}
    (_print_json if args.json else _print)(looked_at, findings)
    for fault in faults:
        print(f"rs: {fault}", file=sys.stderr)
    if looked_at:
        faults = [fault for fault in faults if not isinstance(fault, NothingToAudit)]
    number = sum(map(len, findings.values()))
    summary = f"{plural(number, 'finding')} in {sum(map(bool, findings.values()))} of {len(looked_at)}"
    if faults:
        summary = f"{summary} other{'s' * (len(looked_at) != 1)}"
        raise UserError(f"audit: {plural(len(faults), 'file')} could not be read; {summary}")
    if number:
        raise Found(f"audit: {summary} {'log or table' if len(looked_at) == 1 else 'logs and tables'}")


def _stated(args: argparse.Namespace) -> Stated:
    """The statements on the command line. Raises UserError for impossible ones."""
    for option, value, allowed, fits in (
        ("sigma", args.sigma, LEVELS, is_level),
        ("n", args.n, f"1 to {MOST}", lambda v: 1 <= v <= MOST),
        ("alpha", args.alpha, "strictly between 0 and 1", lambda v: 0 < v < 1),
        ("images", args.images, "1 or more", lambda v: v >= 1),
        ("acr", args.acr, "a number as it is printed, 0.537", lambda v: 0 <= as_number(v) < math.inf),
    ):
        if value is not None and not fits(value):
            raise UserError(f"audit: --{option} {value}: must be {allowed}")
    return Stated(args.sigma, args.n, args.alpha, args.images, args.acr)


# --- reading ---


def _all(files: Iterable[Path], stated: Stated, faults: list[UserError]) -> Iterator[Subject]:
    """The subjects of all files. Statements on the command line replace those of a file. But radii that a
    file declares to be other than CERTIFY's are not compared with sigma, n and alpha.
    """
    statements = {key: value for key, value in asdict(stated).items() if value is not None}
    whole = {key: value for key, value in statements.items() if key not in VOTES}
    for path in dict.fromkeys(found_logs(files)):
        try:
            file_subjects = list(subjects(path)) if path.suffix == ".parquet" else [of_log(path)]
        except UserError as error:
            faults.append(error)
            continue
        for subject in file_subjects:
            counts = whole if subject.other else statements
            yield replace(subject, stated=replace(subject.stated, **counts), file=path)


def of_log(path: Path) -> Subject:
    """A log without its invalid lines, with one finding for each kind of fault."""
    lines = list(lines_of(path))
    faults = [line for line in lines if isinstance(line, LogFault)]
    kinds = Counter(fault.name for fault in faults)
    first = {fault.name: str(fault).removeprefix(f"{path}:") for fault in reversed(faults)}
    seen = tuple(Finding(name, number, f"line {first[name]}") for name, number in kinds.items())
    log = log_of(line for line in lines if not isinstance(line, LogFault))
    return Subject(str(path), log, seen, Stated())


# --- findings ---


def _findings(looked_at: list[Subject]) -> Iterator[list[Finding]]:
    """The findings of each subject. Equal outcomes in two files are found in the second. Two files may share
    outcomes with at most one distinct radius above 0, as from votes that all agree, or if both name the same
    network: another certificate in a study makes a second file of the same votes.
    """
    before: dict[tuple[str, bytes], Subject] = {}
    for subject in looked_at:
        findings = list(subject.seen)
        if (log := subject.log) is not None:
            findings += seen_in(log, subject.stated)
            outcomes = np.stack([log.idx, log.predict, log.radius]).tobytes()
            other = before.setdefault((subject.like, outcomes), subject)
            known = bool(subject.network) and subject.network == other.network
            if other.file != subject.file and not known and len(np.unique(log.radius[log.radius > 0])) > 1:
                findings.append(Finding("same-log-twice", len(log), f"every outcome is that of {other.name}"))
        yield findings


def not_checked(subject: Subject) -> list[str]:
    """The checks that need more statements."""
    stated, checks = subject.stated, list[str]()
    if subject.log is None:
        return checks
    lacking = [key for key in VOTES if getattr(stated, key) is None]
    if subject.other:
        checks.append(f"radii (they are {subject.other})")
    elif lacking:
        checks.append(f"radii (give {', '.join(f'--{key}' for key in lacking)})")
    checks += ["how many images (--images)"] if stated.images is None else []
    return checks + (["the average (--acr)"] if stated.acr is None else [])


def _facts(subject: Subject) -> str:
    return "a table" if subject.log is None else facts_of(subject.log, subject.stated.sigma)


def _print(looked_at: list[Subject], findings: dict[str, list[Finding]]) -> None:
    for subject in looked_at:
        print(f"{subject.name}: {_facts(subject)}")
        for finding in findings[subject.name]:
            print(f"{subject.name}: {finding.name} ({finding.count}): {finding.what}")
        if not findings[subject.name]:
            print(f"{subject.name}: nothing found")
        if left := not_checked(subject):
            print(f"{subject.name}: not checked: {', '.join(left)}")
    print("cannot be checked from outside:")
    print("\n".join(f"    {what}" for what in NOT_SEEN))


def _print_json(looked_at: list[Subject], findings: dict[str, list[Finding]]) -> None:
    files = [
        {"file": s.name, "facts": _facts(s), "stated": asdict(s.stated), "not_checked": not_checked(s)}
        | {"findings": [asdict(finding) for finding in findings[s.name]]}
        for s in looked_at
    ]
    print(json.dumps({"files": files, "not_seen": NOT_SEEN}, indent=1))
