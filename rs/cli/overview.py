"""Texts for the terminal: the certified-accuracy table, places of results, results that no study names."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from rs.cli.plans import plan_of
from rs.cli.slice_archives import MANIFEST
from rs.errors import plural
from rs.plan import diverged
from rs.plan.jobs import RESULTS
from rs.plan.logged import unlogged
from rs.plan.plan import Plan
from rs.plan.shard_sizes import RECORD
from rs.provenance import accepted_code
from rs.provenance.files import PART, read_json, read_provenance, read_table
from rs.provenance.run_files import DIVERGED
from rs.report.guessing import of_imports
from rs.report.html_table import bound, down, up
from rs.report.names import MEASURES, norm_name
from rs.report.verdict_words import verdict_words
from rs.study.rerun import files_of, study_of
from rs.study.tracking_place import without_password
from rs.tables.aggregate import check_tables

HOUR = 3600.0  # seconds; writing a file takes far less
# beginnings of names of files that no job makes, and that belong to their run, draws or data set
KEPT_BESIDE = ("resume-", ".", accepted_code.NAME, DIVERGED, RECORD, MANIFEST)


def show(args: argparse.Namespace) -> None:
    """`rs show`: the study's table, its published numbers, and where its results lie."""
    plan = _as_its_tables(plan_of(args))
    for sentence in diverged.sentences(plan):  # without this run there are no tables, or older ones
        print(f"rs: {sentence}", file=sys.stderr)
    check_tables(plan, only_shown=True)
    print(certified_accuracy_text(plan.tables))
    print(*slips(plan), published_text(plan.tables), sep="\n")
    print(places(plan))


def _as_its_tables(plan: Plan) -> Plan:
    """The plan, with the values of --config that its tables were made with: `rs show` takes none itself."""
    table = plan.table_files()[0]
    provenance = read_provenance(table) if table.is_file() else {}
    if not provenance.get("overrides") or files_of(provenance) != plan.study.files:
        return plan
    made = Plan(study_of(table, provenance))
    values = " ".join(f"{key}={json.dumps(value)}" for key, value in made.study.overrides.items())
    print(f"rs: {plan.tables}: made with --config {values}", file=sys.stderr)
    return made


def with_seeds(tables: Path, name: str) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a table of runs, and the columns that tell runs apart: `label`, and `seed` where a label of
    the study has several.
    """
    rows, runs = read_table(tables / f"{name}.parquet")[0].to_pandas(), tables / "runs.parquet"
    seeds = read_table(runs)[0].to_pandas() if runs.is_file() else pd.DataFrame({"label": []})
    if not seeds["label"].duplicated().any():
        return rows, ["label"]
    by_run = {run: "" if pd.isna(seed) else f"{seed:g}" for run, seed in seeds[["run", "seed"]].to_numpy()}
    return rows.assign(seed=[by_run.get(run, "") for run in rows["run"]]), ["label", "seed"]


def certified_accuracy_text(tables: Path) -> str:
    """Certified accuracy at the report radii and ACR, floored to three digits, with ≥ before a lower bound; a
    row per certificate.
    """
    accuracy, named = with_seeds(tables, "certified_accuracy")
    if accuracy.empty:
        return "no certificate in this study"
    acr, _ = with_seeds(tables, "average_certified_radius")
    accuracy["shown"], acr["shown"] = _shown(accuracy, "certified_accuracy"), _shown(acr, "acr")
    keys = [*named, "smoothing", "certificate", *(c for c in ("alpha", "n") if accuracy[c].nunique() > 1)]
    tables_by_norm = []
    for norm in accuracy["norm"].unique().tolist():
        wide = accuracy[accuracy["norm"] == norm].pivot_table(
            index=[*keys, "run"], columns="radius", values="shown", aggfunc="first", sort=False
        )
        wide.columns = [f"r={r:g}" for r in wide.columns]
        wide["ACR"] = acr[acr["norm"] == norm].set_index([*keys, "run"])["shown"]
        head = f"{norm_name(float(norm))} radius\n" if accuracy["norm"].nunique() > 1 else ""
        shown = wide.reset_index("run", drop=True).reset_index()
        tables_by_norm.append(head + shown.to_string(index=False, float_format="{:g}".format))
    first = accuracy.iloc[0]
    notes = f"certified accuracy on {plural(first['images'], 'image')}"
    notes += "".join(f", {c} = {first[c]:g}" for c in ("n", "alpha") if c not in keys)
    estimates = set(accuracy.loc[~accuracy["rigorous"].astype(bool), "certificate"])
    if "largest_radius" in accuracy and accuracy["largest_radius"].notna().any():
        most = accuracy.groupby("certificate", sort=False)["largest_radius"].max().dropna()
        notes += f"; largest radius possible: {', '.join(f'{c} {down(r)}' for c, r in most.items())}"
    if estimates:
        notes += f"; estimates, not certificates: {', '.join(sorted(estimates))}"
    return "\n\n".join(tables_by_norm) + "\n" + notes


def _shown(rows: pd.DataFrame, column: str) -> list[str]:
    return [bound(row) + down(row[column]) for row in rows.to_dict("records")]


def published_text(tables: Path, measured_only: bool = False) -> str:
    """Published numbers, the measured ones with 95 % intervals, and verdicts. With `measured_only`, numbers
    without measurement are only counted.
    """
    rows = read_table(tables / "published.parquet")[0].to_pandas()
    absent = rows["reproduced"].isna() & measured_only
    lines = []
    for (paper, table, label), group in rows[~absent].groupby(["paper", "table", "label"], sort=False):
        lines.append(f"\n{label}, beside {paper}, {table}")
        settings = group["settings"].dropna().unique()
        if len(settings) == 1:  # said once
            lines.append(f"  at other settings: {settings[0]}")
            group = group.assign(settings=None)
        for row in group.to_dict("records"):
            name = MEASURES.get(row["metric"]) or f"r={row['radius']:g}"
            outcome = verdict_words(row)
            if pd.notna(row["reproduced"]):
                ends = "" if pd.isna(row["low"]) else f" [{down(row['low'])}, {up(row['high'])}]"
                outcome = f"reproduced {bound(row)}{down(row['reproduced'])}{ends}  {outcome}"
            lines.append(f"  {name:<7} published {row['printed']:<6} {outcome}")
    lines += [f"\npublished numbers without a measurement: {absent.sum()}"] if absent.any() else []
    return "\n".join(lines)


def slips(plan: Plan) -> Iterator[str]:
    """Sentences on imported models that are no better than guesses."""
    classes = plan.data_facts.get("x-classes")
    if classes is None and plan.data_manifest.is_file():  # a folder of images says it there
        classes = read_json(plan.data_manifest)["classes"]
    if classes is not None:
        yield from of_imports(plan.tables, classes)


def places(plan: Plan) -> str:
    """The places of a study's results that are there; `rs certify` makes tables alone."""
    files = {
        "report": plan.folder / "report.html",
        "figures": plan.folder / "figures",
        "tables": plan.tables,
    }
    rows = {name: str(path) for name, path in files.items() if path.exists()}
    if (plan.folder / "mlflow.json").is_file():
        rows["MLflow"] = unlogged(plan) or without_password(plan.study.tracking["uri"])
    return "\n".join(f"{name:<8} {path}" for name, path in rows.items())


def left_behind() -> list[Path]:
    """Half-written files of killed verbs: those unchanged for an hour."""
    recent = time.time() - HOUR
    parts = (path for path in sorted(RESULTS.rglob(f".*{PART}")) if path.is_file())
    return [path for path in parts if path.stat().st_mtime < recent]


def unnamed(plans: list[Plan]) -> list[Path]:
    """Runs, data sets, and single files of draws, certificates and attacks that no plan names; and
    half-written files.
    """
    named: set[Path] = set()
    for plan in plans:
        named |= {*plan.makers(), *plan.aggregated_files()}
    kept = {parent for path in named for parent in path.parents} | named
    orphans: list[Path] = []
    for shared in accepted_code.SHARED:
        for path in sorted((RESULTS / shared).rglob("*")):
            if path in kept or any(parent in orphans for parent in path.parents):
                continue
            if "log" in (*path.parts, path.stem) or path.name.startswith(KEPT_BESIDE):
                continue
            orphans.append(path)
    orphans += [path for path in left_behind() if not any(parent in orphans for parent in path.parents)]
    return orphans
