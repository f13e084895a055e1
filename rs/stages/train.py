"""One training loop for every objective: resident or streamed images, resumable to the bit, on one or more
processes.

Every epoch draws from a generator seeded by (seed, epoch): a checkpoint between epochs needs no generator
state, one inside an epoch (of a long one, every few minutes) keeps it. Every step seeds what a network with
dropout draws from. The objective sees float32 images and float32 logits; autocast is inside the network, and
float32 is float32 on every device (no TF32): `precision: bfloat16` is the fast form. A step waits for
nothing: sums of what is recorded stay on the device until the epoch ends.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from rs.errors import UserError
from rs.machine.chance import kept_chance, seeded
from rs.machine.devices import generator, warn_if_slow
from rs.machine.float32 import full_float32
from rs.machine.progress import follow
from rs.methods import catalog
from rs.methods.interfaces import Objective
from rs.networks import checkpoints, distributed
from rs.networks.captured_step import CapturedSteps
from rs.networks.gray_convolutions import align_gray_convolutions
from rs.networks.images import Resident, open_split
from rs.networks.optimization import learning_rate, make_optimizer
from rs.networks.references import resolve_networks
from rs.networks.transformations import training_layout
from rs.plan.calibrated import resolve_epsilon
from rs.provenance.digests import digest, file_digest
from rs.provenance.files import whole_file
from rs.provenance.prepared import read_manifest
from rs.provenance.run_files import DIVERGED
from rs.settings.images import Subset
from rs.settings.training import Training, trained_positions
from rs.smoothing.noise import Noise
from rs.stages.epoch import Begun, Images, noisy_accuracy, run_epoch
from rs.stages.trained import finish, leave_curve
from rs.statistics.seeding import derive_seed

if TYPE_CHECKING:
    from rs.plan.jobs import Job


class Autocast(nn.Module):
    """The network as the objective sees it: in its layout, in the training precision, float32 logits."""

    def __init__(
        self, network: nn.Module, precision: str, layout: torch.memory_format = torch.channels_last
    ) -> None:
        super().__init__()
        self.network, self.layout = network.to(memory_format=layout), layout
        self.reduced = precision == "bfloat16"
        if self.reduced and any(weight.is_cuda for weight in network.parameters()):
            align_gray_convolutions(network)

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=self.layout)
        with full_float32(x.device), torch.autocast(x.device.type, torch.bfloat16, enabled=self.reduced):
            logits: Tensor = self.network(x)
        return logits.float()


def run_job(job: Job, device: torch.device, code: str) -> None:
    with distributed.process_group(device):
        references = job.inputs.get("calibrations", {}) | job.inputs.get("networks", {})
        train(job.spec, job.inputs["data"], references, job.outputs, device, code, job.workers)


@dataclass(frozen=True)
class Subject:
    """What is trained, on what: the network, the model as the objective sees it, images and those to select
    an epoch on.
    """

    training: Training
    manifest: dict[str, Any]
    objective: Objective
    resolved: dict[str, Any]
    noise: Noise
    images: Images
    selection: Images
    network: nn.Module
    model: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device


def subject_of(
    spec: dict[str, Any], data: Path, references: dict[str, Path], device: torch.device, workers: int
) -> Subject:
    """The untrained network that `spec` describes, and all that its training needs. `references` are files of
    other runs, by the parameter of the objective that names them.
    """
    training = TypeAdapter(Training).validate_python(spec["training"])
    manifest = read_manifest(data, spec["data"])
    objective: Objective = catalog.build("objectives", spec["objective"])
    objective, numbers = resolve_epsilon(objective, references, math.prod(manifest["shape"]))
    objective, digests = resolve_networks(objective, references, data, device)
    resolved = {**numbers, **digests}
    images, selection = images_of(spec, training, manifest, data, device, workers)
    with kept_chance():
        seeded(derive_seed(spec["seed"], "train", 0))
        network = checkpoints.build_model(spec["model"], manifest)
    layout = training_layout(network, manifest["shape"], device)
    if distributed.processes() > 1:
        network = distributed.synchronise_batch_norm(network, device)
    warn_if_slow(training.precision, device)
    model: nn.Module = Autocast(network.to(device), training.precision, layout)
    if distributed.processes() > 1:
        model = distributed.Replica(model)
    optimizer, noise = make_optimizer(training, model), catalog.build("noises", spec["noise"])
    return Subject(
        training, manifest, objective, resolved, noise, images, selection, network, model, optimizer, device
    )


def images_of(
    spec: dict[str, Any],
    training: Training,
    manifest: dict[str, Any],
    data: Path,
    device: torch.device,
    workers: int,
) -> tuple[Images, Images]:
    """The images to train on, and those to select an epoch on: held out, or the test images."""
    size = (manifest["shape"][1], manifest["shape"][2])
    split = open_split(data, "train", device, workers, margin=True)
    part = Subset(**spec.get("train", {}))
    trained = trained_positions(part, vars(training), len(split))
    images = Images(split, trained, size)
    if training.keep == "best_clean" and training.selection == "test":
        test = open_split(data, "test", device, workers)
        return images, Images(test, range(len(test)), size)
    return images, Images(split, part.positions(len(split))[len(trained) :], size)


@dataclass
class Progress:
    """What a training has done: a row per epoch, the best accuracy on the images to select on and its epoch,
    the weights kept then, and what has `begun` of the next epoch.
    """

    epoch: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: tuple[float, int] = (-1.0, 0)
    kept: dict[str, Tensor] | None = None
    begun: Begun | None = None

    @classmethod
    def load(cls, resume: Path, subject: Subject) -> Progress:
        """What a checkpoint holds; its weights and the state of the optimizer go into the subject."""
        saved = checkpoints.load_resume(resume)
        subject.network.load_state_dict(saved["network"])
        subject.optimizer.load_state_dict(saved["optimizer"])
        begun = Begun(**saved["begun"]) if saved["begun"] else None
        return cls(saved["epoch"], saved["rows"], tuple(saved["best"]), saved["kept"], begun)

    def save(self, resume: Path, subject: Subject, done: int, begun: Begun | None) -> None:
        """A checkpoint after `done` epochs and what has `begun` of the next."""
        if not distributed.is_first() or (begun and not_finite(subject.network)):
            return
        state: dict[str, Any] = {
            "network": subject.network.state_dict(),
            "optimizer": subject.optimizer.state_dict(),
        }
        state |= {"epoch": done, "rows": self.rows, "best": list(self.best), "kept": self.kept}
        state |= {"begun": begun and vars(begun), "name": resume.name}
        packed = io.BytesIO()  # torch reports a full disk as no OSError
        torch.save(state, packed)
        with whole_file(resume) as temporary:
            temporary.write_bytes(packed.getbuffer())


def train(
    spec: dict[str, Any],
    data: Path,
    references: dict[str, Path],
    outputs: dict[str, Path],
    device: torch.device,
    code: str,
    workers: int = 4,
) -> None:
    """Trains the run that `spec` describes and writes weights, metrics and manifest.

    A checkpoint of every epoch, and of every few minutes inside a long one, lies beside the weights under a
    name made of the spec's, the code's and the inputs' digests; it is continued from when all of them still
    hold, and removed at the end. Raises UserError when the loss or a weight is no longer finite: that
    checkpoint, the last good one, stays, beside the training's curve. In a process group every process calls
    this, and the first writes.
    """
    subject = subject_of(spec, data, references, device, workers)
    inputs = [file_digest(path) for path in (data, *references.values())]
    resume = outputs["weights"].with_name(f"resume-{digest([spec, code, inputs, device.type], 16)}.pt")
    label, writes, progress = outputs["weights"].parent.name, distributed.is_first(), Progress()
    if resume.is_file():
        progress = Progress.load(resume, subject)
        if writes:
            steps = f" and {progress.begun.step} steps" if progress.begun else ""
            print(f"{label}: continuing after epoch {progress.epoch}{steps}", file=sys.stderr)
    captured = None
    if device.type == "cuda" and isinstance(subject.images.split, Resident) and distributed.processes() == 1:
        captured = CapturedSteps(device)
    first, epochs = progress.epoch, subject.training.epochs
    todo = range(first, epochs)
    for epoch in follow(todo, epochs, label, "epochs", first) if writes else todo:
        train_epoch(subject, progress, epoch, spec, code, resume, captured)
        progress.save(resume, subject, epoch + 1, None)
    if writes:
        finish(subject, progress, spec, code, outputs)
        for leftover in (*resume.parent.glob("resume-*.pt"), resume.with_name(DIVERGED)):
            with contextlib.suppress(FileNotFoundError):
                leftover.unlink()


def train_epoch(
    subject: Subject,
    progress: Progress,
    epoch: int,
    spec: dict[str, Any],
    code: str,
    resume: Path,
    captured: CapturedSteps | None,
) -> None:
    """Adds an epoch, or what is left of it, to `progress`. Raises UserError where it diverges, and leaves the
    curve up to there.
    """
    training, label, begun, seed = subject.training, resume.parent.name, progress.begun, spec["seed"]
    started, rate = time.perf_counter() - (begun.seconds if begun else 0), learning_rate(training, epoch)
    for group in subject.optimizer.param_groups:
        group["lr"] = rate
    row = {"epoch": epoch + 1, "learning_rate": rate}
    save = functools.partial(progress.save, resume, subject, epoch)
    parts = (subject.model, subject.objective, subject.noise, subject.optimizer, subject.images, training)
    row |= run_epoch(*parts, seed, epoch, label, begun, save, captured)
    progress.begun = None
    row["images_per_second"] = len(subject.images.positions) / (time.perf_counter() - started)
    lost = f"the loss is {row['loss']}" if not math.isfinite(row["loss"]) else not_finite(subject.network)
    if lost:
        row["seconds"] = time.perf_counter() - started
        curve = leave_curve(subject, [*progress.rows, row], lost, spec, code, resume.with_name(DIVERGED))
        good = f"; the last good checkpoint is {resume}" if resume.is_file() else ""
        advice = f"lower training.optimizer.learning_rate ({rate:g} here)"
        if epoch == 0:
            advice += ", or mend the objective if its loss never was finite"
        raise UserError(f"{label}: diverged in epoch {epoch + 1}: {lost}; {advice}{good}; {curve}")
    if training.keep == "best_clean":
        draws = generator(subject.device, seed, "train", 3)
        accuracy = noisy_accuracy(subject.model, subject.selection, subject.noise, draws, label)
        row["selection_accuracy"] = accuracy
        if accuracy > progress.best[0]:
            progress.best = (accuracy, epoch + 1)
            progress.kept = {k: v.clone() for k, v in subject.network.state_dict().items()}
    row["seconds"] = time.perf_counter() - started
    progress.rows.append(row)


def not_finite(network: nn.Module) -> str:
    """Which weight or buffer is infinite or NaN after an epoch's last step, or nothing."""
    bad = (name for name, value in network.state_dict().items() if not bool(value.isfinite().all()))
    name = next(bad, "")
    return name and f"{name} is not finite"
