"""One pass over the images: steps in a fresh order, which continue after an interruption, and the share of
images that a network then classifies correctly.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rs.machine import chance
from rs.machine.devices import generator
from rs.machine.progress import inside
from rs.methods.interfaces import Objective
from rs.networks import distributed
from rs.networks.augmentation import augment, centre
from rs.networks.captured_step import CapturedSteps
from rs.networks.images import Resident, Streamed
from rs.settings.training import Training
from rs.smoothing.noise import Noise
from rs.smoothing.smoothed import evaluation_mode
from rs.statistics.seeding import derive_seed

SECONDS_BETWEEN_CHECKPOINTS = 300.0  # inside an epoch; the end of an epoch writes one too


@dataclass(frozen=True)
class Images:
    """Some of a split's images, by position, and the shape [H, W] in which a network takes them."""

    split: Resident | Streamed
    positions: range
    size: tuple[int, int]


@torch.no_grad()
def noisy_accuracy(
    model: nn.Module, images: Images, noise: Noise, draws: torch.Generator, label: str = ""
) -> float:
    """Share of images that the model classifies correctly with one noise draw each."""
    correct = torch.zeros((), device=draws.device)
    batches = distributed.batches(images.split, torch.tensor(images.positions), 1000)
    if distributed.is_first():
        batches = inside(batches, -(-len(images.positions) // 1000), f"{label}, selection", "batches")
    with evaluation_mode(model):
        for x, y in batches:
            x = centre(x, images.size)
            correct += (model(x + noise.sample(x.shape, draws)).argmax(1) == y).sum()
    return float(correct) / len(images.positions)


@dataclass(frozen=True)
class Begun:
    """An epoch after `step` of its steps: the state of its generator, sums of the recorded scalars, seconds
    spent.
    """

    step: int
    draws: Tensor
    totals: dict[str, Tensor]
    seconds: float


@dataclass(frozen=True)
class Step:
    """A step of a training; `totals` are the sums of the objective's scalars, on the device."""

    model: nn.Module
    objective: Objective
    noise: Noise
    optimizer: torch.optim.Optimizer
    images: Images
    augmentation: str
    draws: torch.Generator
    totals: dict[str, Tensor]

    def take(self, progress: float, x: Tensor, y: Tensor) -> None:
        x = augment(self.augmentation, x, self.draws, self.images.size)
        loss, scalars = self.objective.loss(self.model, x, y, self.noise, self.draws, progress)
        self.optimizer.zero_grad(set_to_none=True)
        distributed.backward(loss)
        self.optimizer.step()
        for name, value in {"loss": loss.detach(), **scalars}.items():
            if name in self.totals:
                self.totals[name].add_(value)
            else:
                self.totals[name] = value.clone()

    def take_on(self, progress: float, positions: Tensor) -> None:
        """Takes the step on the images at these positions of the split."""
        self.take(progress, *self.images.split.take(positions))


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
    """One pass over the images in a fresh order; returns the means over its steps of the objective's scalars.

    It continues after `begun`, and hands its state to `save` every few minutes. `captured`, for steps that
    may become CUDA graphs, belongs to one training and is passed from epoch to epoch. A network that draws
    itself (dropout) does so from the process's generators, which every step seeds anew: in each of several
    processes, which see different rows, differently. So every process can continue at any step.
    """
    model.train()
    device = images.split.labels.device
    shuffle = generator(torch.device("cpu"), seed, "train", 1, epoch)
    order = torch.tensor(images.positions)[torch.randperm(len(images.positions), generator=shuffle)]
    steps = math.ceil(len(order) / training.batch_size)
    totals: dict[str, Tensor] = captured.totals if captured else {}
    draws = captured.draws if captured else generator(device, seed, "train", 2, epoch)
    step = Step(model, objective, noise, optimizer, images, training.augmentation, draws, totals)
    anew = captured.epoch(derive_seed(seed, "train", 2, epoch)) if captured else contextlib.nullcontext()
    with chance.kept_chance(), anew:
        started, done = time.perf_counter(), 0
        if begun:
            draws.set_state(begun.draws)
            totals.update({name: total.to(device) for name, total in begun.totals.items()})
            started, done = started - begun.seconds, begun.step
        saved, rest = time.perf_counter(), order[done * training.batch_size :]
        batches = _batches(images, rest, training.batch_size, captured is not None)
        if distributed.is_first():
            batches = inside(batches, steps, f"{label}, epoch {epoch + 1}", "steps", done)
        for number, batch in enumerate(batches, done):
            chance.seeded(derive_seed(seed, "train", 4, epoch, distributed.rank(), number), device)
            _take(step, (epoch + number / steps) / training.epochs, batch, captured)
            now = time.perf_counter()
            if save and now - saved >= SECONDS_BETWEEN_CHECKPOINTS and number + 1 < steps:
                save(Begun(number + 1, draws.get_state(), totals, now - started))
                saved = time.perf_counter()
        return {name: float(total) / steps for name, total in totals.items()}


def _batches(images: Images, order: Tensor, size: int, positions: bool) -> Iterable[tuple[Tensor, ...]]:
    """Batches of the images in this order: (x, y), or with `positions` only the positions, on the device."""
    if positions:
        return ((chosen,) for chosen in order.to(images.split.labels.device).split(size))
    return distributed.batches(images.split, order, size)


def _take(step: Step, progress: float, batch: tuple[Tensor, ...], captured: CapturedSteps | None) -> None:
    if captured is None:
        step.take(progress, *batch)
        return
    phase = getattr(step.objective, "phase", lambda progress: None)
    kind = (step.optimizer.param_groups[0]["lr"], phase(progress))
    captured.take(kind, batch[0], functools.partial(step.take_on, progress))
