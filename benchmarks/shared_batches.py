"""(b)/(a) of benchmarks/sampling.py with batches for each image, and with shared batches.

python benchmarks/shared_batches.py
python benchmarks/shared_batches.py --models lenet --rounds 100

Processor time of a few batches is measured in one thread, in three ways in turn: the forward pass alone;
votes of one image; votes of two images, the second of which begins in the middle of a batch. Rounds are
short, so that other work on the machine affects all three; medians of the rounds' ratios. The cost of an
image follows from that of a batch: its 100 selection votes and n others, in the batches that each way takes.
The cost beyond the forward pass is proportional to votes. A draw file holds 50 images (images_per_shard). (a)
is the forward pass of as many batches as n votes take. Both ways' counts of a file's selection votes are
compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from end_to_end import seconds
from networks import network_of, shape_of
from sampling import SELECTION, SIGMA, batch_of

from rs.api.voting import TOGETHER, Ready, VoterAtHand
from rs.methods.noise.gaussian import Gaussian
from rs.networks.audit import Audited
from rs.networks.inference import InferenceForm
from rs.stages.shared_batches import Ballot, cast, shares

SECONDS = 0.6  # of one way in a round


class Contestants:
    """One network in its form; both ways of drawing, and the forward pass."""

    def __init__(self, name: str, precision: str) -> None:
        shape, self.batch = shape_of(name), batch_of(name, None)
        probes = torch.rand(128, *shape) + SIGMA * torch.randn(128, *shape)
        audited = Audited(network_of(name), {"classes": 10}, probes, name, False)
        settings = {"precision": precision, "batch": self.batch, "compiled": True}
        form = InferenceForm(audited, settings, torch.device("cpu"))
        assert settings.items() <= form.description.items()  # it may fall back
        ready = Ready(audited, form, settings, Gaussian(SIGMA), 0)
        self.voter = VoterAtHand(ready, torch.rand(TOGETHER, *shape), range(TOGETHER), ())
        assert shares(self.voter)
        self.passes = 1
        self.forward()
        self.passes = max(int(SECONDS / seconds(self.forward)), 1)

    @torch.no_grad()
    def forward(self) -> None:
        form = self.voter.form
        for _ in range(self.passes):
            form.network(form._input)  # type: ignore[arg-type]

    def round(self, block: int) -> list[float]:
        """Seconds of a batch: forward, own, shared."""
        votes, voter = self.passes * self.batch, self.voter
        halves = [
            Ballot(0, "estimate", block, self.batch // 2),
            Ballot(1, "estimate", block, votes - self.batch // 2),
        ]
        ways: list[Callable[[], object]] = [
            self.forward,
            lambda: voter.vote(0, "estimate", block, votes),
            lambda: list(cast(voter, halves)),
        ]
        return [seconds(way) / self.passes for way in ways]

    def same(self) -> bool:
        """Whether both ways have the same counts."""
        ballots = [Ballot(row, "select", 0, SELECTION) for row in range(TOGETHER)]
        pairs = zip((self.voter.vote(*b) for b in ballots), cast(self.voter, ballots), strict=True)
        return all(torch.equal(own[0], shared[0]) for own, shared in pairs)

    def batches(self, n: int) -> tuple[float, float, float]:
        """Batches of an image: of (a), its own batches, and shared ones."""
        own, file = -(-n // self.batch), (-(-TOGETHER * votes // self.batch) for votes in (SELECTION, n))
        return own, own + -(-SELECTION // self.batch), sum(file) / TOGETHER


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["lenet", "resnet20"])
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"n = {args.n}, {args.precision}, torch {torch.__version__}, {args.rounds} rounds\n")
    columns = (
        "network, batch",
        "forward, images/s",
        "a batch beside it, own",
        "shared",
        "batches (a)",
        "own",
    )
    columns += ("shared", "(b)/(a) own", "shared", "equal counts")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for name in args.models:
        contestants = Contestants(name, args.precision)
        forward, own, shared = np.array([contestants.round(block) for block in range(args.rounds)]).T
        costs = [float(np.median(way / forward)) for way in (own, shared)]
        a, *taken = contestants.batches(args.n)
        full = (SELECTION + args.n) / contestants.batch  # votes in units of batches
        ratios = [a / (b + (cost - 1) * full) for b, cost in zip(taken, costs, strict=True)]
        cells = [f"{name}, {contestants.batch}", f"{contestants.batch / np.median(forward):,.0f}"]
        cells += (
            [f"{c:.3f}" for c in costs] + [f"{b:.1f}" for b in (a, *taken)] + [f"{r:.3f}" for r in ratios]
        )
        print(f"| {' | '.join(cells)} | {contestants.same()} |", flush=True)


if __name__ == "__main__":
    main()
