"""The cost of judging an attack's images beside that of making them, and how much a sure majority saves.

  RS_DATA_DIR=... python benchmarks/judging.py
  python benchmarks/judging.py --model lenet --images 16 --judge 10000
  python benchmarks/judging.py --stored results/runs   (what stored votes say, if all n of them were drawn)
  RS_DATA_DIR=... python benchmarks/judging.py --images 32 --resnet20 evidence/networks/cifar10-...safetensors

A network is briefly trained (on MNIST where RS_DATA_DIR has it, else on made-up images), attacked by l2 PGD
at the radii of NAL's Figure 1, and judged with sigma = 0.1 in the inference form of a study's default, as
rs.stages.outcomes does. It is judged twice in turn: by all n votes of every image and radius, and by as many
as decide (rs.statistics.majority). Processor time, medians over the rounds; the verdicts of both are
compared. Stored votes are put into a random order, which is as likely as that in which they were drawn.

--resnet20 judges attacked images of this ResNet-20 (CIFAR-10 after JPEG, sigma = 0.25) in compiled float32
and bfloat16 and in int8, in turn: the inference forms that a study's `sampling` may ask for.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import attacks as throughput
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from rs.errors import UserError
from rs.machine.devices import device_name, generator, use_device
from rs.methods.attacks.pgd_l2 import PgdL2
from rs.methods.data.image_parquet import ImageParquet
from rs.methods.data.mnist import Mnist
from rs.methods.noise.gaussian import Gaussian
from rs.networks.audit import Audited
from rs.networks.differentiable import Differentiable
from rs.networks.inference import InferenceForm
from rs.networks.openvino_form import OpenVinoForm, program_of
from rs.provenance.run_files import read_attacked
from rs.settings.attacks import AttackUse
from rs.settings.attacks import Judge as Votes
from rs.smoothing.smoothed import Smoothed
from rs.stages.judge import Judge
from rs.statistics.majority import looks, sure

RADII = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
SIGMA, SHAPE, STEPS, BATCH = 0.1, (1, 28, 28), 300, 64
BATCH_OF_FORMS, CALIBRATING = 512, 256


def trained(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    """A network under Gaussian noise, and test images [N, C, H, W] with their labels."""
    network = throughput.briefly_trained(name, torch.device("cpu"))
    try:
        splits = Mnist().load(os.environ.get("RS_DATA_DIR"))
    except UserError as error:
        print(f"made-up images ({error})")
        return network, *throughput.blobs(SHAPE, 1000, 0)
    x, y = (torch.from_numpy(a) for a in (splits["train"].images, splits["train"].labels))
    optimizer, order = torch.optim.Adam(network.parameters(), 1e-3), torch.randperm(len(x))
    network.requires_grad_(True).train()
    for part in order[: STEPS * BATCH].split(BATCH):
        noisy = x[part].float() / 255
        optimizer.zero_grad()
        F.cross_entropy(network(noisy + SIGMA * torch.randn_like(noisy)), y[part]).backward()
        optimizer.step()
    images, labels = (torch.from_numpy(a) for a in (splits["test"].images, splits["test"].labels))
    return network.eval(), images.float() / 255, labels


def judged(judge: Judge, at: Tensor, positions: list[int], whole: bool) -> tuple[Tensor, float]:
    """Votes [R + 1, B, classes] and processor seconds."""
    began = time.process_time()
    with mock.patch("rs.stages.judge.looks", lambda n: [n]) if whole else nullcontext():
        votes = torch.stack([judge.votes(images, positions) for images in at])
    return votes, time.process_time() - began


def stored(folder: Path) -> None:
    """For each attack's file with all votes: the share that decides, and the number of changed verdicts."""
    draws = np.random.default_rng(0)
    for path in sorted(folder.rglob("attacks/*.parquet")):
        frame, provenance = read_attacked(path)
        n, all_votes = provenance["judge"], np.stack(frame["votes"].to_list())
        constant = provenance["spec"]["noise"]["name"] == "none"
        if n == "base" or constant or (all_votes.sum(1) != n).any():
            continue
        left, seen, drawn = all_votes.copy(), np.zeros_like(all_votes), 0
        used, verdict = np.zeros(len(left), int), np.zeros(len(left), int)
        for look in looks(n):
            part = np.array([draws.multivariate_hypergeometric(rest, look - drawn) for rest in left])
            left, seen, drawn = left - part, seen + part, look
            stops = (used == 0) & sure(seen, n)
            used[stops], verdict[stops] = look, seen[stops].argmax(1)
        others = int((verdict != all_votes.argmax(1)).sum())
        summary = f"{used.mean() / n:.1%} of {n} votes, other verdicts {others} of {len(used)}"
        print(f"{path.parents[1].name} {path.stem}: {summary}")


def form_in(precision: str, audited: Audited, noisy: Tensor) -> InferenceForm:
    """Compiled; in int8 calibrated on the `noisy` images [N, C, H, W]."""
    form, device = {"precision": precision, "batch": BATCH_OF_FORMS, "compiled": True}, torch.device("cpu")
    if precision != "int8":
        return InferenceForm(audited, form, device)
    return OpenVinoForm(audited, form, device, program_of(audited, form, noisy, {}))


def in_forms(weights: Path, images: int, n: int, rounds: int) -> None:
    """Prints the times of judging attacked images in each form, and how many verdicts are not float32's."""
    sizes = {"train": 50000, "test": 10000}
    splits = ImageParquet("cifar10-jpeg", (3, 32, 32), 10, sizes).load(os.environ.get("RS_DATA_DIR"))
    test, train = (
        torch.from_numpy(splits[of].images[:CALIBRATING]).float() / 255 for of in ("test", "train")
    )
    noise, network = Gaussian(0.25), throughput.network_of("resnet20")
    network.load_state_dict(load_file(weights))
    draws = [torch.Generator().manual_seed(i) for i in range(len(train))]
    noisy = Smoothed(network, noise, draws).noise_like(train, 1)[:, 0] + train
    audited = Audited(network, {"classes": 10}, noisy[:128], "resnet20", False)
    x, y = test[:images], torch.from_numpy(splits["test"].labels[:images])
    seen = Differentiable(audited, {"precision": "bfloat16"}, torch.device("cpu"))
    attacked = PgdL2(10, 4).at_radii(Smoothed(seen, noise, draws[:images]), x, y, [0.25, 0.5, 1.0]).images
    at, use = torch.cat([x[None], attacked]), AttackUse(radii=(), judge=Votes(n))
    judges = {p: Judge(form_in(p, audited, noisy), noise, use) for p in ("float32", "bfloat16", "int8")}
    spent: dict[str, list[float]] = {p: [] for p in judges}
    votes = {}
    for i in range(rounds + 1):  # the first warms up
        for precision, judge in judges.items():
            votes[precision], seconds = judged(judge, at, list(range(images)), False)
            spent[precision] += [seconds] * (i > 0)
    print(f"{images} images at 4 radii, judged by up to {n} votes, {rounds} rounds")
    for precision, own in spent.items():
        factor = statistics.median(b / a for a, b in zip(own, spent["bfloat16"], strict=True))
        differ = int((votes[precision].argmax(2) != votes["float32"].argmax(2)).sum())
        drawn = int(votes[precision].sum())
        print(
            f"{precision:<9}{statistics.median(own):8.2f} s, {factor:.2f} times as fast as bfloat16, "
            f"{drawn} votes, other verdicts {differ} of {4 * images}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="nal_cnn", choices=("lenet", "nal_cnn", "stn_mnist"))
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--judge", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--stored", type=Path)
    parser.add_argument("--resnet20", type=Path, metavar="WEIGHTS")
    args = parser.parse_args()
    if args.resnet20:
        with use_device("cpu", 1) as device:
            print(f"{device_name(device)}, 1 thread, torch {torch.__version__}")
            in_forms(args.resnet20, args.images, args.judge, args.rounds)
        return
    if args.stored:
        stored(args.stored)
        return
    torch.manual_seed(0)
    with use_device("cpu", 1) as device:
        network, x, y = trained(args.model)
        positions = list(range(0, len(x), len(x) // args.images))[: args.images]
        x, y = x[positions], y[positions]
        form: dict[str, Any] = {"precision": args.precision, "batch": 512, "compiled": False}
        audited = Audited(network, {"classes": 10}, throughput.blobs(SHAPE, 128, -1)[0], args.model, False)
        use = AttackUse(radii=(), judge=Votes(args.judge))
        judge = Judge(InferenceForm(audited, form, device), Gaussian(SIGMA), use)
        seen = throughput.differentiable(network, args.model, args.precision, device)
        attack, spent = PgdL2(20, args.samples, loss="mean"), []
        for _ in range(args.rounds):
            draws = [generator(device, 0, "attack", i) for i in positions]
            began = time.process_time()
            attacked = attack.at_radii(Smoothed(seen, Gaussian(SIGMA), draws), x, y, RADII).images
            making, at = time.process_time() - began, torch.cat([x[None], attacked])
            everything, whole = judged(judge, at, positions, True)
            enough, stopped = judged(judge, at, positions, False)
            spent.append((making, whole, stopped, (making + whole) / (making + stopped)))
        making, whole, stopped, factor = (statistics.median(column) for column in zip(*spent, strict=True))
        share = float(enough.sum() / everything.sum())
        differ = int((enough.argmax(2) != everything.argmax(2)).sum())
        print(f"{device_name(device)}, 1 thread, torch {torch.__version__}, {args.model} {args.precision}")
        settings = f"20 steps on {args.samples} samples, {args.rounds} rounds"
        print(f"{len(x)} images, {1 + len(RADII)} radii, {settings}")
        print(
            f"making {making:.2f} s, judging by {args.judge} votes {whole:.2f} s, by enough {stopped:.2f} s"
        )
        verdicts = f"other verdicts {differ} of {enough[..., 0].numel()}"
        print(f"votes {share:.1%}, {verdicts}, the attack {factor:.2f} times as fast")


if __name__ == "__main__":
    main()
