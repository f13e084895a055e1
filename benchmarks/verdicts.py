"""How often the verdicts beside published numbers are wrong, by simulation.

python benchmarks/verdicts.py    prints the tables on numbers of docs/evidence/decided-wrongly.md, in a few
                                 minutes; benchmarks/claim_verdicts.py prints those on claims
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from simulated_verdicts import (
    LAWS,
    MARGIN,
    Case,
    cases,
    drawn,
    interval,
    judged,
    judged_again,
    share,
    shares,
    table,
)

BEYOND = (0.0, 0.25, 0.5, 1.0, 2.0)  # margins beyond the margin
MOST = {"seeds": 60, "images": 50_000}  # that a promise is tried with


def same_mean(repeats: int) -> str:
    """Our method and the paper's have the same mean, so `differs` is wrong."""
    rows = []
    several = [Case(s, 10_000, False, 500) for s in (0.0, 0.005, 0.02)]
    near_one = [
        Case(s, 10_000, both, digits=2, means=(0.96, 0.98)) for s in (0.0, 0.005) for both in (True, False)
    ]
    for i, case in enumerate([*cases(), *several, *near_one]):
        draws = drawn(case, 0.0, 5, repeats, i)
        for seeds in (3, 5):
            found = shares(judged(case, draws.printed, draws.ours[:, :seeds]))
            own = [share(found[s]) for s in ("agrees", "consistent", "undecided")]
            accuracy = "0.6" if case.means[1] < 0.9 else "0.97, 2 digits"
            rows.append(
                [accuracy, f"{case.spread:g}", case.words, str(seeds), interval(found["differs"]), *own]
            )
    head = [
        "accuracy",
        "spread",
        "test images",
        "seeds",
        "`differs`, wrongly",
        "agrees",
        "consistent",
        "undecided",
    ]
    return table(head, rows)


def other_laws(repeats: int) -> str:
    """The same where accuracies over seeds are not normal, and `agrees` a quarter of a margin beyond it."""
    rows = []
    for law in list(LAWS)[1:]:
        for i, case in enumerate(cases((0.005, 0.02), law=law)):
            if case.images != 500:
                draws = drawn(case, 0.0, 5, repeats, 100 + i)
                apart = drawn(case, 1.25 * MARGIN, 5, repeats, 150 + i)
                wrong = []
                for seeds in (3, 5):
                    wrong.append(
                        interval(shares(judged(case, draws.printed, draws.ours[:, :seeds]))["differs"])
                    )
                    wrong.append(
                        interval(shares(judged(case, apart.printed, apart.ours[:, :seeds]))["agrees"])
                    )
                rows.append([law, f"{case.spread:g}", case.words, *wrong])
    head = ["law over seeds", "spread", "test images"]
    return table(head + [f"`{s}` wrongly, {k} seeds" for k in (3, 5) for s in ("differs", "agrees")], rows)


def few_seeds(repeats: int) -> str:
    """One and two seeds: whether the means are the same or three margins apart."""
    rows = []
    for i, case in enumerate(cases((0.02,))):
        row = [case.words]
        for apart in (0.0, 3 * MARGIN):
            draws = drawn(case, apart, 2, repeats, 200 + i)
            found = [shares(judged(case, draws.printed, draws.ours[:, :k])) for k in (1, 2)]
            row.append(str(sum(each[s][0] for each in found for s in ("agrees", "differs"))))
            row += [share(each["consistent"]) for each in found]
        rows.append(row)
    columns = ("agrees or differs", "consistent, 1 seed", "2 seeds")
    return table(["test images", *(f"{c}, {a} apart" for a in (0, 0.06) for c in columns)], rows)


def beyond(repeats: int) -> str:
    """The means are further apart than the margin, so `agrees` is wrong; `differs` is right if it says the
    right side.
    """
    rows, repeats = [], max(3 * repeats // 4, 1)
    for i, case in enumerate(cases()):
        draws = [drawn(case, (1 + b) * MARGIN, 5, repeats, 300 + 10 * i + j) for j, b in enumerate(BEYOND)]
        for seeds in (3, 5):
            row = [f"{case.spread:g}", case.words, str(seeds)]
            for each in draws:
                found = shares(judged(case, each.printed, each.ours[:, :seeds]))
                row.append(" / ".join(share(found[s]) for s in ("agrees", "differs", "consistent")))
            rows.append(row)
    return table(["spread", "test images", "seeds", *(f"{b:g}" for b in BEYOND)], rows)


def promised(repeats: int) -> str:
    """How often the number of seeds or images that an undecided row names decides, when they are drawn; and
    how often `differs` is wrong where the means are the same, at first and once these are added.
    """
    rows = []
    places = [(what, case) for what in ("seeds", "images") for case in cases((0.005, 0.02))]
    for i, (what, case) in enumerate(places):
        if what == "images":
            if case.shared or case.images == 10_000:
                continue
            case = replace(case, papers=10_000)
        added, anew, counts, first, then = [], [], [], 0, 0
        for j, apart in enumerate((0.0, 0.5 * MARGIN, 1.5 * MARGIN, 3 * MARGIN)):
            draws = drawn(case, apart, 3, repeats, 900 + 10 * i + j)
            generator = np.random.default_rng((i, j))
            for r, row in enumerate(judged(case, draws.printed, draws.ours)):
                false = apart == 0 and row["status"] == "differs"
                first, then = first + false, then + false
                count = row["decides_count"] if row["decides"] == what and "seeds" in row["counted"] else None
                if count is not None and count <= MOST[what]:
                    counts.append(count)
                    more, new = (
                        judged_again(draws, r, what, count, generator, keep) for keep in (True, False)
                    )
                    added.append(more != "undecided")
                    anew.append(new != "undecided")
                    then += apart == 0 and more == "differs"
        row = [what, f"{case.spread:g}", case.words, str(len(counts))]
        row.append(f"{np.median(counts):g}" if counts else "–")
        row += [interval((sum(each), len(each))) for each in (added, anew)]
        rows.append([*row, interval((first, repeats)), interval((then, repeats))])
    head = ["promised", "spread", "test images", "promises", "median", "added, decided", "all anew, decided"]
    return table([*head, "`differs`, wrongly: at first", "and once added"], rows)


def best_of(repeats: int) -> str:
    """Equally good runs of which each side reports the best: `differs` is wrong."""
    rows = []
    for runs in (2, 4):
        for spread, images, shared in ((0.005, 1000, True), (0.02, 1000, True), (0.02, 1000, False)):
            case = Case(spread, images, shared)
            draws = drawn(case, 0.0, 10 * runs, repeats, 2000 + runs, papers=runs)
            each = np.split(draws.ours, runs, axis=1)
            row = [str(runs), f"{spread:g}", case.words]
            for seeds in (3, 5, 10):
                found = shares(judged(case, draws.printed, *(ours[:, :seeds] for ours in each)))
                row.append(interval(found["differs"]))
            rows.append(row)
    return table(["runs", "spread", "test images", *(f"{k} seeds" for k in (3, 5, 10))], rows)


TABLES = (same_mean, other_laws, few_seeds, beyond, promised, best_of)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--only", choices=[each.__name__ for each in TABLES], help="one of the tables")
    chosen = parser.parse_args()
    for each in TABLES:
        if chosen.only in (None, each.__name__):
            print(f"{each.__name__}\n\n{each(chosen.repeats)}", flush=True)


if __name__ == "__main__":
    main()
