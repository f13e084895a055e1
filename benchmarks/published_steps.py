"""Which steps between published methods exceed the noise of the test images.

python benchmarks/published_steps.py FOLDER    prints the tables of docs/evidence/published-steps.md

FOLDER holds logs named `acr2025-cifar10-resnet110-METHOD-sigma_SIGMA.tsv`: one network per method, certified
on the same 10,000 test images at n = 100,000 and alpha = 0.001.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import stats

from rs.report.numerals import numeral
from rs.statistics import power
from rs.statistics.bands import all_radii, difference_band
from rs.statistics.paired import Difference, holm, of_means, of_medians, of_proportions, verdict
from rs.study.certification_log import read_log

NAMES = {"gaussian": "Gaussian", "smoothadv": "SmoothAdv", "macer": "MACER", "consistency": "Consistency"}
NAMES |= {"smoothmix": "SmoothMix", "catrs": "CAT-RS", "ours": "the 2025 method"}
STEPS = (
    ("gaussian", "smoothadv"),
    ("gaussian", "macer"),
    ("smoothadv", "consistency"),
    ("macer", "consistency"),
    ("consistency", "smoothmix"),
    ("smoothmix", "catrs"),
    ("catrs", "ours"),
)
RADII = {0.25: (0.0, 0.25, 0.5, 0.75), 0.5: (0.0, 0.5, 1.0, 1.5)}
FEWER = 500  # images, as in papers
SEEDS = 3


def certified(folder: Path, method: str, sigma: float) -> np.ndarray:
    """Radii by image, -1 where nothing is certified, float64 [10,000]."""
    log = read_log(folder / f"acr2025-cifar10-resnet110-{method}-sigma_{sigma:g}.tsv")
    return log.certified_radius()[np.argsort(log.idx)]


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows]) + "\n"


def signed(difference: Difference) -> str:
    value, low, high = (numeral(v, "+.4f") for v in (difference.value, difference.low, difference.high))
    return f"{value} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    logs = {(m, s): certified(folder, m, s) for s in RADII for m in NAMES}
    steps = [(sigma, old, new) for sigma in RADII for old, new in STEPS]
    titles = [[f"{sigma:g}", f"{NAMES[old]} → {NAMES[new]}"] for sigma, old, new in steps]
    means, medians, rows, needs = [], [], [], []
    for sigma, old, new in steps:
        a, b = logs[new, sigma].clip(0), logs[old, sigma].clip(0)
        means.append(of_means(a, b))
        medians.append(of_medians(a, b))
    adjusted, of_median = (holm([f.p for f in each]) for each in (means, medians))
    for i, (sigma, old, new) in enumerate(steps):
        both = logs[new, sigma], logs[old, sigma]
        band = difference_band(both[0][None], both[1][None], all_radii(both))
        stretches = sorted(band.stretches(), key=lambda s: s[1] - s[2])[:2]
        where = ", ".join(
            f"{side} {low:.2f}–{high:.2f}" for side, low, high in sorted(stretches, key=lambda s: s[1])
        )
        mean = f"{signed(means[i])}, {verdict(means[i], adjusted[i], np.nan)}"
        median = f"{signed(medians[i])}, {verdict(medians[i], of_median[i], np.nan)}"
        rows.append([*titles[i], mean, median, where or "nowhere"])
        a, b = (radii.clip(0) for radii in both)
        spread, value = float(np.std(a - b, ddof=1)), abs(means[i].value)
        apart = float(np.sqrt(np.var(a, ddof=1) + np.var(b, ddof=1)))
        limit = value * np.sqrt(SEEDS) / stats.t.ppf(0.975, SEEDS - 1)
        needs.append([*titles[i], f"{np.corrcoef(a, b)[0, 1]:.3f}", f"{power.images(spread, value):,}"])
        needs[-1] += [f"{power.images(apart, value):,}", f"{power.difference(spread, FEWER):.4f}"]
        needs[-1] += [f"{power.difference(apart, FEWER):.4f}", f"{limit:.4f}"]
    print(table(["σ", "step", "ACR", "median radius", "certified accuracy apart at radii"], rows))
    head = ["σ", "step", "correlation", "images, paired", "unpaired, each side", f"{FEWER} show, paired"]
    print(table([*head, "unpaired", f"{SEEDS} seeds: deviation at most"], needs))
    for sigma, radii in RADII.items():
        here = [(old, new) for s, old, new in steps if s == sigma]
        accuracies = []
        for old, new in here:
            right = [[logs[m, sigma] >= r for r in radii] for m in (new, old)]
            pairs = list(zip(*right, strict=True))
            only = [(int((x & ~y).sum()), int((y & ~x).sum())) for x, y in pairs]
            accuracies += of_proportions(*np.array(only).T, len(logs[old, sigma]))
        p = holm([f.p for f in accuracies])
        cells = [
            numeral(f.value, "+.4f") + ("" if q <= 0.05 else " (undecided)")
            for f, q in zip(accuracies, p, strict=True)
        ]
        size = len(radii)
        rows = [
            [f"{NAMES[o]} → {NAMES[n]}", *cells[i * size : (i + 1) * size]] for i, (o, n) in enumerate(here)
        ]
        print(table([f"σ = {sigma:g}", *(f"r = {r:g}" for r in radii)], rows))


if __name__ == "__main__":
    main()
