"""Training throughput compared with the same objectives written as in papers' code, interleaved in one run.

  python benchmarks/training.py                              # a table, on two cores in a few minutes
  python benchmarks/training.py --objectives nal --rounds 7
  python benchmarks/training.py --device cuda --model resnet20
  python benchmarks/training.py --objectives macer nal --profile   # where ours spends a core's time

Ours is one epoch of `rs.stages.train.run_epoch` in bfloat16. The peer is the plain form of the same objective
with the same network, optimizer and batch: images one by one through Pillow and ToTensor in DataLoader
workers, float32, NCHW, and the loss read back in every step. The peer's time does not include the start-up of
workers. On a CPU each side trains one run per core at the same time, one thread each, the better arrangement
for both; images per second are those of all runs. Images are MNIST's if RS_DATA_DIR has them, else random.
Medians over the rounds. The peak is that of a large bfloat16 matrix product; the share of it counts products
and convolutions, forward and backward.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from networks import network_of, shape_of
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms.functional import to_tensor

from rs.errors import UserError
from rs.machine.devices import device_name, use_device
from rs.methods import catalog
from rs.methods.data.mnist import Mnist
from rs.methods.noise.gaussian import Gaussian
from rs.networks.captured_step import CapturedSteps
from rs.networks.images import Resident
from rs.networks.optimization import make_optimizer
from rs.settings.training import Optimizer, Training
from rs.stages import train as training

SIGMA = 0.25
# objective, batch size and images per round, as their papers or released code train MNIST
CASES: dict[str, tuple[dict[str, Any], int, int]] = {
    "gaussian": ({"name": "gaussian"}, 256, 30_720),
    "macer": ({"name": "macer", "k": 16, "lambda": 16.0}, 64, 1_920),
    "nal": ({"name": "nal", "gamma": 1.5, "steps": 4, "samples": 4}, 128, 2_560),
}
# of convolutions and dense layers: names in the profiler, and names in the count of FLOP
PRODUCTS = {
    "forward": (("mkldnn_convolution", "addmm"), ("convolution", "addmm")),
    "backward": (("convolution_backward", "mm"), ("convolution_backward", "mm")),
}


def images_for(shape: tuple[int, int, int], count: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, C, H, W] and labels."""
    if shape == (1, 28, 28):
        try:
            split = Mnist().load(os.environ.get("RS_DATA_DIR"))["train"]
            return split.images[:count], split.labels[:count]
        except UserError as error:
            print(f"random images ({error})")
    draws = np.random.default_rng(0)
    return draws.integers(0, 256, (count, *shape), dtype=np.uint8), draws.integers(0, 10, count)


# --- the peers' way ---


class OneByOne(Dataset[Any]):
    """Image by image through Pillow, as torchvision's data sets do."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images.transpose(0, 2, 3, 1).squeeze(), labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return to_tensor(Image.fromarray(self.images[i])), int(self.labels[i])


def plain_gaussian(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x + torch.randn_like(x) * SIGMA), y)


def plain_macer(
    model: nn.Module, x: Tensor, y: Tensor, k: int = 16, gamma: float = 8, beta: float = 16
) -> Tensor:
    copies = x.repeat_interleave(k, 0)
    logits = model(copies + torch.randn_like(copies) * SIGMA).view(len(x), k, -1)
    classification = F.nll_loss(torch.log(logits.softmax(2).mean(1) + 1e-10), y, reduction="sum")
    (first, second), (best, _) = ((v[:, 0], v[:, 1]) for v in (beta * logits).softmax(2).mean(1).topk(2))
    right = best == y
    normal = torch.distributions.Normal(0.0, 1.0)
    xi = normal.icdf(first[right]) - normal.icdf(second[right])
    kept = xi.isfinite() & (xi <= gamma)
    robustness = (gamma - xi[kept]).sum() * SIGMA / 2
    robustness.item()  # the log shows both terms
    return (classification + 16 * robustness) / len(x)


def plain_nal(
    model: nn.Module, x: Tensor, y: Tensor, steps: int = 4, r: int = 4, gamma: float = 1.5
) -> Tensor:
    many = y.repeat_interleave(r)
    at = x.clone()
    for _ in range(steps):
        at = at.detach().requires_grad_()
        noisy = at.repeat_interleave(r, 0) + SIGMA * torch.randn(len(x) * r, *x.shape[1:], device=x.device)
        cost = (noisy - x.repeat_interleave(r, 0)).flatten(1).square().sum(1)
        value = (F.cross_entropy(model(noisy), many, reduction="none") - gamma * cost).sum() / r
        (gradient,) = torch.autograd.grad(value, at)
        at = at + 0.5 / gamma * gradient
    noisy = at.detach().repeat_interleave(r, 0)
    return F.cross_entropy(model(noisy + SIGMA * torch.randn_like(noisy)), many)


PLAIN: dict[str, Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    "gaussian": plain_gaussian,
    "macer": plain_macer,
    "nal": plain_nal,
}


def peer(
    name: str, network: nn.Module, data: OneByOne, settings: Training, device: torch.device, workers: int
) -> float:
    """Images per second of one epoch."""
    model = network.to(device).train()
    optimizer = make_optimizer(settings, model)
    loader = DataLoader(
        data, settings.batch_size, shuffle=True, num_workers=workers, pin_memory=device.type == "cuda"
    )
    batches: Iterator[Any] = iter(loader)
    first, total = next(batches), 0.0
    started = time.perf_counter()
    for x, y in (b for part in ([first], batches) for b in part):
        x, y = x.to(device), y.to(device)
        loss = PLAIN[name](model, x, y)
        total += loss.item() * len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return len(data) / (time.perf_counter() - started)


# --- ours ---


class Ours:
    """One objective ready to train; each call is one epoch."""

    def __init__(
        self, method: dict[str, Any], network: nn.Module, images: training.Images, settings: Training
    ) -> None:
        self.objective, self.noise = catalog.build("objectives", method), Gaussian(SIGMA)
        self.model = training.Autocast(network.to(images.split.labels.device), settings.precision)
        self.images, self.settings, self.epoch = images, settings, 0
        self.optimizer = make_optimizer(settings, self.model)
        self.captured: CapturedSteps | None = None

    def __call__(self) -> float:
        started, n = time.perf_counter(), len(self.images.positions)
        training.run_epoch(
            *(self.model, self.objective, self.noise, self.optimizer, self.images, self.settings),
            *(0, self.epoch),
            captured=self.captured,
        )
        self.epoch += 1
        return n / (time.perf_counter() - started)

    def one_batch(self) -> int:
        """Trains an epoch of one batch; returns its number of images."""
        one = training.Images(self.images.split, range(self.settings.batch_size), self.images.size)
        training.run_epoch(self.model, self.objective, self.noise, self.optimizer, one, self.settings, 0, 0)
        return self.settings.batch_size

    def flops_per_image(self) -> float:
        with FlopCounterMode(display=False) as counter:
            images = self.one_batch()
        return counter.get_total_flops() / images

    def profile(self) -> str:
        """On a processor: shares of its time, and the speed of its products relative to a large one."""
        with FlopCounterMode(display=False) as counter:
            images = self.one_batch()
        flops = {str(op)[5:]: n for op, n in counter.get_flop_counts()["Global"].items()}  # after aten.
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            for _ in range(4):
                self.one_batch()
        spent = {e.key.removeprefix("aten::"): e.self_cpu_time_total / 4e6 for e in profile.key_averages()}
        total, ceiling = sum(spent.values()), peak(torch.device("cpu"), 2048)
        parts = [f"{images / total:,.0f} images/s"]
        for name, (timed, counted) in PRODUCTS.items():
            seconds = sum(spent.pop(op, 0) for op in timed)
            speed = sum(flops.get(op, 0) for op in counted) / seconds / ceiling
            parts.append(f"{name} {seconds / total:.0%} of the time at {speed:.2f} of the product")
        rest = sorted(spent, key=spent.__getitem__, reverse=True)[:8]
        return ", ".join([*parts, *(f"{op} {spent[op] / total:.1%}" for op in rest)])


def peak(device: torch.device, size: int) -> float:
    """FLOP/s of a bfloat16 matrix product."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        float((a @ a)[0, 0])
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


@functools.cache
def contestants(name: str, model: str, count: int, device: torch.device, workers: int) -> dict[str, Any]:
    """Both sides of one objective in this process, and the cost of an image in FLOP."""
    method, batch, _ = CASES[name]
    shape = shape_of(model)
    pixels, labels = images_for(shape, count)
    settings = Training(batch_size=batch, optimizer=Optimizer(), epochs=1000, precision="bfloat16")
    images = training.Images(
        Resident({"images": pixels, "labels": labels}, device), range(count), (shape[1], shape[2])
    )
    ours, data = Ours(method, network_of(model).train(), images, settings), OneByOne(pixels, labels)
    other = network_of(model).train()
    if device.type == "cuda":
        ours.captured = CapturedSteps(device)  # as the train stage does
    return {
        "ours": ours,
        "peer": lambda: peer(name, other, data, settings, device, workers),
        "flops": ours.flops_per_image,
        "profile": ours.profile,
    }


def call(side: str, options: tuple[Any, ...]) -> Any:
    with use_device(options[3].type, 1):
        return contestants(*options)[side]()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objectives", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--model", default="lenet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, help="runs side by side; default: one per core, one on a GPU")
    parser.add_argument("--workers", type=int, default=1, help="DataLoader workers of each peer")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the images of a round")
    parser.add_argument("--profile", action="store_true", help="of ours, one run on one core")
    args = parser.parse_args()
    for name in args.objectives if args.profile else ():
        profile = call("profile", (name, args.model, CASES[name][1], torch.device("cpu"), 0))
        print(f"{args.model}, {name}: {profile}", flush=True)
    if args.profile:
        return
    with use_device(args.device, 1) as device:
        copies = args.copies or (1 if device.type == "cuda" else len(os.sched_getaffinity(0)))
        ceiling = copies * peak(device, 8192 if device.type == "cuda" else 2048)
        print(f"{device_name(device)}, torch {torch.__version__}, {args.model}, {copies} runs side by side")
        print(f"bfloat16 matrix product: {ceiling / 1e12:.3g} TFLOP/s")
        print(f"{'objective':<10}{'ours/s':>10}{'peer/s':>10}{'ratio':>8}{'lowest':>8}{'share of peak':>15}")
    with ProcessPoolExecutor(copies, get_context("spawn")) as pool:

        def together(side: str, options: tuple[Any, ...]) -> float:
            return sum(pool.map(call, [side] * copies, [options] * copies))

        for name in args.objectives:
            _, batch, count = CASES[name]
            images = max(1, int(count * args.scale) // batch) * batch
            options = (name, args.model, images, device, args.workers)
            flops = together("flops", options) / copies
            together("ours", options)  # the first pass through a network prepares kernels
            pairs = [(together("ours", options), together("peer", options)) for _ in range(args.rounds)]
            fast, slow = (statistics.median(side) for side in zip(*pairs, strict=True))
            lowest, share = min(a / b for a, b in pairs), fast * flops / ceiling
            row = f"{name:<10}{fast:>10,.0f}{slow:>10,.0f}{fast / slow:>8.2f}{lowest:>8.2f}{share:>15.1%}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
