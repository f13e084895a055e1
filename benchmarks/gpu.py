"""What a vote and a training step cost on one GPU, in a time that is given; a row as soon as it is known.

  python benchmarks/gpu.py --seconds 120 --rows gpu.jsonl
  python benchmarks/gpu.py --tables gpu.jsonl           # of what was measured, without a GPU

Votes: CERTIFY written plainly (float32, batches of 400) and our sampling whole (selection, noise, forward
passes, counts, radius), eager, and compiled with CUDA graphs; `forward` is an eager form's forward passes
alone, recorded as a CUDA graph: without launches and noise. Training: steps as the train stage takes them in
bfloat16, written (launched kernel by kernel) and recorded as CUDA graphs. Beside them the card's own matrix
product and copy.

Every contestant is a process of its own: all get ready at once (compiling takes the longest), then one after
another has the card to itself. After 0.6 of the time those that are ready do not wait for the rest any more.
Weights are untrained, images random: no cost depends on them. Medians of ROUNDS.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import sampling
import torch
import training

from rs.machine.devices import device_name, use_device
from rs.methods import catalog
from rs.networks.captured_step import CapturedSteps
from rs.networks.images import Resident
from rs.settings.training import Optimizer, Training
from rs.stages.epoch import Images

ROUNDS, ROUND = 3, 0.25  # seconds of a round, about
IMAGES = 50_000  # to train with
SHAPES = {"lenet": (1, 28, 28), "nal_cnn": (1, 28, 28), "stn_mnist": (1, 28, 28), "resnet50": (3, 224, 224)}
BATCHES = {"lenet": 10_000, "resnet20": 2_048, "resnet110": 2_048, "resnet50": 256}
FORMS = (
    "plain",
    "float32 eager",
    "bfloat16 eager",
    "bfloat16 forward",
    "bfloat16 compiled",
    "float32 compiled",
)
TRAINED: list[tuple[str, dict[str, Any], int]] = [
    ("lenet", {"name": "gaussian"}, 64),
    ("lenet", {"name": "gaussian"}, 256),
    ("lenet", {"name": "macer", "k": 16, "lambda": 16.0}, 64),
    ("lenet", {"name": "macer", "k": 16, "lambda": 16.0}, 256),
    ("lenet", {"name": "smoothadv", "epsilon": 1.0, "steps": 10}, 256),
    ("nal_cnn", {"name": "nal", "gamma": 1.5, "steps": 4, "samples": 4}, 128),
    ("stn_mnist", {"name": "stability"}, 64),
    ("resnet20", {"name": "gaussian"}, 256),
    ("resnet110", {"name": "gaussian"}, 256),
]


@dataclass(frozen=True)
class Contestant:
    """`what` is a form of `model`, or how its steps are taken; `objective` and `batch` are a training's."""

    model: str
    what: str
    objective: dict[str, Any] | None = None
    batch: int = 0

    def prepare(self, device: torch.device) -> tuple[Callable[[int], None], int]:
        """Runs so many units (batches of votes, steps), and what a unit holds (votes, images)."""
        if self.objective is not None:
            return self.steps(device), self.batch
        size = BATCHES[self.model] if self.what != "plain" else 4_000
        if self.what == "bfloat16 forward":
            return self.forward(device, size), size
        if self.what == "plain":
            certify = sampling.plain(self.model, device)
        else:
            precision, form = self.what.split()
            certify = sampling.ours(self.model, precision, size, device, form == "compiled")[f"b {precision}"]
        return lambda units: certify(units * size), size

    @torch.no_grad()
    def forward(self, device: torch.device, batch: int) -> Callable[[int], None]:
        """Forward passes alone, as one CUDA graph."""
        form = sampling.form_of(self.model, "bfloat16", batch, device, False)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            form.network(form._input)

        def replay(units: int) -> None:
            for _ in range(units):
                graph.replay()

        return replay

    def steps(self, device: torch.device) -> Callable[[int], None]:
        """So many training steps; in the order that a training takes them."""
        shape = SHAPES.get(self.model, (3, 32, 32))
        network = catalog.build("models", {"name": self.model}).build(
            shape, 10, [0.5] * shape[0], [0.5] * shape[0]
        )
        settings = Training(batch_size=self.batch, optimizer=Optimizer(), epochs=1000, precision="bfloat16")
        pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, *shape), dtype=np.uint8)
        labels = np.random.default_rng(1).integers(0, 10, IMAGES)
        split = Resident({"images": pixels, "labels": labels}, device)
        ours = training.Ours(
            self.objective or {},
            network,
            Images(split, range(self.batch), shape[1:]),
            settings,
        )
        if self.what == "recorded":
            ours.captured = CapturedSteps(device)

        def take(units: int) -> None:
            ours.images = Images(split, range(units * self.batch), shape[1:])
            with warnings.catch_warnings():
                warnings.simplefilter("error" if self.what == "recorded" else "ignore", RuntimeWarning)
                ours()

        take(8)  # records
        return take


def work(pipe: Connection, contestant: Contestant) -> None:
    """A process: gets ready, says so, and when it is told to sends the seconds of a unit in each round."""
    try:
        with use_device("cuda", 1) as device:
            run, size = contestant.prepare(device)

            def timed(units: int) -> float:
                torch.cuda.synchronize()
                start = time.perf_counter()
                run(units)
                torch.cuda.synchronize()
                return (time.perf_counter() - start) / units

            timed(2)
            pipe.send(size)
            pipe.recv()
            most = IMAGES // contestant.batch if contestant.batch else 2_000
            units = max(2, min(most, int(ROUND / timed(4))))
            pipe.send([timed(units) for _ in range(ROUNDS)])
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


def card(device: torch.device) -> dict[str, Any]:
    """The card's own speeds: products in multiply-adds/s, a copy in bytes read and written per second."""
    source = torch.empty(2**30, dtype=torch.uint8, device=device)
    target, times = torch.empty_like(source), []
    for _ in range(8):
        torch.cuda.synchronize()
        start = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    torch.backends.cuda.matmul.allow_tf32 = False
    products = {f"{p} product": sampling.peak(getattr(torch, p), device) for p in sampling.PRECISIONS}
    return {
        "card": device_name(device),
        "torch": torch.__version__,
        "copy": 2 * 2**30 / min(times),
        **products,
    }


def contestants() -> list[Contestant]:
    """In the order of their turns: what is ready first comes first."""
    votes = [Contestant(model, form) for form in FORMS for model in BATCHES]
    votes = [c for c in votes if c.what != "float32 compiled" or c.model in ("lenet", "resnet20")]
    steps = [Contestant(m, how, o, b) for m, o, b in TRAINED for how in ("written", "recorded")]
    compiled = [c for c in votes if c.what.endswith("compiled")]
    return [c for c in votes if c not in compiled] + steps + compiled


def measure(seconds: float, say: Callable[[dict[str, Any]], None]) -> None:
    deadline, context = time.monotonic() + seconds, get_context("spawn")
    running = []
    for contestant in contestants():
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there, contestant), daemon=True)
        process.start()
        running.append((contestant, process, here))
    waiting = list(running)
    while waiting and time.monotonic() < deadline:
        ready = next((one for one in waiting if one[2].poll()), None)
        if ready is None:
            time.sleep(0.1)
            continue
        waiting.remove(ready)
        contestant, process, pipe = ready
        size = pipe.recv()
        # all get ready at once: a turn before that would be measured beside them
        quiet(waiting, deadline - 0.4 * seconds)
        row = asdict(contestant)
        if isinstance(size, int):
            pipe.send("go")
            found = pipe.recv() if pipe.poll(max(1.0, deadline - time.monotonic())) else "out of time"
            told = (
                {"seconds": statistics.median(found), "size": size}
                if isinstance(found, list)
                else {"why": found}
            )
        else:
            told = {"why": size}
        say(row | told)
        process.kill()  # what it holds of the card goes at once
    for contestant, process, _ in waiting:
        say(asdict(contestant) | {"why": "not ready in time"})
        process.kill()


def quiet(waiting: list[Any], until: float) -> None:
    """Waits until the others are ready too, or that long."""
    while time.monotonic() < until and not all(pipe.poll() for _, _, pipe in waiting):
        time.sleep(0.1)


def tables(rows: list[dict[str, Any]]) -> None:
    """As Markdown."""
    own = next((row for row in rows if "card" in row), {})
    for key, value in own.items():
        print(f"{key}: {value if isinstance(value, str) else f'{value:.4g}'}")
    votes = {(row["model"], row["what"]): row for row in rows if row.get("objective", 0) is None}
    print("\n| votes/s | " + " | ".join(BATCHES) + " |\n|---|" + "---|" * len(BATCHES))
    for form in FORMS:
        print(f"| {form} | " + " | ".join(rate(votes.get((model, form))) for model in BATCHES) + " |")
    steps = {
        (row["model"], json.dumps(row["objective"]), row["batch"], row["what"]): row
        for row in rows
        if row.get("objective")
    }
    print("\n| training | written, ms a step | recorded | images/s |\n|---|---|---|---|")
    for model, objective, batch in TRAINED:
        one, other = (
            steps.get((model, json.dumps(objective), batch, how)) for how in ("written", "recorded")
        )
        cells = [f"{1e3 * r['seconds']:.2f}" if r and "seconds" in r else "" for r in (one, other)]
        print(f"| {model}, {objective['name']}, {batch} | {cells[0]} | {cells[1]} | {rate(other)} |")
    for row in rows:
        if "why" in row:
            print(f"left out: {row['model']} {row['what']} {row['objective'] or ''}: {row['why']}")


def rate(row: dict[str, Any] | None) -> str:
    return f"{row['size'] / row['seconds']:,.0f}" if row and "seconds" in row else ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rows", type=Path, help="where each row goes as it is known")
    parser.add_argument("--tables", type=Path, metavar="ROWS", help="only write the tables of these")
    args = parser.parse_args()
    if args.tables:
        tables([json.loads(line) for line in args.tables.read_text().splitlines()])
        return
    rows: list[dict[str, Any]] = []

    def say(row: dict[str, Any]) -> None:
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
        if args.rows:
            with args.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")

    with use_device("cuda", 1) as device:
        say(card(device))
    measure(args.seconds, say)
    tables(rows)


if __name__ == "__main__":
    main()
