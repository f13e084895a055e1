"""Certification logs in and out: `rs import-log`, `rs export-log`.

A log holds predictions and radii only (see rs.study.certification_log). Its user states the rest in the
study: noise, alpha, n and certificate. None of this can be checked here, and published radii may be rounded
up.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rs.cli.options import refuse_inputs
from rs.cli.plans import plan_of
from rs.errors import UserError, plural
from rs.provenance.code import code_digest
from rs.provenance.digests import file_digest
from rs.provenance.files import provenance, whole_file, write_table
from rs.provenance.run_files import belongs, read_certified, read_model_manifest
from rs.report.html_table import down, up
from rs.settings.labels import describe
from rs.settings.limits import LARGEST
from rs.settings.study import Report
from rs.study.certification_log import Log, check_name, images, logs_in, read_log, write_claims
from rs.tables.certified import decided_radii, left_open

TABLES = (".parquet", ".csv")

# --- rs import-log ---


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="certification logs, or folders of them"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="TABLE",
        help="write all images of all logs to this file, .parquet or .csv",
    )
    parser.add_argument(
        "--radii",
        nargs="+",
        type=float,
        default=list(Report().radii),
        metavar="R",
        help="radii of the printed certified accuracies",
    )


def import_logs(args: argparse.Namespace) -> None:
    """Prints certified accuracy and ACR of each log with 95 % intervals; writes all logs as one table.

    Unreadable logs are named after the others; the UserError (exit code 1) gives their number.
    """
    if any(not 0 <= r <= LARGEST for r in args.radii):
        raise UserError(f"import-log: --radii: must be numbers from 0 to {LARGEST}")
    if args.out and args.out.suffix not in TABLES:
        raise UserError(f"import-log: --out {args.out}: must end in {' or '.join(TABLES)}")
    logs: dict[Path, Log] = {}
    faults: list[UserError] = []
    paths = list(dict.fromkeys(found_logs(args.files)))
    if args.out:
        refuse_inputs("import-log: --out", args.out, paths)
    for path in paths:
        try:
            logs[path] = read_log(path)
        except UserError as error:
            faults.append(error)
    if len(paths) == len(faults) == 1:
        raise faults[0]
    print("\n\n".join(summary(path, log, args.radii) for path, log in logs.items()), end="\n" * bool(logs))
    if args.out and logs:
        _write(args.out, logs)
    for fault in faults:
        print(f"rs: {fault}", file=sys.stderr)
    if faults:
        problem = f"{len(faults)} of {len(paths)} logs could not be read"
        raise UserError(f"import-log: {problem} and {'is' if len(faults) == 1 else 'are'} left out")


def found_logs(places: Iterable[Path]) -> Iterable[Path]:
    """The files themselves, and the logs in folders."""
    for path in places:
        if not path.is_dir():
            yield path
            continue
        logs, others = logs_in(path)
        if not logs:
            raise UserError(f"{path}: no certification log in this folder")
        if others:
            names = ", ".join(str(other.relative_to(path)) for other in others[:5])
            more = ", ..." * (len(others) > 5)
            count = plural(len(others), "file")
            print(f"{path}: passed over, no logs: {names}{more} ({count})", file=sys.stderr)
        yield from logs


def _write(out: Path, logs: dict[Path, Log]) -> None:
    """One row per log and image; Parquet holds its provenance, CSV cannot."""
    columns = [{"log": [str(p)] * len(log), **images(log), "seconds": log.seconds} for p, log in logs.items()]
    table = pa.concat_tables([pa.table(c) for c in columns])
    if out.suffix == ".csv":
        with whole_file(out) as temporary:
            table.to_pandas().to_csv(temporary, index=False)
        return
    sources = {str(path): file_digest(path) for path in logs}
    code = code_digest(("rs.study.certification_log:images",))
    write_table(out, table, provenance({"logs": sources}, code))


def summary(path: Path, log: Log, radii: Sequence[float]) -> str:
    """Lines of text for one log: values and lower ends are floored, upper ends rounded up."""
    from rs.statistics.intervals import shares_at_least, t_interval

    mean, low, high = t_interval(np.where(log.correct, log.radius, 0.0), least=0.0)
    lines = [f"{path}: {plural(len(log), 'image')}, {int((log.predict < 0).sum())} abstained"]
    lines.append(f"average certified radius {_interval(mean, low, high)}")
    for radius, *ends in zip(radii, *shares_at_least(log.certified_radius(), radii), strict=True):
        lines.append(f"certified accuracy at {radius:<5g} {_interval(*map(float, ends))}")
    return "\n".join(lines)


def _interval(value: float, low: float, high: float) -> str:
    shown = (to(v) if np.isfinite(v) else "none" for to, v in ((down, value), (down, low), (up, high)))
    return "{} [{}, {}]".format(*shown)


# --- rs export-log ---


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", required=True, metavar="LABEL", help="label of the run")
    parser.add_argument("--seed", type=int, metavar="S", help="which seed, if the run has several")
    help_text = "which smoothing noise, if the run has several: 'gaussian sigma=0.25'"
    parser.add_argument("--smoothing", metavar="TEXT", help=help_text)
    help_text = "which certificate, if the run has several: its name in the tables"
    parser.add_argument("--certificate", metavar="NAME", help=help_text)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the log to write")


def export_log(args: argparse.Namespace) -> None:
    """Writes one certificate's results of one run. Radii keep all their digits; times are written as 0.

    Raises UserError where the run, its seed, smoothing noise or certificate is unknown or not the only one.
    """
    check_name(args.out, "export-log: --out")
    plan = plan_of(args)
    study = plan.study.files[0]
    refuse_inputs("export-log: --out", args.out, plan.study.files)
    runs = {planned.run.seed: planned for planned in plan.labelled(args.run)}
    planned = _only(f"{study}: runs.{args.run}", "--seed", runs, args.seed)
    noises = {describe(o.noise): o.certified for o in planned.observations if o.certified}
    if not noises:
        raise UserError(f"{study}: runs.{args.run}: has no certificates, so there is nothing to export")
    path = _only(f"{study}: runs.{args.run}", "--smoothing", noises, args.smoothing)
    frame, metadata = read_certified(plan.existing(path))
    network = read_model_manifest(planned.manifest)["sha256"]
    belongs(path, metadata, plan.maker(path).spec, network)
    groups = {str(name): group for name, group in frame.groupby("certificate", sort=False)}
    chosen = _only(f"{study}: runs.{args.run}", "--certificate", groups, args.certificate)
    write_claims(args.out, {str(name): column.to_numpy() for name, column in chosen.items()})
    if (decided := decided_radii(chosen, metadata.get("stop"))) is not None:
        print(f"{args.out}: {left_open(decided)}", file=sys.stderr)


def _only(where: str, option: str, entries: dict[Any, Any], requested: Any) -> Any:
    """The requested entry, or the only one."""
    if requested is None and len(entries) == 1:
        return next(iter(entries.values()))
    if requested not in entries:
        problem = f"give one with {option}" if requested is None else f"{option} {requested}: not there"
        raise UserError(f"{where}: {problem}; it has {', '.join(map(str, entries))}")
    return entries[requested]
