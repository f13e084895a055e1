"""The size of a study's page, and how soon it is visible.

python benchmarks/page.py                       60 runs, 9 radii, 1,000 images
python benchmarks/page.py --page FILE           an existing page: results/demo/report.html
python benchmarks/page.py --long --keep FOLDER  labels of 70 letters; the page stays in FOLDER

The tables are made up: three noise levels, all pairs compared, 300 colour thumbnails of noise, which PNG
cannot compress. Chromium (playwright) opens the page, a fresh one each time: first contentful paint,
processor time of its main thread until the page is loaded (independent of other work), errors of scripts.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from rs.provenance.files import write_table
from rs.report import figures
from rs.report.page import write_report
from rs.tables.certified import CLAIMED, POINTS, Claim, accuracy_rows, claims_of
from rs.tables.comparisons import MOST_PAIRS
from rs.tables.images import MOST
from rs.tables.noise import smoothed_with, trained_with
from rs.tables.provenance import COLUMNS as PROVENANCE

SIGMAS = (0.25, 0.5, 1.0)
RADII = [round(0.25 * i, 2) for i in range(9)]
VOTES, SIDE, CLASSES = 100_000, 32, 10
LONG = "a label as a sweep over many settings makes it, with lambda = "


def study(runs: int, images: int, long: bool = False) -> dict[str, pd.DataFrame]:
    """The tables of a made-up study by name."""
    draw, tables = np.random.default_rng(0), dict[str, list[dict[str, Any]]]()
    truth, difficulty = draw.integers(0, CLASSES, images), draw.normal(0, 1, images)
    claims = list[tuple[dict[str, Any], Claim]]()
    for i in range(runs):
        sigma = SIGMAS[i % len(SIGMAS)]
        noise = {"name": "gaussian", "sigma": sigma}
        label = f"{LONG if long else 'method-'}{i // len(SIGMAS)}[sigma={sigma}]"
        slug = f"cifar10-resnet110-method-{i // len(SIGMAS)}-gaussian-{int(100 * sigma)}"
        run = f"{slug}-seed0-{draw.bytes(4).hex()}"
        head = {"run": run, "label": label}
        tables.setdefault("runs", []).append(
            {
                **head,
                "dataset": "cifar10",
                "model": "cifar_resnet",
                "objective": "macer",
                **trained_with(noise),
            }
            | {
                "seed": 0,
                "epochs": 440,
                "train_seconds": 1e5 + i,
                "device": "NVIDIA H100",
                "objective.lambda": i,
            }
        )
        margin = difficulty + 1.2 + 0.02 * (i // len(SIGMAS)) + draw.normal(0, 0.3, images)
        votes = np.clip(VOTES * (0.5 + 0.25 * margin), 0, VOTES).astype(np.int64)
        radius = sigma * np.clip(margin, 0, 3.8)
        frame = pd.DataFrame(
            {"image": np.arange(images) * 10, "label": truth, "radius": radius, "votes": votes}
        )
        frame["prediction"] = np.where(margin > -0.8, np.where(margin > 0, truth, -1), (truth + 1) % CLASSES)
        frame = frame.assign(certificate="cohen", norm=2.0, alpha=0.001, n=VOTES, largest_radius=3.8 * sigma)
        frame = frame.assign(rigorous=True, factor=1.0, voted=truth, runner_up=(truth + 1) % CLASSES)
        frame["runner_up_votes"] = VOTES - votes
        (claim,) = claims_of(frame, {**head, **smoothed_with(noise), "precision": "bfloat16"})
        claims.append((head, claim))
        for stage, what in (("train", "macer"), ("sample", f"n = {VOTES}"), ("certify", "cohen")):
            row = {
                **head,
                "stage": stage,
                "what": what,
                "smoothing": claim.columns["smoothing"],
                "files": 10,
            }
            row |= {
                "file": f"results/runs/{run}/{stage}.parquet",
                "commit": "3f2a91c",
                "device": "NVIDIA H100",
            }
            tables.setdefault("provenance", []).append(dict.fromkeys(PROVENANCE) | row | {"seconds": 1e4 + i})
    for head, claim in claims:
        tables.setdefault("certified_accuracy", []).extend(accuracy_rows(claim, RADII))
        named = {column: claim.columns[column] for column in (*CLAIMED, "rigorous")}
        radii = np.linspace(0, 1.02 * claim.radius.max(), POINTS)
        tables.setdefault("radius_accuracy", []).extend(named | row for row in claim.accuracies(radii))
        tables.setdefault("average_certified_radius", []).append(claim.columns | claim.average())
        tables.setdefault("training", []).extend(
            {**head, "epoch": epoch, "loss": 2 / epoch, "train_accuracy": 1 - 1 / epoch}
            for epoch in range(1, 441, 20)
        )
    tables["comparisons"] = list(_compared([claim for _, claim in claims]))
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    frames["images"] = pd.concat(
        [
            claim.outcomes.rename(columns={"label": "true"}).assign(**claim.columns, factor=1.0)
            for _, claim in claims
        ]
    )
    shown = np.linspace(0, images - 1, min(MOST, images)).astype(int)
    pixels = [draw.integers(0, 256, 3 * SIDE * SIDE, np.uint8).tobytes() for _ in shown]
    kept = {
        "image": shown * 10,
        "true": truth[shown],
        "shape": [[3, SIDE, SIDE]] * len(shown),
        "pixels": pixels,
    }
    return {**frames, "thumbnails": pd.DataFrame(kept)}


def _smoothing(claim: Claim) -> str:
    return str(claim.columns["smoothing"])


def _compared(claims: list[Claim]) -> Any:
    """Rows of all pairs under one noise, or of each with the first where the pairs exceed MOST_PAIRS."""
    by_noise = itertools.groupby(sorted(claims, key=_smoothing), _smoothing)
    groups = [list(group) for _, group in by_noise]
    pairs = [pair for group in groups for pair in itertools.combinations(group, 2)]
    if len(pairs) > MOST_PAIRS:
        pairs = [(other, group[0]) for group in groups for other in group[1:]]
    for a, b in pairs:
        head = {k: v for k, v in a.columns.items() if k.startswith("smoothing") or k == "certificate"}
        head |= {"a": a.columns["label"], "b": b.columns["label"], "about": "networks"}
        for radius in (None, *RADII):
            apart = (
                a.radius - b.radius if radius is None else (a.radius >= radius) * 1.0 - (b.radius >= radius)
            )
            half = 1.96 * float(apart.std()) / len(apart) ** 0.5
            d = float(apart.mean())
            verdict = "undecided" if abs(d) <= half else "better" if d > 0 else "worse"
            ends = {"difference": d, "low": d - half, "high": d + half, "verdict": verdict, "radius": radius}
            yield {**head, **ends, "metric": "acr" if radius is None else "certified_accuracy"}


def store(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Writes ``<folder>/tables/*.parquet``."""
    for name, frame in tables.items():
        table = pa.Table.from_pandas(frame, preserve_index=False)
        write_table(folder / "tables" / f"{name}.parquet", table, {"spec": {}})


def build(folder: Path, tables: dict[str, pd.DataFrame], drawn: bool = True) -> Path:
    """The page in `folder`; with `drawn`, including the static figures."""
    store(folder, tables)
    files = figures.draw(folder / "tables", folder / "figures") if drawn else []
    context: Any = {"radii": RADII, "files": ["config/study.yaml"], "commit": "3f2a91c"}
    write_report("sixty", folder / "tables", files, folder / "report.html", context)
    return folder / "report.html"


def opened(page: Path, rounds: int) -> list[dict[str, float]]:
    """Seconds of each round. Raises RuntimeError where a script fails."""
    from playwright.sync_api import sync_playwright

    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    measured, errors = [], []
    for _ in range(rounds):
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
            tab = browser.new_page(viewport={"width": 1200, "height": 900})
            tab.on("pageerror", lambda error: errors.append(str(error)))
            session = tab.context.new_cdp_session(tab)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            tab.goto(page.resolve().as_uri())
            tab.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
            metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
            measured.append(
                {"paint": paint, **{k: metrics[f"{k}Duration"] for k in ("Task", "Script", "Layout")}}
            )
            browser.close()
    if errors:
        raise RuntimeError(f"{page}: {errors[0]}")
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--page", type=Path, metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = args.page or build(args.keep or Path(folder), study(args.runs, args.images, args.long))
        print(f"{page.stat().st_size / 1e6:.2f} MB")
        rounds = opened(page, args.rounds)
    names = {
        "paint": "first contentful paint",
        "Task": "main thread, processor time",
        "Script": "of it scripts",
    }
    for key, words in names.items():
        values = sorted(each[key] for each in rounds)
        ends = f"{values[0]:.2f} to {values[-1]:.2f}, {len(values)} rounds"
        print(f"{words}: {statistics.median(values):.2f} s ({ends})")


if __name__ == "__main__":
    main()
