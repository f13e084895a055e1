"""Times other kernels for an attack's backward pass against those in use.

  python benchmarks/attack_kernels.py

One thread, channels_last, shapes of LeNet, `nal_cnn` and ResNet-20. For a convolution: the input's gradient
by oneDNN (torch's convolution_backward, which attacks use), as a convolution with flipped weights, and as a
transposed convolution. For a pooling: torch's max_pool2d against maxima of strided slices, forwards and
backwards. Rounds are interleaved; `times` is the median over the rounds of the ratio of processor times, the
kernel in use over the other. All kernels are first compared with the one in use.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rs.machine.devices import device_name, use_device

LAST = torch.channels_last
# For a convolution: input channels, filters, size of the image and of the kernel, padding.
CONVOLUTIONS = {
    "LeNet 2": (20, 50, 12, 5, 0),
    "nal_cnn 3": (128, 128, 5, 5, 0),
    "ResNet-20, 32 x 32": (16, 16, 32, 3, 1),
    "ResNet-20, 16 x 16": (32, 32, 16, 3, 1),
    "ResNet-20, 8 x 8": (64, 64, 8, 3, 1),
}
POOLINGS = {"LeNet 1": (20, 24), "LeNet 2": (50, 8)}  # channels, size of the image
Kernels = dict[str, Callable[[], Tensor]]


class StridedMaximum(torch.autograd.Function):
    """Pooling by 2 x 2 as the maximum of four strided slices; the gradient goes to the first largest."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        a, b, c, d = slices(x)
        largest = torch.maximum(torch.maximum(a, b), torch.maximum(c, d))
        ctx.save_for_backward(x, largest)
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x, largest = ctx.saved_tensors
        into = torch.empty_like(x)
        left = torch.ones_like(largest, dtype=torch.bool)
        for part, to in zip(slices(x), slices(into), strict=True):
            here = (part == largest) & left
            to.copy_(gradients[0] * here)
            left &= ~here
        return into


def slices(x: Tensor) -> list[Tensor]:
    return [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]


def drawn(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype, memory_format=LAST)


def gradients(shape: tuple[int, ...], batch: int, dtype: torch.dtype) -> Kernels:
    """Kernels for the gradient of the input of a convolution with stride 1."""
    channels, filters, size, kernel, padding = shape
    x, weight = (
        drawn(*s, dtype=dtype) for s in ((batch, channels, size, size), (filters, channels, kernel, kernel))
    )
    above = drawn(*F.conv2d(x[:1], weight, padding=padding).expand(batch, -1, -1, -1).shape, dtype=dtype)
    turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=LAST)
    settings = ([1, 1], [padding] * 2, [1, 1], False, [0, 0], 1, [True, False, False])
    return {
        "in use": lambda: torch.ops.aten.convolution_backward(above, x, weight, None, *settings)[0],
        "turned weights": lambda: F.conv2d(above, turned, padding=kernel - 1 - padding),
        "transposed": lambda: F.conv_transpose2d(above, weight, padding=padding),
    }


def poolings(shape: tuple[int, ...], batch: int, dtype: torch.dtype) -> tuple[Kernels, Kernels]:
    """Kernels forwards, and backwards."""
    channels, size = shape
    x = drawn(batch, channels, size, size, dtype=dtype)
    above = drawn(batch, channels, size // 2, size // 2, dtype=dtype)
    forward: dict[str, Callable[[Tensor], Tensor]] = {
        "in use": lambda at: F.max_pool2d(at, 2),
        "strided maxima": StridedMaximum.apply,
    }
    ways = {who: (lambda run=run: run(x)) for who, run in forward.items()}
    back: Kernels = {}
    for who, run in forward.items():
        leaf = x.clone(memory_format=LAST).requires_grad_()
        out = run(leaf)
        back[who] = lambda out=out, leaf=leaf: torch.autograd.grad(out, leaf, above, retain_graph=True)[0]
    return ways, back


def compared(kernels: Kernels, rounds: int, seconds: float) -> dict[str, float]:
    """The ratio of the time of the kernel in use to that of each other one. All must agree up to rounding."""
    truth = kernels["in use"]().float()
    apart = {
        who: float((run().float() - truth).abs().max() / truth.abs().max()) for who, run in kernels.items()
    }
    assert max(apart.values()) < 0.05, apart
    times: dict[str, list[float]] = {who: [] for who in kernels}
    for _ in range(rounds):
        for who, run in kernels.items():
            started, calls = time.process_time(), 0
            while time.process_time() - started < seconds:
                run()
                calls += 1
            times[who].append((time.process_time() - started) / calls)
    own = times.pop("in use")
    return {
        who: statistics.median(a / b for a, b in zip(own, other, strict=True)) for who, other in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.05, help="of processor time, of each in a round")
    args = parser.parse_args()
    with use_device("cpu", 1) as device:
        print(f"{device_name(device)}, one thread, torch {torch.__version__}, batches of {args.batch}")
        for dtype in (torch.float32, torch.bfloat16):
            cases = {
                f"gradient of {name}": gradients(shape, args.batch, dtype)
                for name, shape in CONVOLUTIONS.items()
            }
            for name, pooled in POOLINGS.items():
                ways = poolings(pooled, args.batch, dtype)
                cases |= {
                    f"pooling {name}, {way}": k for way, k in zip(("forwards", "back"), ways, strict=True)
                }
            for name, kernels in cases.items():
                ratios = compared(kernels, args.rounds, args.seconds)
                speeds = ", ".join(f"{who} {times:.2f} times as fast" for who, times in ratios.items())
                print(f"{str(dtype).removeprefix('torch.')}, {name}: {speeds}", flush=True)


if __name__ == "__main__":
    main()
