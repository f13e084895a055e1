"""`rs price`: what a study costs before it runs: the part that is missing now, and all of it.

Hours of each stage on this machine and on named GPUs, memory and disk. The costs of each network and
precision are measured on this machine, which takes seconds, and kept in the user's cache, by device and
versions. --no-measure uses existing measurements, and assumptions where there are none. Networks that need an
extra that is not installed are assumed too. "assumed" marks hours whose rate was not measured on that device.
If sampling jobs would take seconds or days, a line proposes the images_per_shard that makes them ten minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections import defaultdict
from dataclasses import asdict
from typing import Any

from rs.cli.plans import tell_extras
from rs.cli.text_table import aligned
from rs.errors import plural
from rs.plan import extras, price, proposed_shards, rates
from rs.plan.jobs import Job
from rs.plan.passes import Network, NotPriced, singly, taken
from rs.plan.plan import Plan
from rs.plan.space import Space, space
from rs.plan.work import work_of
from rs.study.study import Study

GPUS = ("H100", "A100")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    known = ", ".join(rates.CARDS)
    help_text = f"GPUs to price beside this machine: {known} (default: {' '.join(GPUS)})"
    parser.add_argument("--gpu", nargs="*", default=GPUS, metavar="NAME", help=help_text)
    parser.add_argument("--no-measure", action="store_true", help="use existing measurements or assumptions")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    cards = list(dict.fromkeys(rates.card(name) for name in args.gpu))
    plan = Plan(Study(args.study))
    chosen = {"missing": price.missing(plan), "whole": price.whole(plan)}
    tell_extras(plan, chosen["missing"])
    if not args.no_measure:
        measure(plan, [job for job in chosen["whole"] if not extras.lacking(job)])
    machines: list[rates.Machine] = [rates.here(), *cards]
    prices = {name: [price.price(plan, jobs, on) for on in machines] for name, jobs in chosen.items()}
    needed = {name: space(plan, jobs) for name, jobs in chosen.items()}
    sizes = [
        size for on in machines if (size := proposed_shards.proposed(plan, chosen["missing"], on)) is not None
    ]
    if args.json:
        fields: dict[str, Any] = {"study": plan.study.name, "shards": [asdict(size) for size in sizes]}
        for name in chosen:
            fields[name] = {"machines": [p.as_json() for p in prices[name]], "bytes": asdict(needed[name])}
        print(json.dumps(fields, indent=1))
        return
    shown = ["missing", "whole"] if len(chosen["missing"]) < len(chosen["whole"]) else ["whole"]
    print("\n\n".join(_text(name, prices[name], needed[name]) for name in shown))
    print("".join(f"{size}\n" for size in sizes), end="")


def measure(plan: Plan, jobs: list[Job]) -> None:
    """Measures the rates that the cache lacks for the networks of these jobs."""
    kinds_of: dict[Network, set[str]] = defaultdict(set)
    gpu = rates.here().gpu
    for job in jobs:
        with contextlib.suppress(NotPriced):
            for work in (part for whole in work_of(plan, job) for part in singly(whole)):
                kinds_of[work.network].add(taken(work, gpu).kind)
    lacking = {n: kinds - rates.measured(n).get("rates", {}).keys() for n, kinds in kinds_of.items()}
    lacking = {network: kinds for network, kinds in lacking.items() if kinds}
    if not lacking:
        return
    from rs.machine.devices import use_device
    from rs.stages import speed

    with use_device("auto") as device:
        for network, kinds in lacking.items():
            print(f"rs: measuring {network.name}: {', '.join(sorted(kinds))}", file=sys.stderr)
            costs, seconds = speed.measure(network, sorted(kinds), device)
            rates.keep(network, costs, rates.measured(network).get("rates", {}) | seconds)


def _text(name: str, prices: list[price.Price], needed: Space) -> str:
    """A table of hours, machines by stages, and a line about memory and disk."""
    if not any(p.stages or p.unpriced for p in prices):
        return f"{name}: nothing"
    stages = list(prices[0].stages)
    rows = [[f"{name}: {plural(prices[0].jobs, 'job')}", *stages, "all", "at most", "hours of", "rates"]]
    for p in prices:
        hours = map(price.in_words, (*(p.stages[stage] for stage in stages), p.hours, p.most))
        rows.append(
            [p.machine, *hours, p.unit.removesuffix("-hours"), "assumed" if p.assumed else "measured"]
        )
    lines = aligned(rows)
    memory, disk, beside = (f"{n / 1e9:.2g} GB" for n in (needed.memory, needed.disk, needed.checkpoint))
    lines.append(
        f"memory per job at most {memory}, disk {disk}, plus {beside} for a checkpoint while a network trains"
    )
    lines += [f"not included: {reason}" for reason in prices[0].unpriced]
    return "\n".join(lines)
