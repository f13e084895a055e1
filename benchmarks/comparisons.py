"""Tests the intervals, bands and verdicts of `rs compare`, and the sample sizes of `rs power`, by simulation.

python benchmarks/comparisons.py    prints the tables of docs/evidence/comparisons.md, in a few minutes

Images are drawn from populations with a known true difference, training seeds from normal distributions. Half
of the simulated cases are hard for such methods: ties, zeros, differences that few images carry.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rs.statistics import bands, power
from rs.statistics.paired import holm, of_means, of_medians, of_proportions, over_seeds

Floats = NDArray[np.float64]
POOL = 100_000
AT = 0.5  # radius of the accuracies


@dataclass(frozen=True)
class Population:
    """Certified radii of A and B of many images, -1 where a prediction is wrong."""

    name: str
    a: Floats
    b: Floats

    def draw(self, generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        chosen = generator.integers(0, len(self.a), n)
        return self.a[chosen], self.b[chosen]


def populations() -> list[Population]:
    draw, size = np.random.default_rng(0), POOL
    common = draw.normal(0, 1, size)

    def radii(shift: float, own: float, wrong: float) -> Floats:
        value = 0.7 + 0.5 * common + own * draw.normal(0, 1, size) + shift
        return np.where(value < wrong, -1.0, np.clip(value, 0.0, 1.9))

    base = radii(0.0, 0.1, 0.3)
    few = draw.random(size)
    size_of = draw.exponential(0.3, size)
    capped = np.minimum(base + 1.3, 1.9)
    zeros = np.where(common < 0.6, -1.0, base)
    return [
        Population("apart", radii(0.06, 0.15, 0.3), base),
        Population("nearly tied", np.where(base < 0, -1, base + 0.002 + draw.normal(0, 0.02, size)), base),
        Population("equal", radii(0.0, 0.15, 0.3), radii(0.0, 0.15, 0.3)),
        Population(
            "seven in ten at 0", np.where(zeros < 0, zeros, zeros + 0.02 * draw.normal(1, 2, size)), zeros
        ),
        Population(
            "six in ten at the most", np.minimum(capped + 0.05 * draw.normal(0.3, 1, size), 1.9), capped
        ),
        Population(
            "1 in 20 differs, either way",
            _moved(base, few < 0.05, size_of * draw.choice([-1, 1], size)),
            base,
        ),
        Population("1 in 10 differs, one way", _moved(base, few < 0.1, size_of), base),
        Population("1 in 30 differs, one way", _moved(base, few < 0.033, size_of), base),
    ]


def _moved(base: Floats, where: NDArray[np.bool_], by: Floats) -> Floats:
    return np.where(where & (base >= 0), np.maximum(base + by, 0.0), base)


def held(population: Population, n: int, repeats: int, seed: int) -> dict[str, float]:
    """Share of samples of n images whose 95 % interval contains the truth: of ACR, median and accuracy."""
    generator = np.random.default_rng(seed)
    whole = (population.a.clip(0), population.b.clip(0))
    right = (population.a >= AT).mean() - (population.b >= AT).mean()
    truth = {"acr": whole[0].mean() - whole[1].mean(), "median": np.median(whole[0]) - np.median(whole[1])}
    kept = {"acr": 0, "median": 0}
    counts = np.empty((2, repeats))
    for i in range(repeats):
        a, b = population.draw(generator, n)
        for name, of in (("acr", of_means), ("median", of_medians)):
            interval = of(a.clip(0), b.clip(0))
            kept[name] += interval.low <= truth[name] <= interval.high
        at_a, at_b = a >= AT, b >= AT
        counts[:, i] = (at_a & ~at_b).sum(), (at_b & ~at_a).sum()
    accuracies = of_proportions(*counts, n)
    inside = np.mean([f.low <= right <= f.high for f in accuracies])
    return {name: count / repeats for name, count in kept.items()} | {"accuracy": float(inside)}


def band_held(population: Population, n: int, repeats: int, seed: int) -> float:
    """Share of 95 % bands that contain the whole difference of the curves, at 40 radii."""
    generator, grid = np.random.default_rng(seed), np.linspace(0, 1.9, 40)
    truth = np.array([(population.a >= r).mean() - (population.b >= r).mean() for r in grid])
    kept = 0
    for _ in range(repeats):
        a, b = population.draw(generator, n)
        band = bands.difference_band(a[None], b[None], grid)
        kept += bool(((band.low - 1e-9 <= truth) & (truth <= band.high + 1e-9)).all())
    return kept / repeats


def wrong_verdicts(n: int, methods: int, repeats: int, seed: int) -> dict[str, float]:
    """How often any verdict of `better` or `worse` is given among equally good methods, each with its own
    luck per image, in all pairs at 5 radii: on ACRs and on accuracies, after Holm's adjustment.
    """
    generator, radii = np.random.default_rng(seed), np.array([0.1, 0.4, 0.7, 1.0, 1.3])[:, None]
    fallen = {"acr": 0, "accuracy": 0}
    pairs = [(i, j) for i in range(methods) for j in range(i)]
    for _ in range(repeats):
        common = generator.normal(0.7, 0.5, n)
        sides = [np.clip(common + generator.normal(0, 0.15, n), 0, 1.9) for _ in range(methods)]
        acr = holm([of_means(sides[i], sides[j]).p for i, j in pairs])
        p = []
        for i, j in pairs:
            at_a, at_b = sides[i] >= radii, sides[j] >= radii
            differences = of_proportions((at_a & ~at_b).sum(axis=1), (at_b & ~at_a).sum(axis=1), n)
            p += [f.p for f in differences]
        fallen["acr"] += min(acr) <= 0.05
        fallen["accuracy"] += min(holm(p)) <= 0.05
    return {name: count / repeats for name, count in fallen.items()}


def wrong_equivalences(n: int, repeats: int, seed: int) -> dict[str, float]:
    """How often a true difference equal to the margin is called equivalent; 5 % are allowed."""
    generator = np.random.default_rng(seed)
    claimed = 0
    for _ in range(repeats):
        b = generator.exponential(0.5, n)
        claimed += of_means(b + generator.normal(0.02, 0.15, n), b, margin=0.02).equivalence <= 0.05
    counts = generator.multinomial(n, [0.05, 0.03, 0.92], repeats).T[:2]
    accuracies = np.mean([f.equivalence <= 0.05 for f in of_proportions(*counts, n, margin=0.02)])
    return {"acr": claimed / repeats, "accuracy": float(accuracies)}


def seeds_held(seeds: int, shared: bool, repeats: int, seed: int) -> dict[str, float]:
    """Intervals over training seeds: seeds move an ACR by 0.02, half of it equally in A and B if shared."""
    generator, truth = np.random.default_rng(seed), 0.03
    kept = wrong = 0
    for _ in range(repeats):
        alike, *own = generator.normal(0, 0.02 / np.sqrt(2), (3, seeds))
        a, b = (1.0 + (alike if shared else 0) + luck * (1 if shared else np.sqrt(2)) for luck in own)
        names = range(seeds) if shared else range(100, 100 + seeds)
        others = dict(zip(names, map(float, b), strict=True))
        difference, _ = over_seeds({s: float(a[s]) + truth for s in range(seeds)}, others)
        kept += difference.low <= truth <= difference.high
        wrong += over_seeds({s: float(a[s]) for s in range(seeds)}, others)[0].p <= 0.05
    return {"held": kept / repeats, "wrong": wrong / repeats}


def power_reached(repeats: int, seed: int) -> dict[str, tuple[int, float]]:
    """How often the number of images that `rs power` asks for finds the difference; 0.8 is promised."""
    generator = np.random.default_rng(seed)
    chosen = {p.name: p for p in populations()}
    out = {}
    for name in ("apart", "1 in 10 differs, one way"):
        a, b = chosen[name].a.clip(0), chosen[name].b.clip(0)
        n = power.images(float(np.std(a - b)), float(a.mean() - b.mean()))
        detected = 0
        for _ in range(repeats):
            first, second = chosen[name].draw(generator, n)
            detected += of_means(first.clip(0), second.clip(0)).p <= 0.05
        out[f"ACR, {name}"] = (n, detected / repeats)
    n = power.discordant_images(0.1, 0.03)
    counts = generator.multinomial(n, [0.065, 0.035, 0.9], repeats * 4).T[:2]
    out["accuracy, 6.5 % against 3.5 %"] = (
        n,
        float(np.mean([f.p <= 0.05 for f in of_proportions(*counts, n)])),
    )
    return out


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args().repeats
    sizes, cases = (200, 500, 2000, 10_000), populations()
    show: Callable[[float], str] = lambda share: f"{share:.3f}"  # noqa: E731
    rows = []
    for i, population in enumerate(cases):
        for n in sizes:
            shares = held(population, n, repeats if n < 10_000 else repeats // 2, 10 * i + n)
            rows.append([population.name, str(n), *map(show, shares.values())])
    print(table(["population", "images", "ACR", "median radius", f"accuracy at {AT:g}"], rows))
    rows = [
        [population.name, str(n), show(band_held(population, n, max(repeats // 5, 1), i))]
        for i, population in enumerate(cases)
        for n in (200, 1000)
        if population.name in ("apart", "nearly tied", "equal", "1 in 10 differs, one way")
    ]
    print(table(["population", "images", "band of all radii"], rows))
    rows = [
        [str(methods), str(n), *map(show, wrong_verdicts(n, methods, max(repeats // 2, 1), n).values())]
        for methods, n in ((2, 200), (2, 2000), (4, 200), (4, 2000))
    ]
    print(table(["equal methods", "images", "any wrong verdict: ACR", "accuracy, 5 radii"], rows))
    rows = [[str(n), *map(show, wrong_equivalences(n, repeats, n).values())] for n in (200, 1000, 5000)]
    print(table(["images", "ACR wrongly equivalent", "accuracy wrongly equivalent"], rows))
    rows = [
        [
            str(s),
            "shared" if shared else "of their own",
            *map(show, seeds_held(s, shared, 2 * repeats, s).values()),
        ]
        for s in (3, 5, 10)
        for shared in (True, False)
    ]
    print(table(["training seeds", "seeds", "interval holds", "wrong verdict"], rows))
    rows = [[name, str(n), show(share)] for name, (n, share) in power_reached(repeats, 0).items()]
    print(table(["`rs power` with 80 %", "images", "found"], rows))


if __name__ == "__main__":
    main()
