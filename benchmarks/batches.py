"""The cost on a CPU of batches that images share: CPU seconds per vote, in interleaved rounds.

python benchmarks/batches.py --weights 1=results/runs/RUN/model.safetensors

The same rule (`rule: tests`, sigma = 1, nine radii) on the same test images of MNIST, LeNet compiled in
bfloat16, one thread: a batch for each image's block of votes, as a sequential run draws them; shared batches
of the same size, one piece each; and shared batches of three pieces. Medians of the ratios.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import end_to_end
import numpy as np
import torch
from end_to_end import ALPHA, BLOCK, N, Ours, images, lenet, seconds

from rs.api.voting import Drawing, VoterAtHand
from rs.settings.sampling import Stop
from rs.stages.sample_group_sequential import Batches
from rs.stages.sample_sequential import draw_until_decided
from rs.statistics.group_sequential import GroupSequentialRule


class Contestant:
    def __init__(self, ours: Ours, shared: bool) -> None:
        self.ours, self.shared, self.positions = ours, shared, range(len(ours.x))
        self.rule = GroupSequentialRule(Stop(ALPHA, ours.radii), ours.sigma, N, BLOCK, 0.01)
        drawing = Drawing(ours.ready, ours.x, self.positions, (), False)
        self.top = drawing.fixed("select", 100).counts.argmax(1)

    def draw(self) -> None:
        voter = VoterAtHand(self.ours.ready, self.ours.x, self.positions, ())
        if self.shared:
            batches = Batches(voter, self.rule, self.top)
            rows, self.counts = batches.run(), batches.totals[0]
        else:
            totals = voter.zeros(len(self.top))
            self.counts = totals[0]
            # as `sequential` does: each image block by block, in batches of its own
            rows = draw_until_decided(self.rule, self.top, totals, voter.vote)  # type: ignore[arg-type]
        for _ in rows:
            pass

    def per_vote(self) -> float:
        taken = seconds(self.draw)
        return taken / int(self.counts.sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", metavar="1=FILE")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    file = Path(args.weights.partition("=")[2]) if args.weights else None
    network = lenet(file, 1.0, args.epochs)
    x, labels = images("test")
    rows = torch.arange(0, len(x), len(x) // args.images)[: args.images]
    ours = {}
    for batch in (BLOCK, 3 * BLOCK):
        end_to_end.BATCH = batch
        ours[batch] = Ours(network, 1.0, x[rows], labels[rows])
    contestants = {
        f"own batches of {BLOCK}": Contestant(ours[BLOCK], False),
        f"shared code, batches of {BLOCK}": Contestant(ours[BLOCK], True),
        f"shared batches of {3 * BLOCK}": Contestant(ours[3 * BLOCK], True),
    }
    costs: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(args.rounds):
        for name, contestant in contestants.items():
            costs[name].append(contestant.per_vote())
    first = next(iter(costs.values()))
    same = np.array_equal(*(list(contestants.values())[i].counts.numpy() for i in (0, 1)))
    print(f"equal counts with own and shared batches of {BLOCK}: {same}")
    for name, times in costs.items():
        ratio = statistics.median(a / b for a, b in zip(times, first, strict=True))
        print(f"{name}: {1e6 * statistics.median(times):.1f} microseconds a vote, {ratio:.3f} of the first")


if __name__ == "__main__":
    main()
