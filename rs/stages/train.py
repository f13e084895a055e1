"""One training loop for every objective: resident or streamed images, resumable to the bit, on one or more
processes.

Every epoch draws from generators seeded by (seed, epoch): a checkpoint between epochs needs no generator
state, one inside an epoch (of a long one, every few minutes) keeps it. The objective sees float32 images and
float32 logits; autocast is inside the network, and float32 is float32 on every device (no TF32): `precision:
bfloat16` is the fast form. A step waits for nothing: sums of what is recorded stay on the device until the
epoch ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from rs.errors import UserError
from rs.machine.devices import device_name, generator, warn_if_slow
from rs.machine.progress import follow, inside
from rs.methods import catalog
from rs.methods.interfaces import Objective
from rs.networks import checkpoints, distributed
from rs.networks.augmentation import augment, centre
from rs.networks.captured_step import CapturedSteps
from rs.networks.images import Resident, Streamed, open_split
from rs.networks.optimization import learning_rate, make_optimizer
from rs.networks.transformations import training_layout
from rs.plan.calibrated import resolve_epsilon
from rs.provenance.digests import digest, file_digest
from rs.provenance.files import provenance, whole_file, write_table
from rs.provenance.prepared import read_manifest
from rs.settings.images import Subset
from rs.settings.training import Training
from rs.smoothing.noise import Noise
from rs.smoothing.smoothed import evaluation_mode
from rs.statistics.seeding import derive_seed

if TYPE_CHECKING:
    from rs.plan.jobs import Job

SECONDS_BETWEEN_CHECKPOINTS = 300.0  # inside an epoch; each end of an epoch is one too


class Autocast(nn.Module):
    """The network as the objective sees it: in its layout, in the training precision, float32 logits."""

    def __init__(
        self, network: nn.Module, precision: str, layout: torch.memory_format = torch.channels_last
    ) -> None:
        super().__init__()
        self.network, self.layout = network.to(memory_format=layout), layout
        self.reduced = precision == "bfloat16"

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=self.layout)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.reduced):
            logits: Tensor = self.network(x)
        return logits.float()


@dataclasses.dataclass(frozen=True)
class Images:
    """Some of a split's images, by position, and the shape [H, W] in which a network takes them."""

    split: Resident | Streamed
    positions: range
    size: tuple[int, int]


def run_job(job: Job, device: torch.device, code: str) -> None:
    with distributed.process_group(device):
        calibrations = job.inputs.get("calibrations", {})
        train(job.spec, job.inputs["data"], calibrations, job.outputs, device, code, job.workers)


@torch.no_grad()
def noisy_accuracy(
    model: nn.Module, images: Images, noise: Noise, draws: torch.Generator, label: str = ""
) -> float:
    """Share of images classified correctly with one noise draw each."""
    correct = torch.zeros((), device=draws.device)
    batches = distributed.batches(images.split, torch.tensor(images.positions), 1000)
    if distributed.is_first():
        batches = inside(batches, -(-len(images.positions) // 1000), f"{label}, selection", "batches")
    with evaluation_mode(model):
        for x, y in batches:
            x = centre(x, images.size)
            correct += (model(x + noise.sample(x.shape, draws)).argmax(1) == y).sum()
    return float(correct) / len(images.positions)


def train(
    spec: dict[str, Any],
    data: Path,
    calibrations: dict[str, Path],
    outputs: dict[str, Path],
    device: torch.device,
    code: str,
    workers: int = 4,
) -> None:
    """Trains the run that `spec` describes and writes weights, metrics and manifest.

    A checkpoint of every epoch, and of every few minutes inside a long one, lies beside the weights under a
    name made of the spec's, the code's and the inputs' digests; it is continued from when all of them still
    hold, and removed at the end. Raises UserError when the loss or a weight is no longer finite: that
    checkpoint, the last good one, stays. In a process group every process calls this, and the first writes.
    """
    training = TypeAdapter(Training).validate_python(spec["training"])
    seed, manifest = spec["seed"], read_manifest(data, spec["data"])
    objective: Objective = catalog.build("objectives", spec["objective"])
    objective, resolved = resolve_epsilon(objective, calibrations, math.prod(manifest["shape"]))
    noise: Noise = catalog.build("noises", spec["noise"])
    size = (manifest["shape"][1], manifest["shape"][2])
    split = open_split(data, "train", device, workers, margin=True)
    held = training.held_out if training.keep == "best_clean" and training.selection == "held_out" else 0
    used = Subset(**spec.get("train", {})).positions(len(split))
    images = Images(split, used[: len(used) - held], size)
    selection = Images(split, used[len(used) - held :], size)
    if training.keep == "best_clean" and training.selection == "test":
        test = open_split(data, "test", device, workers)
        selection = Images(test, range(len(test)), size)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(torch.device("cpu"), seed, "train", 0).initial_seed())
        network = checkpoints.build_model(spec["model"], manifest)
    layout = training_layout(network, manifest["shape"], device)
    if distributed.processes() > 1:
        network = distributed.synchronise_batch_norm(network, device)
    warn_if_slow(training.precision, device)
    model: nn.Module = Autocast(network.to(device), training.precision, layout)
    if distributed.processes() > 1:
        model = distributed.Replica(model)
    optimizer = make_optimizer(training, model)
    inputs = [file_digest(path) for path in (data, *calibrations.values())]
    resume = outputs["weights"].with_name(f"resume-{digest([spec, code, inputs, device.type], 16)}.pt")
    label, writes = outputs["weights"].parent.name, distributed.is_first()
    first, rows, best = 0, [], (-1.0, 0)
    kept: dict[str, Tensor] | None = None
    begun: Begun | None = None
    if resume.is_file():
        saved = checkpoints.load_resume(resume)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        first, rows, best, kept = saved["epoch"], saved["rows"], tuple(saved["best"]), saved["kept"]
        begun = Begun(**saved["begun"]) if saved["begun"] else None
        if writes:
            steps = f" and {begun.step} steps" if begun else ""
            print(f"{label}: continuing after epoch {first}{steps}", file=sys.stderr)

    def save(done: int, begun: Begun | None) -> None:
        """A checkpoint after `done` epochs and what has `begun` of the next."""
        if not writes or (begun and not_finite(network)):
            return
        state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": done}
        state |= {"rows": rows, "best": list(best), "kept": kept, "begun": begun and vars(begun)}
        state |= {"name": resume.name}
        packed = io.BytesIO()  # torch reports a full disk as no OSError
        torch.save(state, packed)
        with whole_file(resume) as temporary:
            temporary.write_bytes(packed.getbuffer())

    captured = None
    if device.type == "cuda" and isinstance(split, Resident) and distributed.processes() == 1:
        captured = CapturedSteps(device)
    epochs = range(first, training.epochs)
    for epoch in follow(epochs, training.epochs, label, "epochs", first) if writes else epochs:
        started, rate = time.perf_counter() - (begun.seconds if begun else 0), learning_rate(training, epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate
        row = {"epoch": epoch + 1, "learning_rate": rate}
        told = (label, begun, functools.partial(save, epoch), captured)
        row |= run_epoch(model, objective, noise, optimizer, images, training, seed, epoch, *told)
        begun = None
        row["images_per_second"] = len(images.positions) / (time.perf_counter() - started)
        lost = f"the loss is {row['loss']}" if not math.isfinite(row["loss"]) else not_finite(network)
        if lost:
            good = f"; the last good checkpoint is {resume}" if resume.is_file() else ""
            advice = f"lower training.optimizer.learning_rate ({rate:g} here)"
            raise UserError(f"{label}: diverged in epoch {epoch + 1}: {lost}; {advice}{good}")
        if training.keep == "best_clean":
            accuracy = noisy_accuracy(model, selection, noise, generator(device, seed, "train", 3), label)
            row["selection_accuracy"] = accuracy
            if accuracy > best[0]:
                best, kept = (accuracy, epoch + 1), {k: v.clone() for k, v in network.state_dict().items()}
        row["seconds"] = time.perf_counter() - started
        rows.append(row)
        save(epoch + 1, None)
    if not writes:
        return

    made = provenance(
        spec,
        code,
        device=device_name(device),
        processes=distributed.processes(),
        precision=training.precision,
        seed=seed,
        resolved=resolved,
        train_seconds=sum(r["seconds"] for r in rows),
        images_per_second=statistics.median(r["images_per_second"] for r in rows),
        epochs=training.epochs,
        kept_epoch=best[1] or training.epochs,
    )
    write_table(outputs["metrics"], pa.Table.from_pylist(rows), made)
    weights = kept or network.state_dict()
    checkpoints.save(outputs, weights, {"provenance": made, "classes": manifest["classes"]})
    for leftover in resume.parent.glob("resume-*.pt"):
        with contextlib.suppress(FileNotFoundError):
            leftover.unlink()


def not_finite(network: nn.Module) -> str:
    """Which weight or buffer is infinite or NaN after an epoch's last step, or nothing."""
    bad = (name for name, value in network.state_dict().items() if not bool(value.isfinite().all()))
    name = next(bad, "")
    return name and f"{name} is not finite"


@dataclasses.dataclass(frozen=True)
class Begun:
    """An epoch after `step` of its steps: its generator's state, sums of what is recorded, seconds spent."""

    step: int
    draws: Tensor
    totals: dict[str, Tensor]
    seconds: float


def run_epoch(
    model: nn.Module,
    objective: Objective,
    noise: Noise,
    optimizer: torch.optim.Optimizer,
    images: Images,
    training: Training,
    seed: int,
    epoch: int,
    label: str = "",
    begun: Begun | None = None,
    save: Callable[[Begun], None] | None = None,
    captured: CapturedSteps | None = None,
) -> dict[str, float]:
    """One pass over the images in a fresh order; means over its steps of what the objective records.

    It goes on after what has `begun` of it, and hands that to `save` every few minutes. `captured`, where
    steps may become CUDA graphs, is one training's and goes from epoch to epoch.
    """
    model.train()
    device, n = images.split.labels.device, len(images.positions)
    shuffle = generator(torch.device("cpu"), seed, "train", 1, epoch)
    order = torch.tensor(images.positions)[torch.randperm(n, generator=shuffle)]
    steps = math.ceil(n / training.batch_size)
    totals: dict[str, Tensor] = captured.totals if captured else {}
    draws = captured.draws if captured else generator(device, seed, "train", 2, epoch)
    phase = getattr(objective, "phase", lambda progress: None)

    def take_step(progress: float, x: Tensor, y: Tensor) -> None:
        x = augment(training.augmentation, x, draws, images.size)
        loss, scalars = objective.loss(model, x, y, noise, draws, progress)
        optimizer.zero_grad(set_to_none=True)
        distributed.backward(loss)
        optimizer.step()
        for name, value in {"loss": loss.detach(), **scalars}.items():
            if name in totals:
                totals[name].add_(value)
            else:
                totals[name] = value.clone()

    def take_step_on(progress: float, chosen: Tensor) -> None:
        take_step(progress, *images.split.take(chosen))

    seeded = captured.epoch(derive_seed(seed, "train", 2, epoch)) if captured else contextlib.nullcontext()
    with seeded:
        started, done = time.perf_counter(), begun.step if begun else 0
        if begun:
            draws.set_state(begun.draws)
            totals.update({name: total.to(device) for name, total in begun.totals.items()})
            started -= begun.seconds
        saved, rest = time.perf_counter(), order[done * training.batch_size :]
        batches: Iterable[tuple[Tensor, ...]] = (
            ((chosen,) for chosen in rest.to(device).split(training.batch_size))
            if captured
            else distributed.batches(images.split, rest, training.batch_size)
        )
        if distributed.is_first():
            batches = inside(batches, steps, f"{label}, epoch {epoch + 1}", "steps", done)
        for step, batch in enumerate(batches, done):
            progress = (epoch + step / steps) / training.epochs
            if captured:
                kind = (optimizer.param_groups[0]["lr"], phase(progress))
                captured.take(kind, batch[0], functools.partial(take_step_on, progress))
            else:
                take_step(progress, *batch)
            now = time.perf_counter()
            if save and now - saved >= SECONDS_BETWEEN_CHECKPOINTS and step + 1 < steps:
                save(Begun(step + 1, draws.get_state(), totals, now - started))
                saved = time.perf_counter()
        return {name: float(total) / steps for name, total in totals.items()}
