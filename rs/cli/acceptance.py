"""`rs accept`: takes over results of an older version after a look, instead of making them again. No torch.

It lists the finished files of a study whose code differs today, by run and stage: how many, from which
commit, and which of the definitions that they execute have changed since, as far as git knows. With --yes it
records beside the results that they count as made by today's code: who, when, from which digest to which.
Snakemake and the merging of draws then treat old and new as equal; a later edit of the code makes both stale.
Tables and pages are made anew, which takes seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import getpass
import io
import platform
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs.errors import UserError, plural
from rs.plan.jobs import Job
from rs.plan.plan import Plan
from rs.plan.stages import STAGES
from rs.plan.staleness import in_order, job_is_current, judge_by_content, provenance_of
from rs.provenance import accepted_code
from rs.provenance import code as code_digest
from rs.provenance.digests import digest
from rs.provenance.files import commit, versions
from rs.study.study import Study

CHECKOUT = code_digest.ROOT.parent
MOST_NAMED = 8


@dataclass(frozen=True)
class Other:
    """Finished files of one run and stage made by other code: its digest, and the commit in the files."""

    folder: Path
    label: str
    stage: str
    made_by: str
    at: str
    jobs: list[Job]

    @property
    def now(self) -> str:
        return self.jobs[0].code

    def sentences(self) -> Iterator[str]:
        count = plural(len(self.jobs), "file")
        yield f"{self.label}: {self.stage}: {count} made by code {self.made_by}; the code is now {self.now}"
        yield f"    {since(self.at, self.jobs[0].executes)}"

    def acceptance(self) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        code = {"from": self.made_by, "to": self.now, "commit_from": self.at, "commit_to": commit()}
        return {"stage": self.stage, **code, "by": _user(), "at": now, "rs": versions()["rs"]}


def made_by_other_code(plan: Plan, run: str | None, stages: list[str]) -> list[Other]:
    """The finished files of a plan that count as made by other code than today's. Raises UserError for an
    unknown run, and for a damaged file.
    """
    labels = {planned.id: planned.title for planned in plan.runs}
    chosen = plan.runs if run is None else plan.labelled(run)
    targets = {job.target for planned in chosen for job in plan.of_run(planned.id)}
    others: dict[tuple[str, ...], Other] = {}
    for job in in_order(plan):
        path = job.target
        if (job.run and path not in targets) or (stages and job.stage not in stages) or not path.is_file():
            continue
        stored = provenance_of(path)
        code, at = stored.get("code_digest"), str(stored.get("commit", ""))
        folder = accepted_code.folder_of(path)
        if not isinstance(code, str) or folder is None or stored.get("spec_digest") != digest(job.spec):
            continue  # not a file of this job
        if job.code not in accepted_code.counts_as(path, code):
            label = labels.get(job.run, job.run or folder.name)
            key = (str(folder), job.stage, code, job.code, at)
            others.setdefault(key, Other(folder, label, job.stage, code, at, [])).jobs.append(job)
    return list(others.values())


def accept(plan: Plan, others: list[Other]) -> None:
    """Records that the files count as made by today's code. Snakemake's records of current files name the
    former code and are removed, so such files are judged by their content.
    """
    by_folder: dict[Path, list[dict[str, Any]]] = {}
    for other in others:
        by_folder.setdefault(other.folder, []).append(other.acceptance())
    for folder, entries in by_folder.items():
        accepted_code.add(folder, entries)
    forget_records(plan)


def forget_records(plan: Plan) -> None:
    """Runs again with each --yes, which completes an interrupted call."""
    for job in in_order(plan):
        with contextlib.suppress(UserError):  # the stage that reads a damaged file reports it
            if job_is_current(job):
                judge_by_content(job.outputs.values())


@functools.cache
def since(at: str, executes: tuple[str, ...]) -> str:
    """What has changed in the code of `executes` since a commit (with + where its files were edited)."""
    if not at:
        return "what differs is not known: made outside of a checkout"
    edited = "; the checkout had edits that are in no commit" if at.endswith("+") else ""
    ours = tuple(entry for entry in executes if entry.startswith(f"{code_digest.ROOT.name}."))
    edited += "; the methods of plug-ins are not compared" if ours != executes else ""
    before = _code_of(at.rstrip("+"))
    if before is None:
        return f"what differs is not known: commit {at} is not in this checkout{edited}"
    now = code_digest.here()
    try:
        old = before.closure(ours)
    except UserError as error:
        return f"since commit {at}, which lacks what it executes today ({error}){edited}"
    today = now.closure(ours)
    if set(old.values()) == set(today.values()):
        return f"since commit {at} nothing that it executes differs{edited}"
    former = {place: before.definition(place).text for place in old}
    current = {place: now.definition(place).text for place in today}
    names = sorted({f"{p[0]}:{p[1]}".rstrip(":") for p, _ in former.items() ^ current.items()})
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"since commit {at} these differ: {', '.join(names[:MOST_NAMED])}{more}{edited}"


@functools.cache
def _code_of(at: str) -> code_digest.Code | None:
    """The package as it was at a commit; None where git does not have it."""
    git = ["git", "-C", str(CHECKOUT), "archive", "--format=tar", at, "--", code_digest.ROOT.name]
    try:
        packed = subprocess.run(git, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    folder = _kept.enter_context(tempfile.TemporaryDirectory())
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return code_digest.Code(Path(folder) / code_digest.ROOT.name)


_kept = contextlib.ExitStack()  # folders of former code, until the process ends


def _user() -> str:
    try:
        return f"{getpass.getuser()}@{platform.node()}"
    except (OSError, KeyError):  # a container without users
        return platform.node()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", metavar="LABEL", help="only results of this run")
    help_text = f"only results of these stages: {', '.join(STAGES)}"
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=[], metavar="STAGE", help=help_text)
    parser.add_argument(
        "--yes", action="store_true", help="record that they count as made by the current code"
    )


def run(args: argparse.Namespace) -> None:
    plan = Plan(Study(args.study))
    others = made_by_other_code(plan, args.run, args.stage)
    for other in others:
        print("\n".join(other.sentences()))
    if not others:
        if args.yes:
            forget_records(plan)
        print("nothing to accept: all existing results count as made by the current code")
    elif not args.yes:
        print("(listed only; --yes records that these count as made by the current code)")
    else:
        accept(plan, others)
        folders = sorted({str(other.folder / accepted_code.NAME) for other in others})
        print(f"accepted; recorded in {', '.join(folders)}")
