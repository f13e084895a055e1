"""What a study has, lacks and holds stale: a line per run."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from rs.cli.plans import plan_of
from rs.cli.reasons import reasons
from rs.errors import UserError
from rs.plan import (
    diverged,
    extras,
    mixed_draws,
    namesakes,
    pending,
    price,
    proposed_shards,
    rates,
    rules,
    shard_sizes,
    staleness,
)
from rs.plan.plan import Plan

KINDS = ("has", "lacks", "stale")


def run(args: argparse.Namespace) -> None:
    print(status(plan_of(args), args.study))


def status(plan: Plan, files: list[Path]) -> str:
    """The lines, and notes on the remaining compute. Raises UserError outside of a workflow."""
    rules.require("status")
    damaged = staleness.settle(plan)  # as Snakemake does before it judges
    draws = [*mixed_draws.settle(plan), *shard_sizes.sentences(plan), *extras.sentences(plan)]
    try:
        judged = list(pending.judged(plan))
    except pending.NotJudged as why:
        print(f"rs: asking Snakemake, which takes longer: {why}", file=sys.stderr)
        judged = list(by_dry_run(plan, files))
    sharing: dict[str, list[str]] = defaultdict(list)  # folder -> the runs of one network
    for p in plan.runs:
        sharing[p.network].append(p.title)
    labels = {folder: ", ".join(runs) for folder, runs in sharing.items()}
    counts: dict[str, Counter[str]] = {"data": Counter(), **{label: Counter() for label in labels.values()}}
    for path, kind in judged:
        parts = Path(path).parts
        owner = labels.get(parts[2], parts[2]) if parts[:2] == ("results", "runs") else parts[1]
        counts.setdefault(owner, Counter())[kind] += 1
    width = max(map(len, counts))
    lines = [f"{'':<{width}}  {'has':>5} {'lacks':>5} {'stale':>5}  files"]
    for owner, count in counts.items():
        if count:
            lines.append(f"{owner:<{width}}  " + " ".join(f"{count[kind]:>5}" for kind in KINDS))
    cost, size = price.sentence(plan), proposed_shards.proposed(plan, plan.all_jobs(), rates.here())
    sentences = [*namesakes.sentences(plan), *damaged, *diverged.sentences(plan)]
    stale = {path for path, kind in judged if kind == "stale"}
    sentences += [*reasons(plan, sum(counts.values(), Counter()), files, stale), *draws]
    return "\n".join([*lines, *sentences, *(str(note) for note in (cost, size) if note)])


def by_dry_run(plan: Plan, files: list[Path]) -> Iterator[tuple[str, str]]:
    """Each file of a study with "has", "lacks" or "stale", by Snakemake's dry run."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"]
    command += ["--configfile", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = f"{done.stdout}\n{done.stderr}".splitlines()
    if done.returncode:
        problems = [line.partition("UserError: ")[2] for line in lines if "UserError: " in line]
        problems = problems or [line for line in lines if line.startswith("rs: ")]
        problems = problems or list(filter(None, map(str.strip, lines)))
        raise UserError(f"snakemake --dry-run: {problems[-1].removeprefix('rs: ')}")
    outputs = [line.partition(":")[2] for line in lines if line.startswith("    output: ")]
    again = {path.strip() for paths in outputs for path in paths.split(",")}
    for path in pending.files(plan):
        yield path, pending.kind(path, path in again)
