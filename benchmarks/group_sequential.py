"""The cost of exact group sequential tests (`rule: tests`), compared with other rules and with any possible
rule.

python benchmarks/group_sequential.py evidence/runs/RUN/draws/KEY ...     draws of fixed n, one Gaussian noise

Every image's failure rate is that of its stored votes. Votes are simulated at these rates, 20 times an image,
for the radii up to two sigma.

`any rule` is a bound for all rules with the same error per image, any looks and any knowledge of the spread
of images: that of these images, with a normal kernel of 0.1 in the radius. Such a rule certifies at each
radius what fixed n does, less a share `loss`. Images between the middles of neighbouring radii are judged by
the votes for their nearest radius alone. The mean votes of a test are at least the optimum of its Lagrangian,
found by backward induction, less what the multipliers credit. This holds for any multipliers, so the best of
a few are taken.

`fill` is the share of a batch's places that hold a vote, in shards of 100 images, with a batch for each
image's block and with batches shared by images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import special, stats
from sequential import ALPHA, PAPER, Observed, foreknown, simulate

from rs.report.numerals import numeral
from rs.settings.sampling import Stop
from rs.stages.draw_files import read_votes
from rs.statistics import group_sequential as tests
from rs.statistics.bounds import Floats, clopper_pearson_upper
from rs.statistics.group_sequential import GroupSequentialRule
from rs.statistics.sequences import upper
from rs.statistics.stopping import StoppingRule

N, BLOCK, TIMES, BATCH = 100_000, 160, 20, 4096
BOUNDED = 4  # factor of the number of looks, for the bound


def observed(folder: Path) -> Observed:
    """The votes of all shards and blocks in a folder of draws."""
    top, failures, votes, correct = {}, {}, {}, {}
    for file in sorted(folder.glob("select-*/*.parquet")):
        images, labels, drawn, provenance = read_votes(file)
        sigma = float(provenance["spec"]["noise"]["sigma"])
        for image, label, counts in zip(images.tolist(), labels, drawn.counts, strict=True):
            top[image], correct[image] = int(counts.argmax()), counts.argmax() == label
    for file in sorted(folder.glob("estimate-*/*.parquet")):
        images, _, drawn, _ = read_votes(file)
        for image, counts in zip(images.tolist(), drawn.counts, strict=True):
            votes[image] = votes.get(image, 0) + int(counts.sum())
            failures[image] = failures.get(image, 0) + int(counts.sum() - counts[top[image]])
    order = sorted(votes)
    (n,) = {votes[image] for image in order}
    found_correct = np.array([correct[image] for image in order])
    return Observed(sigma, np.array([failures[image] for image in order]), n, found_correct)


def line(name: str, seen: Observed, radii: Floats, rule: StoppingRule | GroupSequentialRule) -> np.ndarray:
    """Prints the cost of a rule; returns the votes at which images stop, [N images]."""
    rates = np.tile(seen.failures / seen.n, TIMES)
    failures, votes = simulate(rule, rates, np.random.default_rng(0))  # type: ignore[arg-type]
    x = special.ndtr(-radii / seen.sigma)
    if isinstance(rule, GroupSequentialRule):
        claims = rule.design.claims(failures, votes)[:, None] > np.arange(len(radii))
    else:
        claims = upper(failures, votes, ALPHA)[:, None] <= x
    fixed = clopper_pearson_upper(seen.failures, seen.n, ALPHA)[:, None] <= x
    apart = (claims & np.tile(seen.correct, TIMES)[:, None]).mean(0) - (fixed & seen.correct[:, None]).mean(0)
    total = votes.mean() + 100
    points = " ".join(numeral(100 * d, "+.1f") for d in apart)
    print(f"| {seen.sigma:g} | {name} | {total:,.0f} | 1/{(N + 100) / total:.1f} | {points} |", flush=True)
    return votes[: len(seen.failures)]


class _Cell(tests._Test):
    """A test for one radius, for images with `rates` [J] that are `shares` [J] of all images."""

    def __init__(self, x: float, sizes: list[int], rates: Floats, shares: Floats) -> None:
        super().__init__(x, sizes, 1.0)
        self.weight, self.below, self.mass = [], [], float(shares.sum())
        odds, other = np.log(rates / x), np.log1p(-rates) - np.log1p(-x)
        for n, f in zip(self.looks, self.spans, strict=True):
            of = shares * np.exp(np.minimum(f[:, None] * odds + (n - f)[:, None] * other, 600.0))
            self.weight.append(of.sum(1))
            self.below.append(of[:, rates < x].sum(1))

    def optimum(self, worth: float, price: float) -> float:
        """The minimum of mean votes + worth * P(within the radius, not certified) + price * P(claim at x)."""
        self.within = [worth * below for below in self.below]
        self.boundaries(price)
        return self.value + self.sizes[0] * self.mass


def bound(seen: Observed, radii: Floats, loss: float) -> float:
    """Mean estimation votes that every rule needs if it certifies at each radius all but `loss`."""
    sizes = [BLOCK // BOUNDED] * BOUNDED
    while sum(sizes) < N:
        sizes.append(min(max(sum(sizes) // (16 * BOUNDED), BLOCK // BOUNDED), N - sum(sizes)))
    depth = -special.ndtri((seen.failures + 0.5) / (seen.n + 1))
    depths, total = radii / seen.sigma, 0.0
    edges = np.concatenate([[-0.5], (depths[1:] + depths[:-1]) / 2, [depths[-1] + 0.5]])
    for k, z in enumerate(depths):
        x = float(special.ndtr(-z))
        grid = np.unique(
            np.concatenate(
                [
                    np.linspace(edges[k], edges[k + 1], 121),
                    z + np.geomspace(1e-4, 0.05, 30),
                    z - np.geomspace(1e-4, 0.05, 30),
                ]
            )
        )
        middle, rates = (grid[1:] + grid[:-1]) / 2, special.ndtr(-(grid[1:] + grid[:-1]) / 2)
        spread = stats.norm.cdf((grid[:, None] - depth[seen.correct]) / 0.1).sum(1) / len(depth)
        shares = np.diff(spread)
        certified = clopper_pearson_upper(rates * N, N, ALPHA) <= x
        allowed = loss + shares[(middle > z) & ~certified].sum()
        cell, best = _Cell(x, sizes, rates, shares), shares.sum() * sizes[0]
        worth = 1e4 * x * (1 - x) / stats.norm.pdf(z) ** 2  # that of resolution 0.01
        price = 500 * np.sqrt(x * (1 - x) * worth) * shares.sum() / (rates[0] - rates[-1])
        for _ in range(2):  # coordinates in turn: the bound is nearly concave in the multipliers' logarithms
            for which in (0, 1):
                for step in (0.63, 1.6):
                    tried = [worth, price]
                    tried[which] *= step
                    value = cell.optimum(*tried) - tried[0] * allowed - tried[1] * ALPHA
                    if value > best:
                        best, (worth, price) = value, tried
        total += best
    return total


def fill(seen: Observed, rule: GroupSequentialRule) -> tuple[float, float]:
    """Shares of places used in batches of 4,096: with one for each image's block, and with shared ones."""
    rng, slots = np.random.default_rng(0), BATCH // BLOCK
    votes, alone, shared = 0, 0, 0
    for start in range(0, len(seen.failures), 100):
        stops = simulate(rule, seen.failures[start : start + 100] / seen.n, rng)[1]  # type: ignore[arg-type]
        looks = [np.diff(rule.design.looks[rule.design.looks <= n], prepend=0) for n in stops]
        votes += int(stops.sum())
        alone += sum(int(np.ceil(sizes / BATCH).sum()) for sizes in looks)
        waiting, drawn = [list(sizes // BLOCK) for sizes in looks], []
        while waiting or drawn:
            free, judged = slots, []
            while free and (waiting or drawn):
                image = drawn.pop(0) if drawn else waiting.pop(0)
                taken = min(free, image[0])
                image[0] -= taken
                free -= taken
                (judged if not image[0] else drawn).insert(0, image)
            drawn += [image[1:] for image in judged if image[1:]]
            shared += 1
    return votes / (alone * BATCH), votes / (shared * BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("draws", nargs="+", type=Path, help="folders of draws of fixed n")
    parser.add_argument("--loss", type=float, default=0.01, help="of certified accuracy, for the bound")
    args = parser.parse_args()
    print("| σ | rule | votes, with 100 for selection | of fixed n | points of accuracy, by radius |")
    print("|---|---|---|---|---|")
    for folder in args.draws:
        seen = observed(folder)
        radii = np.asarray([r for r in PAPER if r <= 2 * seen.sigma])
        stop, rules = Stop(ALPHA, tuple(radii)), []
        line("confidence sequence", seen, radii, StoppingRule(stop, seen.sigma, N, BLOCK))
        for resolution in (0.02, 0.01, 0.009):
            rule = GroupSequentialRule(stop, seen.sigma, N, BLOCK, resolution)
            line(f"tests, resolution {resolution:g}", seen, radii, rule)
            rules.append((rule, f"errors {rule.design.errors.min():.6f} to {rule.design.errors.max():.6f}"))
        least, known = bound(seen, radii, args.loss) + 100, foreknown(seen, radii) + 100
        for name, votes in ((f"any rule, {args.loss:g} lost at each radius", least), ("foreknown", known)):
            print(f"| {seen.sigma:g} | {name} | {votes:,.0f} | 1/{(N + 100) / votes:.1f} | |", flush=True)
        alone, shared = fill(seen, rules[1][0])
        print(f"\n{rules[1][1]}; fill of batches of {BATCH:,}: {alone:.3f} alone, {shared:.3f} shared\n")


if __name__ == "__main__":
    main()
