"""A table of certified accuracy from end to end, compared with the loops of peers: votes x cost of a vote.

python benchmarks/end_to_end.py --weights 0.5=results/runs/RUN/model.safetensors 1=...

MNIST's LeNet at sigma 0.25, 0.5 and 1, test images at an even step, radii up to two sigma, alpha = 0.001, in
one process of one thread. Ours runs completely on `--images` images: selection votes, `rule: tests` in shared
batches of the compiled bfloat16 form, and the certificate. Peers take 100,100 votes an image: CERTIFY of
Cohen et al. and that of adversarial-robustness-toolbox, float32, batches of 400 (benchmarks/sampling.py).
Their full run would take hours, so they certify one image with `--peer-votes`, in rounds before and after
ours, and the CPU seconds are multiplied. The compilation of the form and the imports of peers are not
counted. Without weights a network is trained for `--epochs` with Gaussian noise.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from sampling import plain, toolbox
from torch import Tensor, nn

from rs.api.voting import Drawing, VoterAtHand, prepared
from rs.methods.certificates.group_sequential import GroupSequential
from rs.methods.data.mnist import Mnist
from rs.methods.models.lenet import LeNet
from rs.methods.noise.gaussian import Gaussian
from rs.settings.sampling import Stop
from rs.stages.sample_group_sequential import Batches
from rs.statistics.draws import Draws
from rs.statistics.group_sequential import GroupSequentialRule

ALPHA, N, SELECTION, BLOCK, BATCH, STEP = 0.001, 100_000, 100, 160, 480, 0.25


DATA = Mnist()


def images(split: str) -> tuple[Tensor, Tensor]:
    examples = DATA.load(os.environ.get("RS_DATA_DIR"))[split]
    return torch.from_numpy(np.array(examples.images)).float() / 255, torch.from_numpy(
        np.array(examples.labels)
    )


def lenet(weights: Path | None, sigma: float, epochs: int) -> nn.Module:
    torch.manual_seed(0)
    network = LeNet().build(DATA.shape, DATA.classes, DATA.mean, DATA.std)
    if weights is not None:
        network.load_state_dict(load_file(weights))
        return network.eval()
    x, y = images("train")
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * (len(x) // 256 + 1))
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(256):
            noisy = x[rows] + sigma * torch.randn_like(x[rows])
            nn.functional.cross_entropy(network(noisy), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return network.eval()


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


class Ours:
    """Certifies images [N, 1, 28, 28] with their labels; `certify` is timed."""

    def __init__(self, network: nn.Module, sigma: float, x: Tensor, labels: Tensor) -> None:
        self.sigma, self.x, self.labels = sigma, x, labels
        form = {"precision": "bfloat16", "batch": BATCH, "compiled": True}
        arguments = (network, form, Gaussian(sigma), 0, x, torch.device("cpu"), "lenet", (), "certify")
        self.ready = prepared(*arguments)
        self.radii = tuple(np.arange(0, 2 * sigma + 1e-9, STEP).tolist())

    def certify(self) -> None:
        positions = range(len(self.x))
        selection = Drawing(self.ready, self.x, positions, (), False).fixed("select", SELECTION)
        rule = GroupSequentialRule(Stop(ALPHA, self.radii), self.sigma, N, BLOCK, 0.01)
        voter = VoterAtHand(self.ready, self.x, positions, ())
        self.batches = Batches(voter, rule, selection.counts.argmax(1))
        for _ in self.batches.run():
            pass
        votes = voter.votes(self.batches.totals)
        at, labels = np.arange(len(self.x)), self.labels.numpy()
        draws = Draws(at, labels, selection, votes, 784, np.zeros(len(at)), "sequential", rule.record())
        certified = GroupSequential().certify(draws, Gaussian(self.sigma), ALPHA)
        correct = (certified.prediction == labels)[:, None]
        self.accuracies = (correct & (certified.radius[:, None] >= np.array(self.radii))).mean(0)
        self.votes = float(votes.n.mean()) + SELECTION


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", nargs="*", default=[], metavar="SIGMA=FILE")
    parser.add_argument("--sigmas", nargs="+", type=float, default=[0.25, 0.5, 1.0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--peer-votes", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(1)
    files = {float(key): Path(file) for key, _, file in (text.partition("=") for text in args.weights)}
    peers = {"CERTIFY": plain("lenet", torch.device("cpu"))}
    try:
        other = toolbox("lenet", torch.device("cpu"))
        other(SELECTION)  # imports statsmodels at its first bound
        peers["toolbox"] = other
    except ImportError as error:
        print(f"without adversarial-robustness-toolbox: {error}")
    test, truth = images("test")
    rows = torch.arange(0, len(test), len(test) // args.images)[: args.images]
    print("| σ | votes per image | of 100,100 | s per image | peers' | a vote's cost, times | total factor |")
    print("|---|---|---|---|---|---|---|")
    for sigma in args.sigmas:
        ours = Ours(lenet(files.get(sigma), sigma, args.epochs), sigma, test[rows], truth[rows])
        took: dict[str, list[float]] = {name: [] for name in peers}
        own = []
        for part in (0, 1):
            for name, certify in peers.items():
                took[name].append(seconds(lambda: certify(args.peer_votes)) / (args.peer_votes + SELECTION))  # noqa: B023
            if part == 0:
                own.append(seconds(ours.certify) / len(rows))
        costs = {name: statistics.median(times) * (N + SELECTION) for name, times in took.items()}
        best, mine = min(costs.values()), own[0]
        fewer = (N + SELECTION) / ours.votes
        shown = ", ".join(f"{name} {value:.1f}" for name, value in costs.items())
        factor = best / mine
        print(
            f"| {sigma:g} | {ours.votes:,.0f} | 1/{fewer:.1f} | {mine:.3f} | {shown} | {factor / fewer:.1f} ",
            end="",
        )
        print(f"| **{factor:.0f}** |", flush=True)
        accuracies = ", ".join(f"{r:g}: {a:.3f}" for r, a in zip(ours.radii, ours.accuracies, strict=True))
        print(f"  certified accuracy {accuracies}; places of batches filled {ours.batches.filled:.3f}")


if __name__ == "__main__":
    main()
