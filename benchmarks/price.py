"""Prices of `rs price` compared with measurements: trainings whose seconds are kept, and stated wall times.

  python benchmarks/price.py            # measures the networks it lacks rates of here, then prints the table
  python benchmarks/price.py --only "compiled gradients"    # only stated times whose name has these words

Kept trainings are those of evidence/runs, priced on the GPU that their files name, or else here. Stated times
are those of docs/evidence, priced here. A processor's prices are for one core that does nothing else; the
pages say what else the stated wall times contain.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from rs.machine.devices import use_device
from rs.plan import price, rates
from rs.plan.passes import COMPILED_GRADIENT, Network, Work
from rs.plan.plan import Plan
from rs.plan.work import work_of
from rs.provenance.files import read_json, read_table
from rs.stages import speed
from rs.study.study import Study

LENET, LENET32 = (Network('{"name":"lenet"}', (1, 28, 28), p) for p in ("bfloat16", "float32"))
COMPILED = {
    name: Network(json.dumps({"name": name}), shape, "bfloat16", True)
    for name, shape in (("lenet", (1, 28, 28)), ("resnet20", (3, 32, 32)), ("resnet110", (3, 32, 32)))
}
RESNET, RESNET32 = (Network('{"name":"resnet20"}', (3, 32, 32), p) for p in ("bfloat16", "float32"))
THROUGHPUT = "attack-throughput"
NAL32, STN32 = (Network(f'{{"name":"{n}"}}', (1, 28, 28), "float32") for n in ("nal_cnn", "stn_mnist"))


def compiled_gradients(name: str, network: Network, per_second: float) -> tuple[str, str, list[Work], float]:
    """10,000 of them, in batches of 128."""
    what = f"{name}, 10,000 compiled gradients, {network.precision}"
    return what, THROUGHPUT, [Work(network, COMPILED_GRADIENT, 79, 1e4)], 1e4 / per_second


def epoch(network: Network, images: int, batch: int, copies: int = 1) -> list[Work]:
    return [Work(network, "update", -(-images // batch), images * copies)]


# what, where it is stated, passes, seconds
STATED: list[tuple[str, str, list[Work], float]] = [
    ("LeNet, gaussian, an epoch, batch 256, undisturbed", "mnist-gaussian", epoch(LENET, 60_000, 256), 9.5),
    ("LeNet, gaussian, an epoch, batch 64, idle core", "", epoch(LENET, 60_000, 64), 10.0),
    ("LeNet, macer k = 16, an epoch, batch 64, idle core", "", epoch(LENET, 60_000, 64, 16), 143.0),
    ("ResNet-20, gaussian, an epoch, batch 128, idle core", "", epoch(RESNET, 50_000, 128), 90.0),
    ("LeNet, 100,000 votes, compiled", "mnist-gaussian", [Work(COMPILED["lenet"], "vote", 1, 1e5)], 4.0),
    ("LeNet, 100,000 votes, compiled", "sampling", [Work(COMPILED["lenet"], "vote", 1, 1e5)], 1e5 / 21_435),
    (
        "ResNet-20, 10,000 votes, compiled",
        "sampling",
        [Work(COMPILED["resnet20"], "vote", 1, 1e4)],
        1e4 / 2_262,
    ),
    (
        "ResNet-110, 2,100 votes, compiled",
        "sampling",
        [Work(COMPILED["resnet110"], "vote", 1, 2176)],
        2100 / 356,
    ),
    (
        "LeNet, 10,000 gradients, float32, AVX2",
        "attack-throughput",
        [Work(LENET32, "gradient", 20, 1e4)],
        2.98,
    ),
    (
        "nal_cnn, 10,000 gradients, float32, AVX2",
        "attack-throughput",
        [Work(NAL32, "gradient", 20, 1e4)],
        7.82,
    ),
    (
        "ResNet-20, 1,000 gradients, float32, AVX2",
        "attack-throughput",
        [Work(RESNET32, "gradient", 2, 1e3)],
        3.25,
    ),
    compiled_gradients("LeNet", LENET32, 3_683),
    compiled_gradients("nal_cnn", NAL32, 2_215),
    compiled_gradients("ResNet-20", RESNET32, 542),
    compiled_gradients("ResNet-20", RESNET, 1_016),
    (
        "stn_mnist, stability, an epoch, float32, AVX2, shared",
        "stn-mnist",
        epoch(STN32, 60_000, 64, 2),
        549.0,
    ),
    ("stn_mnist, gaussian, an epoch, float32, AVX2, shared", "stn-mnist", epoch(STN32, 60_000, 64), 356.0),
]


def measured(works: list[Work], args: argparse.Namespace) -> None:
    """Measures the rates that the cache lacks for this work."""
    lacking: dict[Network, set[str]] = defaultdict(set)
    for work in works:
        if work.kind not in rates.measured(work.network).get("rates", {}) or args.again:
            lacking[work.network].add(work.kind)
    with use_device("cpu", 1) as device:
        for network, kinds in lacking.items():
            costs, seconds = speed.measure(network, sorted(kinds), device)
            rates.keep(network, costs, rates.measured(network).get("rates", {}) | seconds)
            print(f"{network.name}: {seconds}", flush=True)


def plan_of(spec: dict[str, Any]) -> Plan:
    """The plan of a single kept training."""
    study = {"name": "kept", **{k: spec[k] for k in ("data", "model", "noise", "training")}}
    study |= {k: spec[k] for k in ("train",) if k in spec} | {"seeds": [spec["seed"]]}
    study["runs"] = {"run": {"objective": spec["objective"]}}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        file.write_text(yaml.safe_dump(study))
        return Plan(Study([file]))


def gpu(device: str) -> rates.Card | None:
    return next((card for card in rates.CARDS.values() if card.name in device), None)


def row(what: str, seconds: float, priced: float) -> str:
    return f"| {what} | {seconds:,.4g} | {priced:,.4g} | {priced / seconds:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--again", action="store_true", help="measure what is in the cache too")
    parser.add_argument("--only", default="", metavar="WORDS", help="only stated times that have them")
    args = parser.parse_args()
    kept, stated = [], [entry for entry in STATED if args.only in entry[0]]
    for manifest in [] if args.only else sorted(Path("evidence/runs").glob("*/model.json")):
        provenance = read_json(manifest)["provenance"]
        if "train_seconds" not in provenance:  # joined of networks, not trained
            continue
        plan = plan_of(provenance["spec"])
        (job,) = plan.jobs["train"].values()
        kept.append((manifest, provenance, plan, job))
    ours = [
        w
        for _, provenance, plan, job in kept
        if gpu(provenance["device"]) is None
        for w in work_of(plan, job)
    ]
    measured([*ours, *(w for _, _, works, _ in stated for w in works)], args)
    here = rates.here()
    print(f"\n{here.name} ({here.device})\n\n| | seconds | priced | factor |\n|---|---|---|---|")
    for what, page, works, seconds in stated:
        priced = sum(here.rate(w).seconds(w.passes, w.copies) for w in works)
        print(row(f"{what}{f' ([{page}]({page}.md))' if page else ''}", seconds, priced))
    for manifest, provenance, plan, job in kept:
        on = gpu(provenance["device"]) or here
        cost = price.price(plan, [job], on)
        table = read_table(manifest.with_name("training.parquet"))[0].to_pandas()
        run = manifest.parent.name.rsplit("-", 1)
        what = f"{run[0].removeprefix('mnist-')} ({provenance['epochs']} epochs, {provenance['device']})"
        print(row(what, provenance["train_seconds"], cost.hours * 3600))
        if on is here:
            print(
                row(
                    f"the same, its fastest epoch {provenance['epochs']} times",
                    table["seconds"].min() * provenance["epochs"],
                    cost.hours * 3600,
                )
            )


if __name__ == "__main__":
    main()
