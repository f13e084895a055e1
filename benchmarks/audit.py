"""The cost of the audit of a network and of the comparison of its form, as a share of a certification.

Every job that votes does both once. A certification of 100 images at n = 100,000 is 22 jobs by default (two
ranges of 50 images, each with its selection votes and ten blocks of 10,000). The votes are timed on a few
batches and multiplied.

    python benchmarks/audit.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from networks import network_of, shape_of

from rs.machine.devices import device_name, use_device
from rs.methods.noise.gaussian import Gaussian
from rs.networks.audit import Audited, audit
from rs.networks.inference import InferenceForm

JOBS, VOTES, BATCH = 22, 100 * (100 + 100_000), 512


def seconds(work: Callable[[], Any], device: torch.device, rounds: int = 5) -> float:
    """The median of a few rounds after one that warms up."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["lenet", "resnet20"])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    args = parser.parse_args()
    settings = {"precision": args.precision, "batch": BATCH, "compiled": False}
    with use_device(args.device) as device:
        print(f"{device_name(device)}, one thread, {args.precision}")
        print(f"{'model':<10}{'audit, s':>10}{'form, s':>10}{'votes, h':>10}{'share':>10}")
        for name in args.models:
            shape = shape_of(name)
            network = network_of(name).requires_grad_(False)
            probes = torch.rand(128, *shape, device=device)
            audited = Audited(network, {"classes": 10}, probes, name, False)
            auditing = seconds(lambda: audit(network, probes, name), device)  # noqa: B023
            forming = seconds(lambda: InferenceForm(audited, settings, device), device)  # noqa: B023
            form, draws, noise = (
                InferenceForm(audited, settings, device),
                torch.Generator(device),
                Gaussian(0.25),
            )

            def vote() -> None:
                form.vote(probes[0], 4 * BATCH, lambda rows: noise.sample((rows, *shape), draws))  # noqa: B023

            voting = seconds(vote, device) * VOTES / (4 * BATCH)
            share = JOBS * (auditing + forming) / voting
            print(f"{name:<10}{auditing:>10.3f}{forming:>10.3f}{voting / 3600:>10.2f}{share:>10.2%}")


if __name__ == "__main__":
    main()
