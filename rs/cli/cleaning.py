"""`rs clean`: lists and removes results that no known study names, in this folder or among those given.

Known studies are all YAML files of the working directory and of config/ that are studies, the sets of files
(with overlays) that made the tables in results/ or were begun without tables yet, and the studies of
`rs certify`. A run takes days and cannot be restored after removal, so anything uncertain is kept, and
nothing is removed while a study is computed here.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rs.cli.overview import unnamed
from rs.errors import UserError, plural
from rs.plan import running_plans, started_studies
from rs.plan.file_times import BEFORE_ALL
from rs.plan.jobs import RESULTS
from rs.plan.plan import Plan
from rs.provenance.files import read_provenance
from rs.report.numerals import naturally
from rs.study.rerun import files_of, study_of
from rs.study.study import Study
from rs.study.yaml_file import read_yaml

DAY = 86_400.0
OF_A_STUDY = ("tables", "figures", "report.html", "mlflow.json", "log")  # all that results/<name> has


def add_arguments(parser: argparse.ArgumentParser) -> None:
    more = "further studies to keep, beside those of this folder; a study with overlays as FILE+OVERLAY"
    parser.add_argument("--study", nargs="+", default=[], metavar="FILE", help=more)
    parser.add_argument("--only", action="store_true", help="keep only the studies that --study names")
    parser.add_argument("--delete", action="store_true", help="remove what is listed (asks first)")
    parser.add_argument("--yes", action="store_true", help="with --delete, do not ask")


def run(args: argparse.Namespace) -> None:
    """Lists results that no known study names with sizes and ages, and removes them if asked to."""
    if args.only and not args.study:
        raise UserError("clean: --only needs --study: the studies to keep")
    # --study takes several studies here, so the overlays of one are joined to its file by +
    studies = [
        (Path(text),) if Path(text).exists() else tuple(map(Path, text.split("+"))) for text in args.study
    ]
    plans = [Plan(Study(files)) for files in studies]
    unread: list[str] = []
    for make in () if args.only else in_folder():
        try:
            plans.append(Plan(make()))
        except UserError as error:
            unread.append(str(error))
    for problem in unread:
        print(f"rs: cannot tell what it keeps: {problem}", file=sys.stderr)
    names = dict.fromkeys("+".join(map(str, plan.study.files)) for plan in plans)
    print("known studies: " + (", ".join(names) or "none"))
    places = unnamed(plans)
    places += [] if args.only else [*of_former_names({plan.study.name for plan in plans})]
    if not places:
        print("nothing to clean")
        return
    sizes = {path: size_of(path) for path in places}
    for path in places:
        print(f"{in_words(sizes[path]):>8}  {age_of(path):>11}  {path}")
    total = f"{plural(len(places), 'place')}, {in_words(sum(sizes.values()))}"
    if not args.delete:
        print(f"({total}; listed only, --delete removes them)", file=sys.stderr)
        return
    if unread:
        problem = f"{plural(len(unread), 'study', 'studies')} cannot be read; repair what is named above"
        raise UserError(f"nothing removed: {problem}, or give --only")
    check_nothing_runs()
    if not args.yes and not agreed(f"No known study names these {total}. Remove them? [y/N] "):
        raise UserError("nothing removed")
    with running_plans.in_turn():  # no other process plans meanwhile
        check_nothing_runs()
        for path in places:
            remove(path)
    print(f"removed {total}")


def check_nothing_runs() -> None:
    """Raises UserError while a process computes a study here: no file may name yet what it makes."""
    if running := running_plans.running():
        some = plural(len(running), "process computes", "processes compute")
        raise UserError(f"nothing removed: {some} studies here, as long as {running[0]} is locked")


def remove(path: Path) -> None:
    """Removes a file or folder; of a link, only the link. Raises UserError for one that cannot be removed."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{error.filename or path}: cannot be removed: {reason}") from error


def agreed(question: str) -> bool:
    """Asks a person on the terminal. Raises UserError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UserError("clean: --delete asks on a terminal; --yes removes without asking")
    return input(question).strip().lower() in ("y", "yes")


def in_folder() -> Iterator[Callable[[], Study]]:
    """The studies of this folder: those of its files, and those that made the tables in results/, with the
    values given to Snakemake by --config.
    """
    candidates = [*naturally(Path().glob("*.y*ml")), *naturally(Path("config").rglob("*.y*ml"))]
    for path in [*filter(is_study, candidates), *naturally(RESULTS.glob("*/study.yaml"))]:
        yield partial(Study, [path])
    for table in naturally(RESULTS.glob("*/tables/runs.parquet")):
        over = f"remove {table.parents[1]} if that study is given up"
        yield partial(_recorded, table, read_provenance, over)
    for path in started_studies.records():
        yield partial(_recorded, path, started_studies.read, "remove this file if that study is given up")


def _recorded(path: Path, read: Callable[[Path], dict[str, Any]], over: str) -> Study:
    """The study whose files `path` records. Raises UserError where one of them is gone."""
    provenance = read(path)
    for file in files_of(provenance):
        if not file.is_file():
            raise UserError(f"{path}: made from {file}, which is not there; bring it back, or {over}")
    return study_of(path, provenance)


def of_former_names(names: set[str]) -> Iterator[Path]:
    """What the workflow made in results/<name> for a study that has another name since, where no study has
    the former one.
    """
    for table in naturally(RESULTS.glob("*/tables/runs.parquet")):
        folder = table.parents[1]
        with contextlib.suppress(UserError):  # already told
            if folder.name not in names and study_of(table, read_provenance(table)).name != folder.name:
                own = {folder / name for name in OF_A_STUDY}
                there = {*folder.iterdir()}
                yield from [folder] if there <= own else sorted(there & own)


def is_study(path: Path) -> bool:
    """Whether a file is a study: an overlay has no data, other YAML no name. A broken file may be one."""
    try:
        return {"name", "data"} <= read_yaml(path).keys()
    except UserError:
        return True


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in _files(path))


def age_of(path: Path) -> str:
    """Days since the newest of its files was written; of stale ones, whose time is set, nobody knows."""
    newest = max((file.stat().st_mtime for file in _files(path)), default=time.time())
    if newest <= BEFORE_ALL:
        return "unknown age"
    return f"{max(0.0, time.time() - newest) / DAY:.0f} days"


def in_words(size: float) -> str:
    """The size as text, such as `1.5 GB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _files(path: Path) -> Iterable[Path]:
    return (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else (path,)
