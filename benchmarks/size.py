"""The cost of a study with many finished runs: tables, page and MLflow store, in CPU seconds and megabytes.

  python benchmarks/size.py                 # 600 labels, 1,000 images each
  python benchmarks/size.py --runs 1000 --profile
  python benchmarks/size.py --keep FOLDER --only "import mlflow" again "once more"
  python benchmarks/size.py --keep FOLDER --only alone

The tables are the made-up ones of benchmarks/page.py; figures are drawn too, and timed separately. With
--networks every run has a network of four kilobytes, manifests and 500 certified images on disk, which are
logged to MLflow too. `again` and `once more` are loggings with nothing new; `one changed` is one after a
change of one number of one run. `tables` is the aggregation of tables from made-up files of as many runs of
MNIST. Memory is the most that the process has held so far. With --keep, tables and store stay in a folder,
from where the next call takes them: its `again` is the first logging of a process. `alone` is a logging by a
process that does nothing else, its imports of this package and of MLflow included.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import json
import os
import pickle
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import page
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import rs
from rs.plan.plan import Plan
from rs.provenance.files import write_json, write_table
from rs.report import figures
from rs.report.page import write_report
from rs.report.tracking.sources import RunFiles, Sources
from rs.report.tracking.study import log_study
from rs.study.study import Study
from rs.tables.aggregate import aggregate
from rs.tables.reading import read

ALONE = """
import pickle, sys
from pathlib import Path
from rs.report.tracking.study import log_study
tables, uri, sources = sys.argv[1:]
print(len(log_study("large", Path(tables), uri, pickle.loads(Path(sources).read_bytes()))["written"]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=600)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--networks", action="store_true", help="log a small network of every run")
    parser.add_argument("--profile", action="store_true", help="and where the time goes")
    parser.add_argument("--only", nargs="*", default=[], metavar="PART")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where tables and store stay")
    args = parser.parse_args()

    def timed(name: str, act: Callable[[], Any]) -> Any:
        if args.only and name not in args.only:
            return None
        profile = cProfile.Profile() if args.profile else None
        clock, started = time.perf_counter(), time.process_time()
        result = profile.runcall(act) if profile else act()
        used, took = time.process_time() - started, time.perf_counter() - clock
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: {used:.2f} s of CPU, {took:.2f} s of wall time, {most:.0f} MB at most", flush=True)
        if profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(25)
        return result

    with contextlib.nullcontext(args.keep) if args.keep else tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        if not (folder / "tables/runs.parquet").is_file():
            page.store(folder, page.study(args.runs, args.images))
        if (stored := pq.read_metadata(folder / "tables/runs.parquet").num_rows) != args.runs:
            parser.error(f"{folder}: holds {stored} runs; --runs must be that, or the folder another one")
        drawn = timed("figures", lambda: figures.draw(folder / "tables", folder / "figures")) or []
        if drawn:
            print(f"figures: {len(drawn)} files, {sum(f.stat().st_size for f in drawn) / 1e6:.1f} MB")
        context: Any = {"radii": page.RADII, "files": ["config/study.yaml"], "commit": "3f2a91c"}
        plan = observed(folder, args.runs, args.images) if not args.only or "tables" in args.only else None
        with contextlib.chdir(folder):
            timed("tables", lambda: plan and aggregate(plan, plan.tables, plan.code("aggregate")))
            files = [file.stat().st_size for file in plan.tables.iterdir()] if plan else []
        print(f"tables: {sum(files) / 1e6:.1f} MB" if plan else "", end="\n" * bool(plan))
        out = folder / "report.html"
        if timed("page", lambda: write_report("large", folder / "tables", drawn, out, context) or True):
            print(f"page: {out.stat().st_size / 1e6:.1f} MB")
            parts(out.read_text())
        timed("import mlflow", lambda: __import__("mlflow"))
        logged(folder, args.networks, args.only, timed)


def logged(
    folder: Path, networks: bool, only: list[str], timed: Callable[[str, Callable[[], Any]], Any]
) -> None:
    """Logs the tables in `folder` to the store there, in each of the ways that are asked for."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    runs = read(folder / "tables", "runs").run if networks else []
    sources = Sources("Made up.", runs={run: run_files(folder, run) for run in runs})
    for name in ("logging", "again", "once more", "one changed"):
        if name == "one changed" and (not only or name in only):
            changed = read(folder / "tables", "certified_accuracy")
            changed.loc[0, "certified_accuracy"] = 0.125
            page.store(folder, {"certified_accuracy": changed})
        result = timed(name, lambda: log_study("large", folder / "tables", uri, sources))
        if result:
            print(f"{name}: {len(result['written'])} runs written")
    if not only or "alone" in only:
        (folder / "sources.pickle").write_bytes(pickle.dumps(sources))
        command = [sys.executable, "-c", ALONE, str(folder / "tables"), uri, str(folder / "sources.pickle")]
        clock, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        here = {"cwd": folder, "env": {**os.environ, "PYTHONPATH": str(Path(rs.__file__).parents[1])}}
        written = int(subprocess.run(command, check=True, capture_output=True, text=True, **here).stdout)
        after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - clock
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"alone: {used:.2f} s of CPU, {took:.2f} s of wall time, {written} runs written")
    if (folder / "mlflow.db").is_file():
        print(f"store: {(folder / 'mlflow.db').stat().st_size / 1e6:.1f} MB")


def observed(folder: Path, runs: int, images: int) -> Plan:
    """The plan in `folder` of `runs` runs of MNIST, with radii that a helper of the tests makes up."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from observed_runs import observe

    named = {
        f"run-{i}": {"objective": {"name": "gaussian"}, "training": {"epochs": i + 1}} for i in range(runs)
    }
    study = {"name": "observed", "data": {"name": "mnist"}, "model": {"name": "lenet"}, "runs": named}
    study |= {"noise": {"name": "gaussian", "sigma": 0.25}, "test": {"max": images}, "sampling": {"n": 1000}}
    study |= {"certificates": [{"name": "cohen", "alpha": 0.001}]}
    draw = np.random.default_rng(0)
    with contextlib.chdir(folder):
        Path("observed.yaml").write_text(yaml.safe_dump(study))
        plan = Plan(Study([Path("observed.yaml")]))
        observe(plan, lambda run: np.where(draw.random(images) < 0.2, -1, draw.uniform(0, 0.6, images)))
    return plan


def run_files(folder: Path, run: str) -> RunFiles:
    """The files of a run's network for MLflow, with the least possible content."""
    data, model = folder / "data/manifest.json", folder / "runs" / run / "model.json"
    files = RunFiles(model, data, (model.with_name("certified.parquet"),))
    if model.exists():
        return files
    if not data.exists():
        splits = {
            s: {"file": f"{s}.safetensors", "sha256": "0" * 64, "images": 500} for s in ("train", "test")
        }
        facts = {"name": "cifar10", "shape": [3, 32, 32], "classes": 10, "mean": [0.0] * 3, "std": [1.0] * 3}
        write_json(data, {**facts, "splits": splits, "provenance": {"spec": {"data": {"name": "cifar10"}}}})
    write_json(model, {"sha256": run, "run": run, "classes": 10, "provenance": {"spec": {}, "versions": {}}})
    model.with_suffix(".safetensors").write_bytes(bytes(4096))
    certified = pd.DataFrame({name: np.arange(500.0) for name in ("image", "label", "prediction", "radius")})
    spec = {"noise": {"name": "gaussian", "sigma": 0.5}, "seed": 0, "block": 1000}
    drawn = {"spec": spec, "form": {"precision": "bfloat16", "batch": 1024}}
    write_table(files.certified[0], pa.Table.from_pandas(certified), drawn)
    return files


def parts(text: str) -> None:
    """Prints the largest sections and data blocks of a page."""
    sizes = {}
    for piece in text.split("<section")[1:]:
        sizes[piece[:60].split(">")[0]] = len(piece)
    for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:8]:
        print(f"  {size / 1e6:.2f} MB {json.dumps(name)}")


if __name__ == "__main__":
    main()
