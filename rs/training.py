"""One training loop for every objective: resident data, no worker processes, resumable to the bit.

Every epoch draws from generators seeded by (seed, epoch), so that continuing after a kill needs no generator
state. The objective sees float32 images and float32 logits; autocast is inside the network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional

from rs import catalog, checkpoints
from rs.devices import device_name, generator
from rs.interfaces import Noise, Objective, UserError
from rs.preparation import load_split, read_manifest
from rs.progress import follow
from rs.provenance import digest, file_digest, provenance, read_json, whole_file, write_table
from rs.smoothing import evaluation_mode
from rs.spec import Calibrated, Training


class Autocast(nn.Module):
    """The network as the objective sees it: channels_last, in the training precision, float32 logits."""

    def __init__(self, network: nn.Module, precision: str) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.reduced = precision == "bfloat16"

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.reduced):
            logits: Tensor = self.network(x)
        return logits.float()


def learning_rate(training: Training, epoch: int) -> float:
    """Learning rate of an epoch, 0 <= epoch < epochs."""
    rate, schedule = training.optimizer.learning_rate, training.schedule
    if schedule.name == "multistep":
        return rate * schedule.gamma ** sum(epoch >= m for m in schedule.milestones)
    if schedule.name == "cosine":
        return rate * 0.5 * (1 + math.cos(math.pi * epoch / training.epochs))
    return rate


def make_optimizer(training: Training, model: nn.Module) -> torch.optim.Optimizer:
    chosen = training.optimizer
    if chosen.name == "adam":
        return torch.optim.Adam(model.parameters(), chosen.learning_rate, weight_decay=chosen.weight_decay)
    rate, momentum, decay = chosen.learning_rate, chosen.momentum, chosen.weight_decay
    return torch.optim.SGD(model.parameters(), rate, momentum, weight_decay=decay)


def crop_flip(x: Tensor, draws: torch.Generator, padding: int = 4) -> Tensor:
    """Random crop after zero padding and random horizontal flip, each image its own, on the device."""
    b, _, h, w = x.shape
    offset = torch.randint(0, 2 * padding + 1, (2, b), generator=draws, device=x.device)
    flip = torch.rand(b, generator=draws, device=x.device) < 0.5
    rows = offset[0][:, None] + torch.arange(h, device=x.device)
    columns = torch.arange(w, device=x.device).expand(b, w)
    columns = offset[1][:, None] + torch.where(flip[:, None], w - 1 - columns, columns)
    padded = functional.pad(x, (padding,) * 4)
    image = torch.arange(b, device=x.device)[:, None, None]
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def resolve_epsilon(
    objective: Objective, calibrations: dict[str, Path]
) -> tuple[Objective, dict[str, float]]:
    """The objective with its references replaced by calibrated numbers, and those numbers."""
    resolved = {}
    for field in dataclasses.fields(objective):  # type: ignore[arg-type]
        value = getattr(objective, field.name)
        if isinstance(value, Calibrated):
            path, key = calibrations[field.name], f"epsilon_{value.cost}"
            found = read_json(path)
            if key not in found:
                raise UserError(f"{path}: lacks {key}: not a calibration; remove it and run again")
            resolved[field.name] = float(found[key])
    return dataclasses.replace(objective, **resolved), resolved  # type: ignore[type-var]


@torch.no_grad()
def noisy_accuracy(model: nn.Module, x: Tensor, y: Tensor, noise: Noise, draws: torch.Generator) -> float:
    """Share of images classified correctly with one noise draw each."""
    correct = torch.zeros((), device=x.device)
    with evaluation_mode(model):
        for start in range(0, len(x), 1000):
            batch = x[start : start + 1000]
            predicted = model(batch + noise.sample(batch.shape, draws)).argmax(1)
            correct += (predicted == y[start : start + 1000]).sum()
    return float(correct) / len(x)


def train(
    spec: dict[str, Any],
    data: Path,
    calibrations: dict[str, Path],
    outputs: dict[str, Path],
    device: torch.device,
    code: str,
) -> None:
    """Trains the run that `spec` describes and writes weights, metrics and manifest.

    A checkpoint of every epoch lies beside the weights under a name made of the spec's, the code's and the
    inputs' digests; it is continued from when all of them still hold, and removed at the end. Raises
    UserError when the loss or a weight is no longer finite: that checkpoint, the last good one, stays.
    """
    training = TypeAdapter(Training).validate_python(spec["training"])
    objective, resolved = resolve_epsilon(catalog.build("objectives", spec["objective"]), calibrations)
    noise: Noise = catalog.build("noises", spec["noise"])
    seed, manifest = spec["seed"], read_manifest(data)
    x, y = load_split(data, "train", device)
    held = training.held_out if training.keep == "best_clean" and training.selection == "held_out" else 0
    selection = (x[len(x) - held :], y[len(x) - held :])
    if training.keep == "best_clean" and training.selection == "test":
        selection = load_split(data, "test", device)
    x, y = x[: len(x) - held], y[: len(y) - held]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(torch.device("cpu"), seed, "train", 0).initial_seed())
        network = checkpoints.build_model(spec["model"], manifest)
    model = Autocast(network.to(device), training.precision)
    optimizer = make_optimizer(training, model)
    inputs = [file_digest(path) for path in (data, *calibrations.values())]
    resume = outputs["weights"].with_name(f"resume-{digest([spec, code, inputs, device.type], 16)}.pt")
    first, rows, best = 0, [], (-1.0, 0)
    kept: dict[str, Tensor] | None = None
    if resume.is_file():
        saved = torch.load(resume, map_location=device, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        print(f"{outputs['weights'].parent.name}: continuing after epoch {saved['epoch']}", file=sys.stderr)
        first, rows, best, kept = saved["epoch"], saved["rows"], tuple(saved["best"]), saved["kept"]

    steps = math.ceil(len(x) / training.batch_size)
    label = outputs["weights"].parent.name
    for epoch in follow(range(first, training.epochs), training.epochs, label, "epochs", first):
        started, rate = time.perf_counter(), learning_rate(training, epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate
        totals = run_epoch(model, objective, noise, optimizer, x, y, training, seed, epoch, steps)
        row = {"epoch": epoch + 1, "learning_rate": rate, **{k: float(v) / steps for k, v in totals.items()}}
        lost = f"the loss is {row['loss']}" if not math.isfinite(row["loss"]) else not_finite(network)
        if lost:
            good = f"; the last good checkpoint, of epoch {epoch}, is {resume}" if epoch else ""
            advice = f"lower training.optimizer.learning_rate ({rate:g} here)"
            raise UserError(f"{label}: diverged in epoch {epoch + 1}: {lost}; {advice}{good}")
        if training.keep == "best_clean":
            accuracy = noisy_accuracy(model, *selection, noise, generator(device, seed, "train", 3))
            row["selection_accuracy"] = accuracy
            if accuracy > best[0]:
                best, kept = (accuracy, epoch + 1), {k: v.clone() for k, v in network.state_dict().items()}
        row["seconds"] = time.perf_counter() - started
        rows.append(row)
        state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1}
        packed = io.BytesIO()  # torch reports a full disk as no OSError
        torch.save({**state, "rows": rows, "best": list(best), "kept": kept}, packed)
        with whole_file(resume) as temporary:
            temporary.write_bytes(packed.getbuffer())

    made = provenance(
        spec,
        code,
        device=device_name(device),
        precision=training.precision,
        seed=seed,
        resolved=resolved,
        train_seconds=sum(r["seconds"] for r in rows),
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


def run_epoch(
    model: nn.Module,
    objective: Objective,
    noise: Noise,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    training: Training,
    seed: int,
    epoch: int,
    steps: int,
) -> dict[str, Tensor]:
    """One pass over the data in a fresh order; sums of the recorded scalars, still on the device."""
    model.train()
    shuffle = generator(torch.device("cpu"), seed, "train", 1, epoch)
    order = torch.randperm(len(x), generator=shuffle).to(x.device)
    draws = generator(x.device, seed, "train", 2, epoch)
    totals: dict[str, Tensor] = {}
    for step in range(steps):
        chosen = order[step * training.batch_size : (step + 1) * training.batch_size]
        images = crop_flip(x[chosen], draws) if training.augmentation == "crop_flip" else x[chosen]
        progress = (epoch + step / steps) / training.epochs
        loss, scalars = objective.loss(model, images, y[chosen], noise, draws, progress)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        for name, value in {"loss": loss.detach(), **scalars}.items():
            totals[name] = totals[name] + value if name in totals else value.clone()
    return totals
