"""Simulated experiments beside printed numbers, and their verdicts from rs.tables.published.

A method's networks have accuracies around its own mean. A network is right on an image if a latent number,
most of which is the image's and shared by all networks, lies below a quantile that gives its accuracy. The
paper prints the accuracy of one network; ours are several.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from rs.study.study import Study
from rs.tables.published import beside

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Row = dict[str, Any]
MARGIN = 0.02  # the default margin of accuracies
SHARED = 0.97  # correlation of two networks' latent numbers: 8 % of the images divide them at accuracy 0.6
KINDS = 400  # of images
HARDNESS = special.ndtri((np.arange(KINDS) + 0.5) / KINDS)  # of each kind, what networks share
BATCH = 10  # printed numbers of a study


def _normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return generator.normal(size=shape)


def _heavy(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return generator.standard_t(3, size=shape) / np.sqrt(3)


def _collapsing(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return np.where(generator.random(shape) < 0.1, -3.0, 1 / 3)


# laws of a network's accuracy around the method's mean, with mean 0 and deviation 1
LAWS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Floats]] = {
    "normal": _normal,
    "Student's, 3 degrees": _heavy,
    "1 of 10 collapses": _collapsing,
}


@dataclass(frozen=True)
class Case:
    """A method beside a printed number: `spread` over its seeds, numbers of test images, `shared` if they are
    the same, and the accuracies among which the paper's method's mean lies.
    """

    spread: float
    images: int
    shared: bool
    papers: int | None = None  # the paper's images, if not as many as ours
    law: str = "normal"
    digits: int = 3
    means: tuple[float, float] = (0.55, 0.65)

    @property
    def words(self) -> str:
        if self.shared:
            return f"{self.images:,}, the paper's"
        return f"{self.images:,} beside {self.papers or self.images:,} others"


@dataclass
class Draws:
    """Repeated experiments: how many of our images are of each kind [R, KINDS], the mean of our method [R],
    the accuracies [R, K] of our networks in the population and on the images, and the printed texts [R].
    """

    case: Case
    images: Counts
    mean: Floats
    levels: Floats
    ours: Floats
    printed: list[str]


def accuracies(generator: np.random.Generator, images: Counts, levels: Floats) -> Floats:
    """Shares [R, K] of the images [R, KINDS] on which networks are right that are so on `levels` of all
    images.
    """
    cuts = special.ndtri(np.clip(levels, 1e-9, 1 - 1e-9))
    right = special.ndtr((cuts[..., None] - np.sqrt(SHARED) * HARDNESS) / np.sqrt(1 - SHARED))
    return generator.binomial(images[:, None], right).sum(axis=2) / images.sum(axis=1)[:, None]


def levels_of(case: Case, generator: np.random.Generator, mean: Floats, networks: int) -> Floats:
    """Accuracies in the population [R, networks] of networks that are trained anew."""
    return mean[:, None] + case.spread * LAWS[case.law](generator, (len(mean), networks))


def images_of(generator: np.random.Generator, repeats: int, images: int) -> Counts:
    return generator.multinomial(images, np.full(KINDS, 1 / KINDS), repeats)


def drawn(case: Case, apart: float, seeds: int, repeats: int, seed: int, papers: int = 1) -> Draws:
    """Experiments in which the mean of our method is `apart` above or below that of the paper's, which prints
    the best of `papers` networks.
    """
    generator = np.random.default_rng(seed)
    theirs = generator.uniform(*case.means, repeats)
    mean = theirs + apart * generator.choice([-1.0, 1.0], repeats)
    printed, levels = levels_of(case, generator, theirs, papers), levels_of(case, generator, mean, seeds)
    images = images_of(generator, repeats, case.images)
    ours = accuracies(generator, images, levels)
    other = images if case.shared else images_of(generator, repeats, case.papers or case.images)
    best = accuracies(generator, other, printed).max(axis=1)
    return Draws(case, images, mean, levels, ours, [f"{share:.{case.digits}f}" for share in best])


RADII = [round(0.1 * i, 1) for i in range(BATCH)]


@functools.cache
def study_of(case: Case, runs: int = 1) -> Study:
    """A study of these images whose one table of a paper has a number at each of RADII."""
    labels = [f"run{i}" for i in range(runs)]
    images = {"test": {"max": case.images}} if case.shared else {"images": case.papers or case.images}
    entry = {"paper": "P", "table": "T", "run": labels, "radii": RADII, "certified_accuracy": ["0.5"] * BATCH}
    text = {"name": "simulated", "data": {"name": "cifar10"}, "test": {"max": case.images}}
    text |= {"model": {"name": "resnet20"}, "noise": {"name": "gaussian", "sigma": 0.5}}
    text |= {"training": {"epochs": 1, "batch_size": 128, "optimizer": {"learning_rate": 0.05}}}
    text |= {
        "sampling": {"n0": 100, "n": 1000, "block": 100},
        "certificates": [{"name": "cohen", "alpha": 0.001}],
    }
    text |= {"runs": {label: {"objective": {"name": "gaussian"}} for label in labels}}
    text |= {"report": {"radii": RADII}, "papers": {"P": images}, "published": [entry]}
    return Study([], text)


def judged(
    case: Case, printed: Sequence[str], *runs: Sequence[Sequence[float]], images: int = 0
) -> list[Row]:
    """The rows of the table `published`, one per experiment, from the accuracies [R][K] of each run."""
    study, out = study_of(replace(case, images=images or case.images), len(runs)), []
    head = {"certificate": "cohen", "smoothing": "gaussian", "images": images or case.images}
    for start in range(0, len(printed), BATCH):
        texts = list(printed[start : start + BATCH])
        study.published[0] |= {"radii": RADII[: len(texts)], "certified_accuracy": texts}
        table = [
            head
            | {"label": f"run{run}", "run": f"run{run}-{k}", "radius": radius, "certified_accuracy": share}
            for run, values in enumerate(runs)
            for radius, of_seeds in zip(RADII, values[start : start + BATCH], strict=False)
            for k, share in enumerate(map(float, of_seeds))
        ]
        out += beside(study, {"certified_accuracy": table})
    return out


def shares(rows: Iterable[Row]) -> dict[str, tuple[int, int]]:
    """For each status how many of the rows have it, and of how many."""
    each = [row["status"] for row in rows]
    return {s: (each.count(s), len(each)) for s in ("agrees", "consistent", "differs", "undecided")}


def share(counted: tuple[int, int]) -> str:
    return f"{counted[0] / counted[1]:.3f}" if counted[1] else "–"


def interval(counted: tuple[int, int]) -> str:
    """A share with its 95 % Clopper-Pearson interval."""
    if not counted[1]:
        return "–"
    ends = stats.binomtest(*counted).proportion_ci(0.95, "exact")
    return f"{share(counted)} [{ends.low:.3f}, {ends.high:.3f}]"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def cases(spreads: Sequence[float] = (0.0, 0.005, 0.02), **more: Any) -> list[Case]:
    places = [(n, shared) for shared in (True, False) for n in (500, 1000, 10_000)]
    return [Case(spread, *place, **more) for spread in spreads for place in places]


def judged_again(
    draws: Draws, r: int, what: str, count: int, generator: np.random.Generator, keep: bool
) -> str:
    """The verdict with `count` seeds or images, of which those that there were are kept or not."""
    case, images, levels = draws.case, draws.images[r : r + 1], draws.levels[r : r + 1]
    if what == "seeds":
        ours = accuracies(generator, images, levels_of(case, generator, draws.mean[r : r + 1], count))
        if keep:
            ours[:, : levels.shape[1]] = draws.ours[r]
    else:
        old = case.images if keep else 0
        ours = accuracies(generator, images_of(generator, 1, count - old), levels)
        ours = (draws.ours[r] * old + ours * (count - old)) / count
    (row,) = judged(case, draws.printed[r : r + 1], ours, images=count if what == "images" else 0)
    return str(row["status"])
