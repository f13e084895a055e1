"""The cost of a job of the sample stage before its first vote, in seconds of processor time.

  python benchmarks/startup.py
  python benchmarks/startup.py --models lenet --rounds 5
  python benchmarks/startup.py --before ../old   # and in another checkout, in turn

Each round runs one job of one image and one batch in its own process, as the workflow starts it, with the
networks in turn. Compiled code is in a cache of this benchmark, which the run's form stage and an uncounted
job fill. Networks are untrained; the 1,000 images are made up, since a split is held whole.

A part's time is its own, without the parts inside it. Imports are what every process of rs needs before it
knows its job; what follows should take at most 2 s. Medians over the rounds of user and system time of the
process, and of processes that it started and waited for (`children`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
IMAGES, CLASSES, BATCH = 1000, 10, 512
# Part -> the functions that are timed, as "module:name" or "module:Class.name".
PARTS = {
    "digest of the code": ["rs.provenance.code:here", "rs.provenance.known_code:_known"],
    "weights and images from disk": ["rs.networks.checkpoints:load", "rs.networks.audit:probes"],
    "audit": ["rs.networks.audit:audit"],
    "shown equal, or left out": ["rs.networks.transformations:transformed"],
    "comparison with the plain network": ["rs.networks.inference:InferenceForm._choose"],
    "compiled form": ["rs.networks.inference:InferenceForm.__call__"],
    "rate of bfloat16": ["rs.machine.devices:warn_if_slow"],
    "votes": ["rs.networks.inference:InferenceForm.vote"],
    "draw file": ["rs.stages.voter:JobVoter.write"],
}


def prepare(name: str, folder: Path) -> dict[str, dict[str, Any]]:
    """The files of a run, and its jobs: its form, and one batch of votes of one image."""
    import numpy as np
    import torch
    from networks import shape_of
    from safetensors.numpy import save_file

    from rs.networks import checkpoints
    from rs.provenance.digests import file_digest
    from rs.provenance.files import provenance, write_json

    shape = shape_of(name)
    data = folder / name / "data" / "made.json"
    data.parent.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(0)
    arrays = {
        "images": draws.integers(0, 256, (IMAGES, *shape), np.uint8),
        "labels": np.zeros(IMAGES, np.int64),
    }
    splits = {}
    for split in ("train", "test"):
        save_file(arrays, data.with_name(f"{split}.safetensors"))
        digest = file_digest(data.with_name(f"{split}.safetensors"))
        splits[split] = {"file": f"{split}.safetensors", "images": IMAGES, "sha256": digest}
    channels = shape[0] * [0.5]
    manifest = {"name": "made", "shape": list(shape), "classes": CLASSES, "mean": channels, "std": channels}
    origin = provenance({"data": {"name": "made"}}, "0" * 12)
    write_json(data, {**manifest, "splits": splits, "provenance": origin})
    model = folder / name / "model.json"
    torch.manual_seed(0)
    spec = {"model": {"name": name}, "data": {"name": "made"}}
    network = checkpoints.build_model(spec["model"], manifest)
    outputs = {"manifest": model, "weights": model.with_suffix(".safetensors")}
    checkpoints.save(
        outputs, network.state_dict(), {"provenance": provenance(spec, "0" * 12), "classes": CLASSES}
    )
    form = {"precision": "bfloat16", "batch": BATCH, "compiled": True}
    noise = {"name": "gaussian", "sigma": 0.25}
    sample_spec = {
        "purpose": "estimate",
        "block": 0,
        "size": BATCH,
        "images": [0, 1],
        "seed": 0,
        "noise": noise,
        **form,
    }
    fixed, draws = folder / name / "form.json", folder / name / "draws" / "estimate.parquet"
    inputs = {"model": str(model), "data": str(data)}
    common = {"code": "", "methods": ["rs.methods.noise.gaussian:Gaussian"], "device": "cpu", "threads": 1}
    return {
        "form": {**common, "spec": form, "inputs": inputs, "outputs": {"form": str(fixed)}},
        "sample": {
            **common,
            "spec": sample_spec,
            "inputs": {**inputs, "form": str(fixed)},
            "outputs": {"draws": str(draws)},
        },
    }


class Clock:
    """Processor time of parts, each without the parts inside it."""

    def __init__(self) -> None:
        self.own: dict[str, float] = {}
        self._inside: list[float] = []

    def part(self, name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.process_time()
            self._inside.append(0.0)
            try:
                return run(*args, **kwargs)
            finally:
                took = time.process_time() - begun
                self.own[name] = self.own.get(name, 0.0) + took - self._inside.pop()
                if self._inside:
                    self._inside[-1] += took

        return timed

    def watch(self) -> None:
        """Times the functions of PARTS in all modules of rs that hold them."""
        import importlib

        for part, places in PARTS.items():
            for place in places:
                module, _, path = place.partition(":")
                owner: Any = importlib.import_module(module)
                *outer, name = path.split(".")
                for each in outer:
                    owner = getattr(owner, each)
                plain = getattr(owner, name)
                timed = self.part(part, plain)
                holders = [m for n, m in sys.modules.items() if n.startswith("rs.")] if not outer else []
                for holder in [owner, *holders]:
                    if getattr(holder, name, None) is plain:
                        setattr(holder, name, timed)


def inside(stage: str, job: str) -> None:
    """One job in this process; prints its times as JSON."""
    clock, begun = Clock(), time.process_time()
    import torch  # noqa: F401

    clock.own["import torch"] = time.process_time() - begun
    begun = time.process_time()
    import rs.stages.sample  # noqa: F401
    from rs.stages.execution import execute

    clock.own["import the rest"] = time.process_time() - begun
    clock.watch()
    begun = time.process_time()
    clock.part("everything else", execute)(stage, json.loads(job))
    clock.own["after its imports"] = time.process_time() - begun
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    clock.own["children"] = children.ru_utime + children.ru_stime
    print(json.dumps(clock.own))


def answer_of(checkout: Path, cache: Path, *arguments: str) -> Any:
    """What this script answers as JSON in a process of its own, with the package of `checkout`."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "XDG_CACHE_HOME": str(cache),
    }
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["lenet", "resnet20"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="another checkout to compare with")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        inside(*args.inside)
        return
    if args.prepare:
        print(json.dumps(prepare(args.prepare[0], Path(args.prepare[1]))))
        return
    checkouts = {"": HERE} | ({", before": args.before.resolve()} if args.before else {})
    with tempfile.TemporaryDirectory() as place:
        jobs: dict[str, tuple[Path, Path, str]] = {}
        for name in args.models:
            for who, checkout in checkouts.items():
                folder = Path(place) / (who[2:] or "now")
                cache = folder / "cache"
                stage_jobs = answer_of(checkout, cache, "--prepare", name, str(folder))
                for stage in ("form", "sample"):
                    answer_of(checkout, cache, "--inside", stage, json.dumps(stage_jobs[stage]))
                jobs[name + who] = checkout, cache, json.dumps(stage_jobs["sample"])
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in jobs}
        for _ in range(args.rounds):
            for name, (checkout, cache, job) in jobs.items():
                rounds[name].append(answer_of(checkout, cache, "--inside", "sample", job))
    parts = list(dict.fromkeys(part for timings in rounds.values() for each in timings for part in each))
    print("| seconds of processor time | " + " | ".join(rounds) + " |")
    print("|---|" + "---|" * len(rounds))
    for part in parts:
        cells = (statistics.median(each.get(part, 0.0) for each in timings) for timings in rounds.values())
        print(f"| {part} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
