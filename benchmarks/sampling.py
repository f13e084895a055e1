"""Certification throughput compared with the ceiling and with peers, interleaved in one run; a table at the
end.

  pip install adversarial-robustness-toolbox statsmodels   # the peer, which nothing else needs
  python benchmarks/sampling.py
  python benchmarks/sampling.py --models lenet --rounds 5
  python benchmarks/sampling.py --device cuda

Per image every contestant counts exactly n estimation votes after a separate selection of 100:

  (a) the forward pass of our compiled form alone, its input ready;
  (b) our sampling end to end: noise, forward pass, votes (rs.networks.inference, as the sample stage does);
  (c) certify of adversarial-robustness-toolbox, float32, batches of 400;
  (d) CERTIFY of Cohen et al. (2019, section 3.2.2) written plainly: float32, eager, batches of 400.

On a CPU all four run as two processes of one thread, the better arrangement for each; on a GPU as one. The
weights are untrained: no contestant's speed depends on them. Medians over the rounds; ratios of medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from networks import network_of, shape_of
from torch.utils.flop_counter import FlopCounterMode

from rs.machine.devices import device_name, generator, use_device
from rs.methods.certificates.cohen import Cohen
from rs.methods.noise.gaussian import Gaussian
from rs.networks.audit import Audited
from rs.networks.inference import InferenceForm
from rs.statistics.draws import Draws

SIGMA, ALPHA, SELECTION = 0.25, 0.001, 100
PRECISIONS = ("bfloat16", "float32")


def form_of(name: str, precision: str, batch: int, device: torch.device, compiled: bool) -> InferenceForm:
    """The network's form, its input ready."""
    shape = shape_of(name)
    probes = torch.rand(128, *shape) + SIGMA * torch.randn(128, *shape)
    audited = Audited(network_of(name), {"classes": 10}, probes, name, False)
    settings = {"precision": precision, "batch": batch, "compiled": compiled}
    form = InferenceForm(audited, settings, device)
    assert settings.items() <= form.description.items()  # it may fall back
    form(torch.rand(shape, device=device).expand(batch, *shape))
    return form


def ours(
    name: str, precision: str, batch: int, device: torch.device, compiled: bool = True
) -> dict[str, Callable[[int], None]]:
    """(a) and (b); each is called with n."""
    form = form_of(name, precision, batch, device, compiled)
    image = torch.rand(shape_of(name), device=device)
    noise = Gaussian(SIGMA)

    @torch.no_grad()
    def forward(n: int) -> None:
        for _ in range(-(-n // batch)):
            form.network(form._input)
        synchronize(device)

    def certify(n: int) -> None:
        counts = []
        for purpose, votes in (("select", SELECTION), ("estimate", n)):
            draws = generator(device, 0, purpose, 0, 0)  # type: ignore[arg-type]
            drawn = form.vote(image, votes, lambda rows: noise.sample((rows, *image.shape), draws))  # noqa: B023
            counts.append(drawn[0])
        form.check()
        selection, estimation = (c.cpu().numpy()[None] for c in counts)
        Cohen().certify(Draws.from_counts(selection, estimation, image.numel()), noise, ALPHA)

    return {f"a {precision}": forward, f"b {precision}": certify}


def toolbox(name: str, device: torch.device) -> Callable[[int], None]:
    """(c)."""
    from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing

    shape = shape_of(name)
    smoothed = PyTorchRandomizedSmoothing(
        model=network_of(name),
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=shape,
        nb_classes=10,
        device_type="gpu" if device.type == "cuda" else "cpu",
        sample_size=SELECTION,
        scale=SIGMA,
        alpha=ALPHA,
    )
    image = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    return lambda n: smoothed.certify(image, n=n, batch_size=400) and None


def plain(name: str, device: torch.device) -> Callable[[int], None]:
    """(d)."""
    from scipy.stats import beta, norm

    network, image = network_of(name).to(device), torch.rand(shape_of(name), device=device)

    def votes(n: int) -> np.ndarray:
        counts = np.zeros(10, int)
        with torch.no_grad():
            while n > 0:
                size = min(400, n)
                n -= size
                batch = image.repeat(size, 1, 1, 1)
                predictions = network(batch + torch.randn_like(batch) * SIGMA).argmax(1)
                counts += np.bincount(predictions.cpu().numpy(), minlength=10)
        return counts

    def certify(n: int) -> None:
        top = votes(SELECTION).argmax()
        hits = votes(n)[top]
        SIGMA * norm.ppf(beta.ppf(ALPHA, hits, n - hits + 1))

    return certify


def batch_of(name: str, batch: int | None) -> int:
    """The batch size. Batches are padded, so 100 selection votes or the last piece of n cost a full one."""
    return batch or (256 if name == "lenet" else 128)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def work(pipe: Any, name: str, batch: int, device_type: str) -> None:
    """A worker process: builds every contestant, then times those that it is asked for."""
    with use_device(device_type, 1) as device:
        contestants = {k: f for p in PRECISIONS for k, f in ours(name, p, batch, device).items()}
        contestants |= {"c float32": toolbox(name, device), "d float32": plain(name, device)}
        for run in contestants.values():  # compiles, fills caches
            run(batch)
        pipe.send(list(contestants))
        while (request := pipe.recv()) is not None:
            key, n = request
            start = time.perf_counter()
            contestants[key](n)
            synchronize(device)
            pipe.send(time.perf_counter() - start)


def measure(name: str, batch: int, n: int, rounds: int, device: str) -> dict[str, list[float]]:
    """Samples per second of the whole machine, per contestant and round."""
    context = get_context("spawn")
    workers = []
    for _ in range(1 if device == "cuda" else 2):
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there, name, batch, device), daemon=True)
        process.start()
        workers.append((process, here))
    (keys, *_) = [pipe.recv() for _, pipe in workers]
    rates: dict[str, list[float]] = {key: [] for key in keys}
    for _ in range(rounds):
        for key in keys:
            for _, pipe in workers:
                pipe.send((key, n))
            slowest = max(pipe.recv() for _, pipe in workers)
            rates[key].append(len(workers) * n / slowest)
    for process, pipe in workers:
        pipe.send(None)
        process.join()
    return rates


def peak(dtype: torch.dtype, device: torch.device) -> float:
    """Multiply-adds per second of a matrix product, on one core or on the GPU."""
    size = 8192 if device.type == "cuda" else 1024
    a = torch.rand(size, size, device=device).to(dtype)
    times = []
    for _ in range(8):
        synchronize(device)
        start = time.perf_counter()
        a @ a
        synchronize(device)
        times.append(time.perf_counter() - start)
    return size**3 / min(times)


def multiply_adds(name: str) -> float:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network_of(name)(torch.rand(1, *shape_of(name)))
    return counter.get_total_flops() / 2


def report(rates: dict[str, dict[str, float]], args: argparse.Namespace, peaks: dict[str, float]) -> None:
    """One line per contestant and ratio, one column per network."""
    cores = 1 if args.device == "cuda" else 2
    rows: dict[str, list[str]] = {}
    for name, rate in rates.items():
        work = multiply_adds(name)
        cells = {f"({key[0]}) {key[2:]}, samples/s": f"{value:,.0f}" for key, value in rate.items()}
        best = max(rate["c float32"], rate["d float32"])
        for p in PRECISIONS:
            cells[f"(b) / best of (c), (d), {p}"] = f"{rate[f'b {p}'] / best:.2f}"
            cells[f"(b) / (a), {p}"] = f"{rate[f'b {p}'] / rate[f'a {p}']:.3f}"
            cells[f"(b), share of the matrix peak, {p}"] = f"{rate[f'b {p}'] * work / cores / peaks[p]:.2f}"
        hourly = rate["b bfloat16"] * 3600 / (100_000 + batch_of(name, args.batch))
        cells["images per hour at n = 100,000, bfloat16"] = f"{hourly:,.0f}"
        for title, text in cells.items():
            rows.setdefault(title, []).append(text)
    print(f"\n| {args.n} votes per image | " + " | ".join(rates) + " |")
    print("|---|" + "---|" * len(rates))
    for title, texts in rows.items():
        print(f"| {title} | " + " | ".join(texts) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["lenet", "resnet20", "resnet110"])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument(
        "--batch", type=int, help="of our form, a multiple of 16 (default: 256 for lenet, else 128)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    medians: dict[str, dict[str, float]] = {}
    for name in args.models:
        rates = measure(name, batch_of(name, args.batch), args.n, args.rounds, args.device)
        medians[name] = {key: statistics.median(values) for key, values in rates.items()}
        parts = (f"{k} {medians[name][k]:.0f} ({min(v):.0f} to {max(v):.0f})" for k, v in rates.items())
        print(f"{name}: {', '.join(parts)} samples/s", flush=True)
    with use_device(args.device, 1) as device:
        peaks = {p: peak(getattr(torch, p), device) for p in PRECISIONS}
        print(f"\n{device_name(device)}, torch {torch.__version__}, {args.rounds} rounds")
    parts = (f"{p} {v / 1e9:,.0f}" for p, v in peaks.items())
    place = "GPU" if args.device == "cuda" else "core"
    print(f"matrix product, one {place}: {', '.join(parts)} G multiply-adds/s")
    report(medians, args, peaks)


if __name__ == "__main__":
    main()
