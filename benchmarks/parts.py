"""Where the time of a vote goes: noise, rounding, each kernel of the compiled network, counting; a table.

  python benchmarks/parts.py
  python benchmarks/parts.py --models lenet --batch 256

One thread, bfloat16. A part's time is the minimum over many calls, in microseconds of processor time per
vote, so that other work on the machine hardly counts. Kernels are the calls of the compiled network, in their
order. `ideal` is the time of a layer's multiply-adds at the rate of a 1024 x 1024 matrix product. `padded` is
the same with its output channels filled up to the 16 lanes of a register; no kernel with channels in the
lanes can be faster. The share is that of `ideal` in a whole vote. Networks are untrained: no speed depends on
their weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from networks import CLASSES, network_of, shape_of
from torch import Tensor, nn
from torch._inductor.codecache import PyCodeCache

from rs.machine.devices import device_name, generator, use_device
from rs.methods.noise.gaussian import Gaussian
from rs.networks.audit import Audited
from rs.networks.inference import Compiled, InferenceForm

LANES, CALLS = 16, 25
PRODUCTS = ("_convolution_pointwise", "_linear_pointwise")


def least(run: Callable[[], Any], votes: int) -> float:
    """Microseconds of processor time per vote, the minimum over CALLS calls."""
    times = []
    for _ in range(CALLS):
        begun = time.process_time()
        run()
        times.append(time.process_time() - begun)
    return min(times) / votes * 1e6


def kernels(network: Callable[[Tensor], Tensor], batch: Tensor) -> list[tuple[str, float]]:
    """Names of the calls of a compiled network, in order, with microseconds of processor time per image: the
    products of oneDNN, and the generated loops for the rest.
    """
    called: list[tuple[str, float]] = []

    def timed(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            begun = time.process_time()
            result = run(*args)
            called.append((name, time.process_time() - begun))
            return result

        return call

    products = [getattr(torch.ops.mkldnn, name) for name in PRODUCTS]
    plain = [(packet, "default", packet.default) for packet in products]
    for module in PyCodeCache.modules:
        plain += [(module, name, run) for name, run in vars(module).items() if name.startswith("cpp_fused")]
    for holder, name, run in plain:
        setattr(holder, name, timed(str(run) if name == "default" else name, run))
    try:
        calls = []
        for _ in range(CALLS):
            called.clear()
            network(batch)
            calls.append([*called])
    finally:
        for holder, name, run in plain:
            setattr(holder, name, run)
    least_of = [min(call[i][1] for call in calls) for i in range(len(calls[0]))]
    return [(name, took / len(batch) * 1e6) for (name, _), took in zip(calls[0], least_of, strict=True)]


def product_rate() -> float:
    """Multiply-adds per microsecond of processor time of a bfloat16 matrix product."""
    factor = torch.rand(1024, 1024).bfloat16()
    return 1024**3 / least(lambda: factor @ factor, 1)


def layers(network: nn.Module, shape: tuple[int, ...]) -> list[tuple[str, float, float]]:
    """Layers with weights: description, multiply-adds per image, and those with outputs up to LANES."""
    rows: list[tuple[str, float, float]] = []

    def note(layer: nn.Module, inputs: Any, out: Tensor) -> None:
        outputs, weight = out.shape[1], layer.weight  # type: ignore[union-attr]
        work = out[0].numel() * weight[0].numel()
        rows.append((str(layer), work, work / outputs * -(-outputs // LANES) * LANES))

    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(note)
    network(torch.rand(1, *shape))
    return rows


def measured(name: str, size: int, device: torch.device) -> None:
    """Prints the table of one network."""
    shape = shape_of(name)
    probes = torch.rand(128, *shape) + 0.25 * torch.randn(128, *shape)
    settings = {"precision": "bfloat16", "batch": size, "compiled": True}
    form = InferenceForm(
        Audited(network_of(name), {"classes": CLASSES}, probes, name, False), settings, device
    )
    assert isinstance(form.network, Compiled)  # it may fall back
    noise, image, draws = Gaussian(0.25), torch.rand(shape), generator(device, 0, "estimate", 0, 0)
    traced = form.network.trace
    noisy = noise.sample((size, *shape), draws)
    form(noisy)
    batch = torch.zeros_like(noisy).to(form.dtype).contiguous(memory_format=form.layout)
    batch.copy_(noisy)
    whole = least(lambda: form.vote(image, size, lambda n: noise.sample((n, *shape), draws)), size)
    rows = [
        ("noise", least(lambda: noise.sample((size, *shape), draws), size)),
        ("image added, rounded to bfloat16", least(lambda: batch.copy_(noisy.add_(0.0)), size)),
        *kernels(traced, batch),
    ]
    rows.append(("counting, checks, calls", whole - sum(time for _, time in rows)))
    rate = product_rate()
    works = layers(network_of(name), shape)
    ideal = sum(work for _, work, _ in works) / rate
    print(f"\n{name}, batches of {size}: {whole:.2f} us a vote, share of the product {ideal / whole:.2f}")
    print("| part | us per vote | share |\n|---|---|---|")
    for part, took in rows:
        print(f"| {part} | {took:.2f} | {took / whole:.1%} |")
    if len(works) < 10:
        print("\n| layer | ideal us | padded us |\n|---|---|---|")
        for layer, work, padded in works:
            print(f"| {layer} | {work / rate:.2f} | {padded / rate:.2f} |")
    total = sum(padded for _, _, padded in works) / rate
    print(f"all layers: ideal {ideal:.2f} us, padded {total:.2f} us")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["lenet", "nal_cnn", "stn_mnist"])
    parser.add_argument("--batch", type=int, default=512)
    args = parser.parse_args()
    with use_device("cpu", 1) as device, torch.no_grad():
        rate = product_rate() / 1e3
        print(f"{device_name(device)}, torch {torch.__version__}; product {rate:.0f} G multiply-adds/s")
        for name in args.models:
            measured(name, args.batch, device)


if __name__ == "__main__":
    main()
