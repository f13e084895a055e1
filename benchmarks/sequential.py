"""The cost of sequential votes and the validity of their bounds, simulated from the votes of a study's runs.

python benchmarks/sequential.py                          how often the bounds fail, exactly; no draws needed
python benchmarks/sequential.py config/mnist.yaml        and the cost, in the folder that holds its results/

Every image's failure rate is that of its stored votes of fixed n. Votes are simulated at these rates, stopped
by the rule of rs.statistics.stopping, and certified by `cohen`, 20 times per image.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from rs.methods.certificates.cohen import Cohen
from rs.methods.noise.gaussian import Gaussian
from rs.plan.draw_paths import shards_of
from rs.plan.plan import Plan
from rs.report.numerals import numeral
from rs.settings.sampling import Stop
from rs.stages.certified_rows import drawn
from rs.statistics.bounds import Floats, clopper_pearson_upper
from rs.statistics.draws import Draws
from rs.statistics.sequences import least_trials, upper
from rs.statistics.stopping import StoppingRule
from rs.study.study import Study

ALPHA = 0.001
PAPER = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25)  # radii of MACER's Table 6
Bound = Callable[[Floats, Floats, float], Floats]


def failure(p: float, alpha: float, horizon: int, bound: Bound = upper) -> float:
    """Exact probability that the bound is below p at any of the first `horizon` trials."""
    n = np.arange(1.0, horizon + 1)
    fine, wrong = n + 1, np.full(horizon, -1.0)  # the bound grows with the events: bisect for those below p
    while np.any(fine - wrong > 1):
        middle = np.floor((fine + wrong) / 2)
        below = (middle < 0) | (bound(np.clip(middle, 0, n), n, alpha) < p)
        wrong, fine = np.where(below, middle, wrong), np.where(below, fine, middle)
    alive, failed = np.array([1.0]), 0.0  # alive[f]: probability of f events and no failure so far
    for worst in wrong.astype(int):
        alive = np.append(alive * (1 - p), 0.0) + np.append(0.0, alive * p)
        failed += alive[: worst + 1].sum()
        alive[: worst + 1] = 0.0
    return failed


def beta_binomial(events: Floats, trials: Floats, alpha: float, a: float = 0.5, b: float = 0.5) -> Floats:
    """For comparison: the upper end of the confidence sequence from one Beta(a, b) mixture for all p."""
    f, n = np.broadcast_arrays(np.asarray(events, float), np.asarray(trials, float))
    goal = special.betaln(f + a, n - f + b) - special.betaln(a, b) + np.log(alpha)
    below, above = f / n, np.ones(f.shape)
    for _ in range(60):
        p = (below + above) / 2
        out = special.xlogy(f, p) + special.xlog1py(n - f, -p) <= goal
        below, above = np.where(out, below, p), np.where(out, p, above)
    return above


def simulate(rule: StoppingRule, rates: Floats, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Failures and votes [N] at which images with failure rates `rates` [N] stop."""
    failures, votes = np.zeros((2, len(rates)), np.int64)
    undecided = np.arange(len(rates))
    for size in rule.sizes():
        failures[undecided] += rng.binomial(size, rates[undecided])
        votes[undecided] += size
        more = rule.going_on(failures[undecided], int(votes[undecided[0]]))
        undecided = undecided[more]
        if len(undecided) == 0:
            break
    return failures, votes


def stopped(rule: StoppingRule, failures: np.ndarray, votes: np.ndarray) -> Draws:
    """The certificate's draws of images stopped in this way: two classes, the first one selected."""
    base = Draws.from_counts([10, 0], np.stack([votes - failures, failures], 1), dimension=1)
    parts = (base.images, base.labels, base.selection, base.estimation, 1, base.uniform)
    return Draws(*parts, "sequential", {"alpha": rule.stop.alpha})


@dataclass(frozen=True)
class Observed:
    """Votes of fixed n: failures [N] of the class chosen by the selection votes, and whether it was right."""

    sigma: float
    failures: np.ndarray
    n: int
    correct: np.ndarray


def observed(study: Path) -> Iterator[Observed]:
    """The votes of the study's runs that are smoothed with one Gaussian."""
    plan = Plan(Study([study]))
    for job in plan.jobs["certify"].values():
        if "stop" in job.spec:
            raise SystemExit(f"{study}: votes of fixed n are needed, and these are sequential")
        draws = drawn(job.spec, *shards_of(job.spec, job.inputs))
        top = draws.selection.counts.argmax(1)
        hits = draws.estimation.counts[np.arange(len(draws)), top]
        yield Observed(job.spec["noise"]["sigma"], job.spec["n"] - hits, job.spec["n"], top == draws.labels)


@dataclass(frozen=True)
class Cost:
    """For one rule: mean estimation votes, and certified accuracies [R] less those of fixed n."""

    votes: float
    difference: Floats


def cost(seen: Observed, rule: StoppingRule, radii: Floats, times: int = 20) -> Cost:
    rates = np.tile(seen.failures / seen.n, times)
    failures, votes = simulate(rule, rates, np.random.default_rng(0))
    certified = Cohen().certify(stopped(rule, failures, votes), Gaussian(seen.sigma), ALPHA)
    sure = np.where((certified.prediction == 0) & np.tile(seen.correct, times), certified.radius, -1.0)
    bound = clopper_pearson_upper(seen.failures, seen.n, ALPHA)
    fixed = np.where(seen.correct & (bound < 0.5), -seen.sigma * special.ndtri(bound), -1.0)
    return Cost(float(votes.mean()), (sure[:, None] >= radii).mean(0) - (fixed[:, None] >= radii).mean(0))


def foreknown(seen: Observed, radii: Floats, spared: float = 0.01) -> float:
    """Mean votes of a rule that knows every image's rate: what any test at ALPHA needs to certify what fixed
    n certifies, ln(1/alpha) / KL, without the most expensive `spared` of all images at each radius, and no
    other vote.
    """
    x, rate = special.ndtr(-radii / seen.sigma), (seen.failures / seen.n)[:, None]
    certified = clopper_pearson_upper(seen.failures, seen.n, ALPHA)[:, None] <= x
    distance = special.rel_entr(rate, x) + special.rel_entr(1 - rate, 1 - x)
    needed = np.where(certified & seen.correct[:, None], -np.log(ALPHA) / distance, 0.0)
    for column in needed.T:
        column[np.argsort(-column)[: int(spared * len(column))]] = 0.0
    return float(needed.max(1).mean())


def costs(seen: Observed, n: int, block: int, futility: float) -> None:
    fixed, n0, sigma = seen.n + 100, 100, seen.sigma

    def rule(radii: Floats) -> StoppingRule:
        return StoppingRule(Stop(ALPHA, tuple(radii), futility=futility), sigma, n, block)

    def line(name: str, radii: Floats, least: str) -> None:
        outcome = cost(seen, rule(radii), radii)
        total, worst = outcome.votes + n0, numeral(100 * outcome.difference.min(), "+.1f")
        print(f"| {sigma:g} | {name} | {total:,.0f} | 1/{fixed / total:.0f} | {worst} | {least} |")

    grid = np.asarray(PAPER)
    low, attainable = grid[grid <= 2 * sigma], grid[grid <= 3.8 * sigma]
    line(
        f"0 to {low[-1]:g} (2σ) together", low, f"{foreknown(seen, low):,.0f} (foreknown rates, 1 point less)"
    )
    line(f"0 to {attainable[-1]:g} together", attainable, "")
    for r in attainable[attainable > 2 * sigma]:
        x = float(special.ndtr(-r / sigma))
        least = f"{np.log(ALPHA) / np.log1p(-x):,.0f}; {least_trials(x, ALPHA):,}"
        line(f"{r:g} ({r / sigma:g}σ) alone", np.array([r]), least)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", nargs="?", type=Path, help="a study of fixed n, already sampled")
    parser.add_argument("--n", type=int, default=100_000, help="the most votes of an image")
    parser.add_argument("--block", type=int, default=128)
    parser.add_argument("--futility", type=float, default=Stop.futility)
    args = parser.parse_args()
    print("Probability that the bound is ever below p within 5,000 votes, looking at every one\n")
    print("| p | α = 0.05 | α = 0.001 | beta-binomial mixture, α = 0.05 |\n|---|---|---|---|")
    for p in (0.5, 0.9, 0.1, 0.03, 0.01, 0.003):
        shares = failure(p, 0.05, 5000), failure(p, 0.001, 5000), failure(p, 0.05, 5000, beta_binomial)
        print(f"| {p:g} | " + " | ".join(f"{s:.5f}" for s in shares) + " |")
    print("\nUpper bounds at α = 0.001: failures among votes, sequence, beta-binomial, fixed n\n")
    print("| failures | votes | sequence | beta-binomial | Clopper-Pearson |\n|---|---|---|---|---|")
    for f, m in ((0, 300), (0, 6000), (3, 1000), (30, 1000), (30, 10_000), (300, 1000), (30_000, 100_000)):
        bounds = (bound(f, m, ALPHA) for bound in (upper, beta_binomial, clopper_pearson_upper))
        print(f"| {f:,} | {m:,} | " + " | ".join(f"{float(b):.6f}" for b in bounds) + " |")
    if args.study:
        print(f"\nn at most {args.n:,}, blocks of {args.block}, futility {args.futility:g}\n")
        print("| σ | radii | votes, with 100 for selection | of fixed n | points of accuracy | least |")
        print("|---|---|---|---|---|---|")
        for seen in observed(args.study):
            costs(seen, args.n, args.block, args.futility)


if __name__ == "__main__":
    main()
