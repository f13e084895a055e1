"""Published certification logs of Cohen et al.'s models compared with the rows that two papers print for
them.

python benchmarks/published_logs.py FOLDER    prints the tables of docs/evidence/published-logs.md

FOLDER holds logs named `cohen-DATASET-MODEL-noise_SIGMA-sigma_SIGMA.tsv`, as `rs.study.certification_log`
reads them.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from rs.statistics.bounds import clopper_pearson_upper
from rs.statistics.intervals import t_interval, wilson_interval
from rs.study.certification_log import Log, read_log

VOTES = 100_000
RADII = np.arange(13) / 4

# Rows as printed: ADRE Table 1 `Basic`; MACER Tables 1 (CIFAR-10, radii to 2.25) and 2 (ImageNet, every
# second radius) `Cohen`, with the average certified radius.
ADRE = {
    ("cifar10", 0.12): (0.81, 0.59, *[0.0] * 11),
    ("cifar10", 0.25): (0.75, 0.60, 0.43, 0.27, *[0.0] * 9),
    ("cifar10", 0.50): (0.65, 0.55, 0.41, 0.32, 0.23, 0.15, 0.09, 0.05, *[0.0] * 5),
    ("cifar10", 1.00): (0.47, 0.39, 0.34, 0.28, 0.22, 0.17, 0.14, 0.12, 0.10, 0.08, 0.05, 0.04, 0.02),
    ("imagenet", 0.50): (0.57, 0.52, 0.46, 0.42, 0.37, 0.33, 0.29, 0.22, *[0.0] * 5),
}
MACER = {
    ("cifar10", 0.25): dict(zip(RADII, (0.75, 0.60, 0.43, 0.26, *[0.0] * 6), strict=False)),
    ("cifar10", 0.50): dict(
        zip(RADII, (0.65, 0.54, 0.41, 0.32, 0.23, 0.15, 0.09, 0.04, 0.0, 0.0), strict=False)
    ),
    ("cifar10", 1.00): dict(
        zip(RADII, (0.47, 0.39, 0.34, 0.28, 0.21, 0.17, 0.14, 0.08, 0.05, 0.03), strict=False)
    ),
    ("imagenet", 0.50): dict(zip(RADII[::2], (0.57, 0.46, 0.37, 0.29, 0.0, 0.0, 0.0), strict=False)),
}
MACER_ACR = {
    ("cifar10", 0.25): 0.416,
    ("cifar10", 0.50): 0.491,
    ("cifar10", 1.00): 0.458,
    ("imagenet", 0.50): 0.720,
}


@dataclass(frozen=True)
class Published:
    dataset: str
    sigma: float
    log: Log

    @property
    def key(self) -> tuple[str, float]:
        return self.dataset, self.sigma


def load(folder: Path) -> list[Published]:
    logs = []
    for path in sorted(folder.glob("cohen-*.tsv")):
        match = re.fullmatch(r"cohen-(\w+)-.*-sigma_([\d.]+)\.tsv", path.name)
        assert match is not None, path
        logs.append(Published(match[1], float(match[2]), read_log(path)))
    return logs


def certified_accuracy(log: Log, radius: float) -> float:
    return float((log.certified_radius() >= radius).mean())


def average_certified_radius(log: Log) -> np.ndarray:
    """Per image: the radius, 0 where wrong or abstained."""
    return np.maximum(log.certified_radius(), 0)


def at_other_alpha(item: Published, alpha_from: float, alpha_to: float) -> np.ndarray:
    """Certified radii at another error rate, from votes recovered as far as three digits allow."""
    radius = average_certified_radius(item.log) / item.sigma
    miss = special.ndtr(-radius)
    low, high = np.zeros(len(radius)), np.full(len(radius), VOTES / 2)
    for _ in range(60):  # the number of other votes whose upper bound is `miss`
        middle = (low + high) / 2
        over = special.betaincc(middle + 1, VOTES - middle, miss) > alpha_from
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    bound = clopper_pearson_upper(np.round(low), VOTES, alpha_to)
    return np.where((radius > 0) & (bound < 0.5), -item.sigma * special.ndtri(np.minimum(bound, 0.5)), 0)


def agrees(ours: float, printed: float) -> str:
    """Whether `printed` is our number rounded or cut to two digits."""
    if abs(ours - printed) <= 0.005 + 1e-9:
        return "rounded"
    return "cut" if np.floor(ours * 100 + 1e-9) / 100 == printed else "**no**"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    logs = load(parser.parse_args().folder)
    print("\nLargest radius and error rate\n")
    print("| data | sigma | images | largest radius / sigma | alpha 0.001 allows | alpha 0.01 allows |")
    print("|---|---|---|---|---|---|")
    limits = [float(-special.ndtri(clopper_pearson_upper(0, VOTES, a))) for a in (0.001, 0.01)]
    for item in logs:
        step, count = np.unique(np.diff(item.log.idx)), len(item.log)
        assert len(step) == 1
        largest = item.log.radius.max() / item.sigma
        every = f"{count} (every {step[0]}th)"
        print(
            f"| {item.dataset} | {item.sigma} | {every} | {largest:.3f} | {limits[0]:.3f} | {limits[1]:.3f} |"
        )
    print("\nAverage certified radius\n")
    print("| data | sigma | from the log | 95 % t interval | about, at alpha = 0.001 | MACER prints |")
    print("|---|---|---|---|---|---|")
    for item in logs:
        mean, low, high = t_interval(average_certified_radius(item.log))
        alpha = 0.001 if item.sigma == 0.12 else 0.01
        other = f"{at_other_alpha(item, alpha, 0.001).mean():.3f}" if alpha == 0.01 else "as it is"
        printed = f"{MACER_ACR[item.key]:.3f}" if item.key in MACER_ACR else ""
        row = f"{mean:.3f} | {low:.3f} to {high:.3f} | {other} | {printed}"
        print(f"| {item.dataset} | {item.sigma} | {row} |")
    for item in logs:
        print(f"\n{item.dataset}, sigma = {item.sigma}\n")
        print(
            "| radius | certified accuracy | 95 % Wilson interval | ADRE | agrees "
            "| about, at alpha = 0.001 | MACER | agrees |\n|---|---|---|---|---|---|---|---|"
        )
        strict = (
            at_other_alpha(item, 0.01, 0.001) if item.sigma != 0.12 else average_certified_radius(item.log)
        )
        for i, radius in enumerate(RADII):
            ours = certified_accuracy(item.log, radius)
            count = len(item.log)
            low, high = (float(v) for v in wilson_interval(round(ours * count), count))
            adre, macer = ADRE[item.key][i], MACER.get(item.key, {}).get(radius)
            if ours == 0 and adre == 0 and not macer:
                continue
            there = f"{macer:.2f} | {agrees(ours, macer)}" if macer is not None else " | "
            # at radius 0, a radius of 0 means an abstention
            about = np.mean(strict > 0 if radius == 0 else strict >= radius)
            print(
                f"| {radius:.2f} | {ours:.3f} | {low:.3f} to {high:.3f} "
                f"| {adre:.2f} | {agrees(ours, adre)} | {about:.3f} | {there} |"
            )


if __name__ == "__main__":
    main()
