"""Attack throughput compared with a loop written as the papers' code has it, interleaved; a table at the end.

  python benchmarks/attacks.py
  python benchmarks/attacks.py --models lenet resnet20 --rounds 5
  python benchmarks/attacks.py --precisions float32   (a processor without bfloat16)
  python benchmarks/attacks.py --device cuda
  python benchmarks/attacks.py --profile   (where our time goes, by kind of operation)
  python benchmarks/attacks.py --copies 256   (ours in smaller batches of noisy copies)
  python benchmarks/attacks.py --compiled   (ours with compiled gradients beside it)

l2 PGD with expectation over transformation, with the same images, steps and samples for all. The unit is
images x steps x samples per second (a sample is one noisy copy through the network and back):

  (a) ours, as the attack stage runs it, in float32 and in bfloat16 (the precision of the judged network);
      with --compiled also with compiled gradients (`compiled: true` of an attack); compilation is told apart;
  (b) the loop of Salman et al. (2019) and of NAL written plainly: float32, copies by repeat, noise by
      randn_like, loss.backward(), a batch of 50 images; parameters frozen, as the former's training does;
  (c) the same with parameters that take gradients, as evaluation scripts leave them.

All use the given threads and keep freed memory (rs.machine.devices), as our jobs do and the papers' loops
alone do not. Ours takes as many images at once as fill the inference form's batch of 512 (or --copies).
Ratios to (b) and (c) are medians of the rounds' ratios, by processor time where there is no GPU, since the
machine may have other users.

`loss` is the mean smoothed loss that each reaches, on fresh noise in float32: an attack must not be faster by
being weaker. The network is briefly trained on made-up images, so that its gradients are those of a trained
network. Medians over the rounds.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable

import torch
from networks import network_of, shape_of
from torch import Tensor, nn
from torch.nn import functional as F

from rs.machine.devices import device_name, use_device
from rs.methods.attacks.pgd_l2 import PgdL2
from rs.methods.noise.gaussian import Gaussian
from rs.networks.audit import Audited
from rs.networks.compiled_gradients import CompiledGradients
from rs.networks.differentiable import Differentiable
from rs.networks.inference import PRECISIONS
from rs.smoothing.smoothed import Smoothed

SIGMA, RADIUS, CLASSES, FORM_BATCH, PEER_BATCH = 0.25, 1.0, 10, 512, 50
PEERS = ("(b) papers' loop", "(c) with parameters'")
Attack = Callable[[Tensor, Tensor], Tensor]
Rows = dict[str, tuple[float, float, float, float]]  # seconds, ratios to (b) and (c), loss


def blobs(shape: tuple[int, ...], size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images in [0, 1] that a network can learn: one smooth pattern per class, and noise."""
    draws = torch.Generator().manual_seed(seed)
    patterns = torch.randn(CLASSES, shape[0], 7, 7, generator=torch.Generator().manual_seed(0))
    patterns = F.interpolate(patterns, shape[1:], mode="bilinear")
    y = torch.randint(CLASSES, (size,), generator=draws)
    x = 0.5 + 0.2 * patterns[y] + 0.1 * torch.randn(size, *shape, generator=draws)
    return x.clamp(0, 1), y


def briefly_trained(name: str, device: torch.device) -> nn.Module:
    """The network after some steps on `blobs`, in evaluation mode."""
    shape, network = shape_of(name), network_of(name).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for step in range(60):
        x, y = (t.to(device) for t in blobs(shape, 64, step + 1))
        optimizer.zero_grad()
        F.cross_entropy(network(x + SIGMA * torch.randn_like(x)), y).backward()
        optimizer.step()
    return network.eval()


def differentiable(network: nn.Module, name: str, precision: str, device: torch.device) -> Differentiable:
    probes, _ = blobs(shape_of(name), 128, -1)
    seen = Differentiable(Audited(network, {}, probes, name, False), {"precision": precision}, device)
    assert seen.dtype == PRECISIONS[precision]  # it may fall back
    return seen


def compiled(
    network: nn.Module, name: str, precision: str, device: torch.device, images: int, samples: int
) -> CompiledGradients:
    """As above, with compiled gradients of `images` images at once."""
    probes, _ = blobs(shape_of(name), 128, -1)
    audited, form = Audited(network, {}, probes, name, False), {"precision": precision}
    seen = CompiledGradients(audited, form, device, images, samples)
    assert seen.dtype == PRECISIONS[precision]
    assert seen.passes is not None
    return seen


def used() -> float:
    """CPU seconds of this process and of the compilers that it started."""
    return sum(sum(resource.getrusage(of)[:2]) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def ours(seen: Differentiable, steps: int, samples: int, device: torch.device, copies: int) -> Attack:
    """`copies` noisy images go through the network at once."""
    attack = PgdL2(steps, samples)

    def run(x: Tensor, y: Tensor) -> Tensor:
        images = []
        for part in torch.arange(len(x)).split(max(1, copies // samples)):
            generators = [torch.Generator(device).manual_seed(int(i)) for i in part]
            smoothed = Smoothed(seen, Gaussian(SIGMA), generators)
            images.append(attack.at_radii(smoothed, x[part], y[part], [RADIUS]).images[0])
        return torch.cat(images)

    return run


def peers(network: nn.Module, frozen: bool, steps: int, samples: int) -> Attack:
    def run(x: Tensor, y: Tensor) -> Tensor:
        network.requires_grad_(not frozen)
        images = []
        for inputs, labels in zip(x.split(PEER_BATCH), y.split(PEER_BATCH), strict=True):
            delta = torch.zeros_like(inputs, requires_grad=True)
            for _ in range(steps):
                adversarial = (inputs + delta).repeat(1, samples, 1, 1).view(-1, *inputs.shape[1:])
                logits = network(adversarial + SIGMA * torch.randn_like(adversarial))
                mean = F.softmax(logits, dim=1).view(len(inputs), samples, -1).mean(1)
                loss = F.nll_loss(torch.log(mean.clamp_min(1e-20)), labels, reduction="sum")
                loss.backward()
                assert delta.grad is not None
                norms = delta.grad.flatten(1).norm(dim=1).clamp_min(1e-20).view(-1, 1, 1, 1)
                with torch.no_grad():
                    delta += 2 * RADIUS / steps * delta.grad / norms
                    delta.copy_((inputs + delta).clamp(0, 1) - inputs)
                    delta.copy_(delta.renorm(2, 0, RADIUS))
                delta.grad.zero_()
            images.append((inputs + delta).detach())
        network.requires_grad_(False).zero_grad()
        return torch.cat(images)

    return run


def seconds(run: Attack, x: Tensor, y: Tensor) -> tuple[float, float, Tensor]:
    """Seconds of the clock and of the processor, and the images found."""
    if x.is_cuda:
        torch.cuda.synchronize()
    start, used = time.perf_counter(), time.process_time()
    images = run(x, y)
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - used, images


# Compiled passes also compute gradients by these, and activations and sums in them.
COMPILED = ("mkldnn::_convolution_pointwise", "mkldnn::_convolution_pointwise_")
KINDS = {
    "convolutions": ("aten::mkldnn_convolution", "aten::cudnn_convolution", *COMPILED),
    "convolutions backward": ("aten::convolution_backward",),
    "pooling": ("aten::max_pool2d_with_indices",),
    "pooling backward": ("aten::max_pool2d_with_indices_backward",),
    "dense": ("aten::addmm", "aten::mm"),
    "activations": ("aten::clamp_min", "aten::threshold_backward", "aten::elu", "aten::elu_backward"),
    "noise": ("aten::normal_",),
}


def profiled(run: Attack, x: Tensor, y: Tensor) -> dict[str, float]:
    """Shares of processor time, by kind of operation."""
    run(x, y)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run(x, y)
    spent = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    total = sum(spent.values())
    shares = {kind: sum(spent.get(name, 0) for name in names) / total for kind, names in KINDS.items()}
    return shares | {"other": 1 - sum(shares.values())}


def compared(contestants: dict[str, Attack], judge: nn.Module, x: Tensor, y: Tensor, rounds: int) -> Rows:
    """For each contestant: seconds of a round, ratios to the times of (b) and (c), and its loss."""
    times: dict[str, list[float]] = {who: [] for who in contestants}
    losses = {}
    for i in range(rounds + 1):  # the first warms up
        for who, run in contestants.items():
            clock, processor, images = seconds(run, x, y)
            times[who] += [clock if x.is_cuda else processor] * (i > 0)
            losses[who] = fresh_loss(judge, images, y)
    rows = {}
    for who, own in times.items():
        ratios = [[theirs / mine for mine, theirs in zip(own, times[p], strict=True)] for p in PEERS]
        rows[who] = (statistics.median(own), *(statistics.median(r) for r in ratios), losses[who])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["lenet", "nal_cnn", "resnet20"])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precisions", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--copies", type=int, default=FORM_BATCH, help="of ours at once")
    parser.add_argument("--compiled", action="store_true", help="beside ours uncompiled")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    with use_device(args.device, args.threads) as device:
        print(f"{device_name(device)}, {torch.get_num_threads()} threads, torch {torch.__version__}")
        print(f"{args.images} images, {args.steps} steps, {args.samples} samples, {args.rounds} rounds")
        if not args.profile:
            print(f"{'model':<12}{'contestant':<22}{'samples/s':>12}{'of (b)':>8}{'of (c)':>8}{'loss':>8}")
        for name in args.models:
            network = briefly_trained(name, device)
            x, y = (t.to(device) for t in blobs(shape_of(name), args.images, 0))
            sizes = args.steps, args.samples
            own = {
                f"(a) ours {p}": ours(differentiable(network, name, p, device), *sizes, device, args.copies)
                for p in args.precisions
            }
            if args.compiled:
                together = min(max(1, args.copies // args.samples), args.images)
                for p in args.precisions:
                    began = used()
                    seen = compiled(network, name, p, device, together, args.samples)
                    print(
                        f"{name:<12}{p}: made and compiled in {used() - began:.0f} s of CPU time", flush=True
                    )
                    own[f"(a) {p}, compiled"] = ours(seen, *sizes, device, args.copies)
            if args.profile:
                for who, run in own.items():
                    shares = (f"{kind} {share:.0%}" for kind, share in profiled(run, x, y).items())
                    print(f"{name:<12}{who:<22}{', '.join(shares)}", flush=True)
                continue
            theirs = {
                who: peers(network, frozen, *sizes) for who, frozen in zip(PEERS, (True, False), strict=True)
            }
            judge = differentiable(network, name, "float32", device)
            work = args.images * args.steps * args.samples
            for who, (spent, b, c, loss) in compared(own | theirs, judge, x, y, args.rounds).items():
                print(f"{name:<12}{who:<22}{work / spent:>12,.0f}{b:>8.2f}{c:>8.2f}{loss:>8.3f}", flush=True)


def fresh_loss(judge: nn.Module, images: Tensor, y: Tensor) -> float:
    draws = [torch.Generator(images.device).manual_seed(10**6 + j) for j in range(len(images))]
    with torch.no_grad():
        return float(Smoothed(judge, Gaussian(SIGMA), draws).soft_loss(images, y, 64).mean())


if __name__ == "__main__":
    main()
