"""What a study of many runs costs once they are there: page and MLflow store, in CPU seconds and megabytes.

  python benchmarks/size.py                 # 600 labels, 1,000 images each
  python benchmarks/size.py --runs 1000 --profile

The tables are those of benchmarks/page.py, made up; figures are drawn too, and timed apart. `again` is the
second logging, of which nothing is new.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import page

from rs.report import figures
from rs.report.page import write_report
from rs.report.tracking.study import log_study


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=600)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--profile", action="store_true", help="and where the time goes")
    parser.add_argument("--only", nargs="*", default=[], metavar="PART")
    args = parser.parse_args()

    def timed(name: str, act: Callable[[], Any]) -> Any:
        if args.only and name not in args.only:
            return None
        profile = cProfile.Profile() if args.profile else None
        started = time.process_time()
        found = profile.runcall(act) if profile else act()
        print(f"{name}: {time.process_time() - started:.1f} s of CPU", flush=True)
        if profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(25)
        return found

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tables = page.study(args.runs, args.images)
        page.store(folder, tables)
        drawn = timed("figures", lambda: figures.draw(folder / "tables", folder / "figures")) or []
        context: Any = {"radii": page.RADII, "files": ["config/study.yaml"], "commit": "3f2a91c"}
        out = folder / "report.html"
        timed("page", lambda: write_report("large", folder / "tables", drawn, out, context))
        if out.is_file():
            print(f"page: {out.stat().st_size / 1e6:.1f} MB")
            parts(out.read_text())
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        timed("import mlflow", lambda: __import__("mlflow"))
        for name in ("logging", "again"):
            told = timed(name, lambda: log_study("large", folder / "tables", uri))
            if told:
                print(f"{name}: {len(told['written'])} runs written")
        if (folder / "mlflow.db").is_file():
            print(f"store: {(folder / 'mlflow.db').stat().st_size / 1e6:.1f} MB")


def parts(text: str) -> None:
    """The largest sections and data blocks of a page."""
    found = {}
    for piece in text.split("<section")[1:]:
        found[piece[:60].split(">")[0]] = len(piece)
    for name, size in sorted(found.items(), key=lambda item: -item[1])[:8]:
        print(f"  {size / 1e6:.2f} MB {json.dumps(name)}")


if __name__ == "__main__":
    main()
