"""The cost of a second network's certificate from the votes of a first one, simulated and on a real network.

python benchmarks/incremental.py
    images with failure rates as networks at sigma 0.5 and 1 have them, and pairs of networks that differ in
    some of their answers
python benchmarks/incremental.py --weights results/runs/RUN/model.safetensors --images 30 --n 20000
    an MNIST LeNet of sigma 0.5 in float32, then in bfloat16 and after 100 more steps of training

For comparison: fixed n, and the sequential votes of rs.statistics.stopping, for the same radii and alpha.
"""

from __future__ import annotations

import argparse
import copy
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import special
from sequential import simulate

import rs
from rs.report.numerals import numeral
from rs.settings.sampling import Stop
from rs.statistics import differences, sequences
from rs.statistics.bounds import Floats, clopper_pearson_upper
from rs.statistics.paired_stopping import PairedRule
from rs.statistics.stopping import StoppingRule

ALPHA, N, BLOCK, SHARE = 0.001, 100_000, 128, 0.25
SETTINGS = (  # sigma, radii, mean and standard deviation of the log odds of failing
    (0.5, (0.0, 0.25, 0.5, 0.75, 1.0), -2.0, 2.5),
    (1.0, (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0), -0.5, 2.0),
)


@dataclass(frozen=True)
class Pairs:
    """For images: P(the first one fails), P(only the second one fails), P(only the first one fails); [N]."""

    first: Floats
    losses: Floats
    gains: Floats

    @property
    def second(self) -> Floats:
        return self.first + self.losses - self.gains


def pairs(mean: float, spread: float, differing: float, images: int, rng: np.random.Generator) -> Pairs:
    """Answers differ where the first network is unsure: in the share 2 `differing` p (1 - p) of all draws,
    more often to one side, by a normal number of standard deviation 0.3.
    """
    failing = special.expit(rng.normal(mean, spread, images))
    apart = 2 * differing * failing * (1 - failing)
    side = np.clip(rng.normal(0, 0.3, images), -1, 1)
    return Pairs(failing, apart * (1 + side) / 2, apart * (1 - side) / 2)


def incremental(pairs: Pairs, rule: PairedRule, rng: np.random.Generator) -> tuple[Floats, np.ndarray]:
    """Bounds of the second network's failure probability, and numbers of draws, [N]."""
    first = clopper_pearson_upper(rng.binomial(N, pairs.first), N, rule.share * ALPHA)
    bound, drawn = np.ones(len(first)), np.zeros(len(first), int)
    seen, undecided = np.zeros((len(first), 3), int), np.arange(len(first))
    cells = np.stack([pairs.losses, pairs.gains, 1 - pairs.losses - pairs.gains], 1)
    for size in rule.sizes():
        seen[undecided] += rng.multinomial(size, cells[undecided])
        drawn[undecided] += size
        at, (losses, gains) = int(drawn[undecided[0]]), seen[undecided, :2].T
        bound[undecided] = differences.failure(first[undecided], losses, gains, at, ALPHA, rule.share)
        undecided = undecided[rule.going_on(first[undecided], losses, gains, at)]
        if len(undecided) == 0:
            break
    return bound, drawn


def simulated(images: int) -> None:
    head = ("σ", "answers that differ", "draws at most", "share", "draws", "of sequential")
    row(*head, "with the first one's votes", "of n: 1 in", "points of accuracy, worst")
    print("|---" * 9 + "|")
    for sigma, radii, mean, spread in SETTINGS:
        needed = special.ndtr(-np.array(radii) / sigma)
        for differing in (0.01, 0.2, 0.6):
            rng = np.random.default_rng(0)
            two = pairs(mean, spread, differing, images, rng)
            fixed = clopper_pearson_upper(rng.binomial(N, two.second), N, ALPHA)[:, None] <= needed

            def points(bound: Floats, fixed: np.ndarray = fixed, needed: Floats = needed) -> str:
                """Points of certified accuracy less those of fixed n, at the worst radius."""
                return numeral(100 * ((bound[:, None] <= needed).mean(0) - fixed.mean(0)).min(), "+.1f")

            plain = StoppingRule(Stop(ALPHA, radii), sigma, N, BLOCK)
            failures, alone = simulate(plain, two.second, rng)
            name = f"{sigma:g}", f"{(two.losses + two.gains).mean():.2%}"
            worst = points(sequences.upper(failures, alone, ALPHA))
            row(*name, "sequential", "", alone.mean(), "1", "", N / alone.mean(), worst)
            rule = PairedRule(plain.stop, sigma, N // 10, BLOCK, SHARE)
            for changed in (rule, replace(rule, n=N // 4), replace(rule, n=N // 4, share=0.5)):
                bound, drawn = incremental(two, changed, rng)
                gain = alone.mean() / drawn.mean()
                parts = changed.n, changed.share, drawn.mean(), f"1/{gain:.1f}", f"1/{gain / 2:.1f}"
                row(*name, *parts, N / drawn.mean() / 2, points(bound))


def row(*cells: object) -> None:
    shown = (f"{cell:,.0f}" if isinstance(cell, float) and cell > 1 else str(cell) for cell in cells)
    print("| " + " | ".join(shown) + " |", flush=True)


def measured(weights: Path, images: int, n: int) -> None:
    """Prints a table of the real network's votes per image and certified accuracies."""
    import torch
    from safetensors.torch import load_file

    from rs.methods import catalog
    from rs.methods.models.lenet import LeNet

    data = catalog.build("datasets", {"name": "mnist"})
    splits = data.load(os.environ.get("RS_DATA_DIR"))
    x, y = (torch.from_numpy(np.array(part)) for part in (splits["test"].images, splits["test"].labels))
    at = torch.arange(0, len(x), len(x) // images)[:images]
    x, y = x[at].float() / 255, y[at]
    network = LeNet().build(data.shape, data.classes, data.mean, data.std)
    network.load_state_dict(load_file(weights))
    sigma, radii, *_ = SETTINGS[0]
    stop, quiet = {"radii": radii}, {"positions": at.numpy(), "progress": False}
    first = rs.smooth(network, sigma=sigma, device="cpu", name="float32")
    certified = first.certify(x, y, n=n, **quiet)
    row("second network", "votes", f"of n = {n:,}", "answers that differ", *map(str, radii))
    print("|---" * (4 + len(radii)) + "|")
    line("float32, fixed n", certified, n, "")
    tuned = further(network, splits["train"], sigma)
    for name, second in (
        ("bfloat16", rs.smooth(network, sigma=sigma, device="cpu", precision="bfloat16", name="bfloat16")),
        ("100 steps on", rs.smooth(tuned, sigma=sigma, device="cpu", name="tuned")),
    ):
        certification = second.certify_from(first, certified, x, stop=stop, n=n, progress=False)
        draws = certification.counts.draws
        differing = 1 - draws.both.sum() / draws.estimation.n.sum()
        line(f"{name}, incremental (both networks')", certification, n, f"{differing:.2%}")
        rates = 1 - draws.estimation.counts.max(1) / draws.estimation.n
        _, votes = simulate(
            StoppingRule(Stop(ALPHA, radii), sigma, n, BLOCK), rates, np.random.default_rng(0)
        )
        row(f"{name}, sequential (simulated at its rates)", votes.mean(), f"1/{n / votes.mean():.1f}", "")
        line(f"{name}, fixed n", second.certify(x, y, n=n, **quiet), n, "")


def line(name: str, certification: rs.Certification, n: int, differing: str) -> None:
    votes, radii = certification.frame()["n"].mean(), SETTINGS[0][1]
    shares = certification.certified_accuracy(radii)["certified_accuracy"]
    row(name, votes, f"1/{n / votes:.1f}", differing, *(f"{share:.3f}" for share in shares))


def further(network: object, train: object, sigma: float) -> object:
    """A copy of a network after 100 more steps of 128 images, at a tenth of the usual learning rate."""
    import torch
    from torch import nn

    tuned = copy.deepcopy(network).train()
    optimizer = torch.optim.SGD(tuned.parameters(), lr=0.001, momentum=0.9)
    draws = torch.Generator().manual_seed(0)
    for batch in torch.randperm(len(train.labels), generator=draws)[:12_800].split(128):
        x = torch.from_numpy(np.array(train.images)[batch.numpy()]).float() / 255
        y = torch.from_numpy(train.labels)[batch]
        noisy = x + sigma * torch.randn(x.shape, generator=draws)
        optimizer.zero_grad()
        nn.functional.cross_entropy(tuned(noisy), y).backward()
        optimizer.step()
    return tuned.eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, help="of an MNIST LeNet trained with sigma 0.5")
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--n", type=int, default=20_000, help="the first one's votes")
    args = parser.parse_args()
    if args.weights:
        measured(args.weights, args.images, args.n)
    else:
        simulated(2000)


if __name__ == "__main__":
    main()
