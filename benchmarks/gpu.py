"""The cost of a vote and of a training step on one GPU, in a given time; each row is printed once it is
known.

  python benchmarks/gpu.py --seconds 115 --rows gpu.jsonl
  python benchmarks/gpu.py --seconds 40 --only plain "float32 eager"
  python benchmarks/gpu.py --tables gpu.jsonl           # of what was measured, without a GPU

Votes: CERTIFY written plainly (float32, batches of 400), and our complete sampling (selection, noise, forward
passes, counts, radius), eager and compiled with CUDA graphs. `forward` is an eager form's forward passes
alone, recorded as a CUDA graph: without launches and noise. Training: steps as the train stage takes them in
bfloat16, written (launched kernel by kernel) and recorded as CUDA graphs, and two recorded in float32, in
channels_last as the train stage has them. For comparison, the card's own matrix product and copy.

All processes get ready at once (compiling takes the longest); then one contestant after another has the card
to itself. After 0.6 of the time, ready contestants no longer wait for the rest.

Weights are untrained and images random: no cost depends on them. Medians of ROUNDS.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import sampling
import torch
import training
from gpu_tables import BATCHES, EAGER, FLOAT32, FORMS, STEPS, TRAINED, tables
from networks import network_of, shape_of

from rs.machine.devices import device_name, use_device
from rs.networks.captured_step import CapturedSteps
from rs.networks.images import Resident
from rs.settings.training import Optimizer, Training
from rs.stages.epoch import Images

ROUNDS, ROUND = 3, 0.25  # approximate seconds of a round
IMAGES = 50_000  # for training


@dataclass(frozen=True)
class Contestant:
    """`what` is a form of `model`, or how its steps are taken; `objective` and `batch` are a training's."""

    model: str
    what: str
    objective: dict[str, Any] | None = None
    batch: int = 0

    def prepare(self, device: torch.device) -> tuple[Callable[[int], None], int]:
        """A function that runs units (batches of votes, steps), and a unit's size (votes, images)."""
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
        """A function that takes a number of training steps, in the order of a training."""
        shape = shape_of(self.model)
        network = network_of(self.model).train()
        recorded = self.what.endswith("recorded")
        precision = "float32" if self.what.startswith("float32") else "bfloat16"
        settings = Training(batch_size=self.batch, optimizer=Optimizer(), epochs=1000, precision=precision)
        pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, *shape), dtype=np.uint8)
        labels = np.random.default_rng(1).integers(0, 10, IMAGES)
        split = Resident({"images": pixels, "labels": labels}, device)
        ours = training.Ours(
            self.objective or {}, network, Images(split, range(self.batch), shape[1:]), settings
        )
        if recorded:
            ours.captured = CapturedSteps(device)

        def take(units: int) -> None:
            ours.images = Images(split, range(units * self.batch), shape[1:])
            with warnings.catch_warnings():
                warnings.simplefilter("error" if recorded else "ignore", RuntimeWarning)
                ours()

        take(8)  # records
        return take


def work(pipe: Connection, group: list[Contestant], device_type: str) -> None:
    """A process: prepares its contestants, sends the size of a unit of each or why there is none, and then
    the seconds of a unit in each round for each contestant that it is asked for.
    """
    with use_device(device_type, 1) as device:

        def synchronized() -> float:
            sampling.synchronize(device)
            return time.perf_counter()

        def timed(run: Callable[[int], None], units: int) -> float:
            start = synchronized()
            run(units)
            return (synchronized() - start) / units

        runs, sizes = [], []
        for contestant in group:
            try:
                run, size = contestant.prepare(device)
                timed(run, 2)
            except Exception as error:
                run, size = None, f"{type(error).__name__}: {(str(error) or ' ').splitlines()[0]}"
            runs.append(run)
            sizes.append(size)
        pipe.send(sizes)
        while (i := pipe.recv()) is not None:
            most = IMAGES // group[i].batch if group[i].batch else 2_000
            units = max(2, min(most, int(ROUND / timed(runs[i], 4))))
            pipe.send([timed(runs[i], units) for _ in range(ROUNDS)])


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
    own = {"card": device_name(device), "torch": torch.__version__, "copy": 2 * 2**30 / min(times)}
    return {**own, **products}


def groups(only: Collection[str]) -> list[list[Contestant]]:
    """The contestants of each process: a model's eager forms, its trainings, each compiled form."""
    compiled = [("bfloat16 compiled", m) for m in BATCHES]
    compiled += [("float32 compiled", m) for m in ("lenet", "resnet20")]
    trained: dict[str, list[Contestant]] = {}
    for one in TRAINED:
        for how in STEPS if one in FLOAT32 else STEPS[:2]:
            trained.setdefault(one[0], []).append(Contestant(one[0], how, *one[1:]))
    everyone = [
        *([Contestant(model, form) for form in EAGER] for model in BATCHES),
        *trained.values(),
        *([Contestant(model, form)] for form, model in compiled),
    ]
    chosen = ([contestant for contestant in group if contestant.what in only] for group in everyone)
    return [group for group in chosen if group]


def measure(
    seconds: float, device_type: str, only: Collection[str], say: Callable[[dict[str, Any]], None]
) -> None:
    deadline, context = time.monotonic() + seconds, get_context("spawn")
    running = []
    for group in groups(only):
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there, group, device_type), daemon=True)
        process.start()
        there.close()  # a process that dies then ends the pipe
        running.append((group, process, here))
    until = deadline - 0.4 * seconds  # all get ready at once: an earlier turn would be measured beside them
    while time.monotonic() < until and not all(pipe.poll() for _, _, pipe in running):
        time.sleep(0.1)
    late = [one for one in running if not one[2].poll()]
    for group, process, pipe in [*(one for one in running if one not in late), *late]:
        reply = answer(process, pipe, max(0.0, deadline - time.monotonic()), "not ready in time")
        sizes = [reply] * len(group) if isinstance(reply, str) else reply
        for i, (contestant, size) in enumerate(zip(group, sizes, strict=True)):
            say(asdict(contestant) | result(process, pipe, i, size, deadline))
        process.kill()


def answer(process: BaseProcess, pipe: Connection, seconds: float, late: str) -> Any:
    """What the process sends within `seconds`, or why nothing: `late`, or how it ended."""
    try:
        return pipe.recv() if pipe.poll(seconds) else late
    except (EOFError, ConnectionError):
        process.join()
        return f"its process ended with exit code {process.exitcode}"


def result(
    process: BaseProcess, pipe: Connection, i: int, size: int | str, deadline: float
) -> dict[str, Any]:
    """The seconds of a unit of the i-th contestant behind the pipe, or why there are none."""
    if isinstance(size, str):
        return {"why": size}
    if time.monotonic() > deadline:
        return {"why": "out of time"}
    with contextlib.suppress(ConnectionError):  # it has ended: `answer` says how
        pipe.send(i)
    reply = answer(process, pipe, max(1.0, deadline - time.monotonic()), "out of time")
    return {"why": reply} if isinstance(reply, str) else {"seconds": statistics.median(reply), "size": size}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=115)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="cpu: to try it out")
    whats = (*FORMS, *STEPS)
    parser.add_argument(
        "--only", nargs="+", choices=whats, default=whats, metavar="WHAT", help=", ".join(whats)
    )
    parser.add_argument("--rows", type=Path, help="where each row goes as it is known")
    parser.add_argument("--tables", type=Path, metavar="ROWS", help="only write the tables of these")
    args = parser.parse_args()
    if args.tables:
        try:
            return tables([dict(json.loads(line)) for line in args.tables.read_text().splitlines()])
        except (OSError, ValueError, TypeError, KeyError) as error:
            parser.error(f"--tables: {args.tables}: no rows of a measurement: {error!r}")
    if args.rows and args.rows.exists():  # perhaps of another card
        parser.error(f"--rows: {args.rows}: is there already; name another file, or remove it")
    rows: list[dict[str, Any]] = []

    def say(row: dict[str, Any]) -> None:
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
        if args.rows:
            with args.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")

    if args.device == "cuda":
        with use_device("cuda", 1) as device:
            say(card(device))
    measure(args.seconds, args.device, args.only, say)
    tables(rows)


if __name__ == "__main__":
    main()
