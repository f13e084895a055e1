"""The speed of a network's passes on this machine, forward and backward, in seconds: what `rs price`
measures.

Each kind of pass (rs.plan.passes) is timed as the stages run it, on random images with untrained weights
(speed does not depend on them), in two batch sizes. A line through both gives the seconds per pass and per
image; passes that are compiled on a processor have one size, which they fill.
The best of a few passes counts; on a processor it is timed in CPU time of one thread, which other work on the
machine changes little. On a GPU training steps are recorded as CUDA graphs, as the trainer records them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from rs.machine.chance import kept_chance, seeded
from rs.machine.devices import generator
from rs.methods.models.costs import counted
from rs.methods.noise.gaussian import Gaussian
from rs.methods.objectives.gaussian import GaussianTraining
from rs.networks import checkpoints
from rs.networks.audit import Audited
from rs.networks.captured_step import WRITTEN, CapturedSteps
from rs.networks.compiled_gradients import CompiledGradients
from rs.networks.differentiable import Differentiable
from rs.networks.inference import InferenceForm
from rs.networks.openvino_form import OpenVinoForm, program_of
from rs.networks.optimization import make_optimizer
from rs.networks.transformations import training_layout
from rs.plan.passes import COMPILED_GRADIENT, FORWARDS, Network
from rs.plan.rates import RECORDS
from rs.settings.sampling import differentiated, requested_form
from rs.settings.training import Training
from rs.smoothing.ascent import input_gradient
from rs.smoothing.smoothed import evaluation_mode, mean_cross_entropy
from rs.stages.train import Autocast
from rs.study.schema import method_schema

SECONDS = 0.3  # spent on timing each kind of pass; also the limit of one pass in the larger batch
SLOW = 40e9  # multiply-adds/s of a common core
SMALLEST, LARGEST = 16, {"cpu": 512, "cuda": 8192}
COPIES = 8  # noisy copies of an image in a gradient
OF_SIZE = ("vote", COMPILED_GRADIENT)  # kinds of passes that are made for one size of batches
CLASSES, PROBES = 10, 16
NOISE = Gaussian(0.5)

Pass = Callable[[Tensor], None]  # takes positions of images


class Subject:
    """An untrained network on a device, and random images and labels for it."""

    def __init__(self, network: Network, device: torch.device) -> None:
        channels, self.entry, self.device = network.shape[0], network, device
        data = {"shape": list(network.shape), "classes": CLASSES}
        data |= {"mean": [0.5] * channels, "std": [0.5] * channels}
        with kept_chance():
            seeded(0)
            self.network = checkpoints.build_model(network.described, data)
        if method_schema("models", network.described["name"]).get("x-output") == "image":
            self.network = nn.Sequential(self.network, nn.Flatten())  # pixels serve as logits, to have a loss
        self.costs = counted(self.network, network.shape)
        draws = torch.Generator().manual_seed(0)
        self.images = torch.rand(LARGEST[device.type], *network.shape, generator=draws).to(device)
        self.labels = torch.zeros(len(self.images), dtype=torch.int64, device=device)

    def audited(self) -> Audited:
        probes = self.images[:PROBES].cpu()
        frozen = self.network.cpu().eval().requires_grad_(False)
        return Audited(frozen, {"classes": CLASSES}, probes.to(self.device), self.entry.name, False)

    def taken(self, kind: str, draws: torch.Generator) -> Pass:
        """A pass over the images once, as objectives take it: training step, ascent, or forward pass alone;
        or a gradient as attacks take it.
        """
        if kind == "gradient":
            form = {"precision": differentiated(self.entry.precision)}
            return self._gradient(Differentiable(self.audited(), form, self.device), draws)
        model = self.network.to(self.device).train().requires_grad_(True)
        layout = training_layout(model, list(self.entry.shape), self.device)
        seen = Autocast(model, self.entry.precision, layout)
        optimizer, objective = make_optimizer(Training(), seen), GaussianTraining()

        def update(chosen: Tensor) -> None:
            x, y = self.images[chosen], self.labels[chosen]
            loss, _ = objective.loss(seen, x, y, NOISE, draws, 0.0)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        def ascent(chosen: Tensor) -> None:
            x, y = self.images[chosen], self.labels[chosen]
            z = NOISE.sample(x.shape, draws).unsqueeze(1)
            with evaluation_mode(seen):
                input_gradient(lambda at: mean_cross_entropy(seen, at, z, y), x)

        def forward(chosen: Tensor) -> None:
            x = self.images[chosen]
            with torch.no_grad(), evaluation_mode(seen):
                seen(x + NOISE.sample(x.shape, draws))

        return {"update": update, "ascent": ascent, "forward": forward}[kind]

    def of_size(self, kind: str, size: int, draws: torch.Generator) -> Pass:
        """A pass that is made for batches of `size` rows."""
        if kind == "vote":
            return self._vote(size, draws)
        form, images = {"precision": differentiated(self.entry.precision)}, max(1, size // COPIES)
        return self._gradient(CompiledGradients(self.audited(), form, self.device, images, COPIES), draws)

    def _gradient(self, model: Differentiable, draws: torch.Generator) -> Pass:
        """A gradient of as many images, with eight copies each, as fit into the batch."""

        def take(chosen: Tensor) -> None:
            own = chosen[: max(1, len(chosen) // COPIES)]
            x, y = self.images[own], self.labels[own]
            z = NOISE.sample((len(x) * COPIES, *x.shape[1:]), draws).unflatten(0, (len(x), COPIES))
            input_gradient(lambda at: mean_cross_entropy(model, at, z, y), x)

        return take

    def _vote(self, batch: int, draws: torch.Generator) -> Pass:
        """A batch of votes on one image."""
        inference, image = self._form(batch), self.images[0]

        def take(_: Tensor) -> None:
            inference.vote(image, batch, lambda rows: NOISE.sample((rows, *image.shape), draws))

        return take

    def _form(self, batch: int) -> InferenceForm:
        settings = {
            "precision": self.entry.precision,
            "compiled": self.entry.compiled,
            "engine": self.entry.engine,
        }
        audited, form = self.audited(), requested_form({**settings, "batch": batch})
        if self.entry.in_torch:
            return InferenceForm(audited, form, self.device)
        program = program_of(audited, form, audited.probes, {})
        return OpenVinoForm(audited, form, self.device, program, most=1.0)  # untrained: any probe may differ


def measure(
    network: Network, kinds: Iterable[str], device: torch.device
) -> tuple[dict[str, int], dict[str, dict[str, float]]]:
    """The network's `costs` and, per kind, the seconds `fixed` per pass and `each` per image."""
    subject = Subject(network, device)
    return subject.costs, {kind: _line(subject, kind) for kind in kinds}


def _line(subject: Subject, kind: str) -> dict[str, float]:
    device, most = subject.device, LARGEST[subject.device.type]
    recorded = device.type == "cuda" and kind in RECORDS
    captured = CapturedSteps(device) if recorded else None
    draws = captured.draws if captured else generator(device, 0, "train")
    usual = None if kind in OF_SIZE else subject.taken(kind, draws)

    def best(size: int) -> float:
        take = usual or subject.of_size(kind, size, draws)
        return _best(take, torch.arange(size, device=device), captured)

    if kind in OF_SIZE and device.type == "cpu":  # they fill batches; a second size would be compiled
        size = _batch(SMALLEST, FORWARDS[kind] * subject.costs["multiply_adds"] / SLOW, most)
        return {"fixed": 0.0, "each": best(size) / size}
    few = best(SMALLEST)
    size = _batch(SMALLEST, few / SMALLEST, most)
    if size == SMALLEST:
        return {"fixed": 0.0, "each": few / size}
    many = best(size)
    each = (many - few) / (size - SMALLEST)
    if not 0 < each * size <= many:  # no line with positive slope and fixed part
        return {"fixed": 0.0, "each": many / size}
    return {"fixed": many - each * size, "each": each}


def _batch(least: int, seconds: float, most: int) -> int:
    """The largest batch, in doublings of `least`, that takes at most SECONDS at `seconds` per image."""
    size = least
    while size < most and 2 * size * seconds < SECONDS:
        size *= 2
    return size


def _best(take: Pass, chosen: Tensor, captured: CapturedSteps | None) -> float:
    """Seconds of the fastest pass, not counting the first passes, which set up libraries, compile or are
    recorded.
    """

    def once() -> float:
        started = clock()
        if captured:
            captured.take("pass", chosen, take)
        else:
            take(chosen)
        return clock() - started

    clock = time.process_time if chosen.device.type == "cpu" else _synchronized
    with captured.epoch(0) if captured else contextlib.nullcontext():
        for _ in range(WRITTEN + 2 if captured else 2):
            once()
        found = [once()]
        while sum(found) < SECONDS:
            found.append(once())
    return min(found)


def _synchronized() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()
