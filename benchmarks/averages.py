"""How often Student's interval contains the true average certified radius, for few and for many images.

python benchmarks/averages.py    the table of docs/evidence/coverage.md, seconds

Radii of images are drawn anew: a share is 0 (wrong, abstained), a share is the largest radius (all votes
agree), and the others follow a Beta(2, 2) law in between. The interval is cut at 0 and at the largest radius,
as in tables.
"""

from __future__ import annotations

import numpy as np

from rs.statistics.intervals import t_interval

CAP, TRIALS, IMAGES = 0.95, 4_000, (3, 10, 30, 100, 500)  # sigma = 0.25 and 100,000 votes
SHARES = ((0.3, 0.2), (0.5, 0.05), (0.02, 0.9), (0.9, 0.0), (0.98, 0.0))  # of 0, of the largest radius


def main() -> None:
    print(f"| radii of 0 | largest | {' | '.join(f'{n} images' for n in IMAGES)} |")
    print(f"|---|---|{'---|' * len(IMAGES)}")
    source = np.random.default_rng(0)
    for none, all_ in SHARES:
        cells = []
        for n in IMAGES:
            kind, radii = source.random((TRIALS, n)), CAP * source.beta(2, 2, (TRIALS, n))
            radii = np.where(kind < none, 0.0, np.where(kind > 1 - all_, CAP, radii))
            truth = (1 - none - all_) * CAP / 2 + all_ * CAP
            ends = np.array([t_interval(row, least=0.0, most=CAP)[1:] for row in radii])
            whole = np.array([t_interval(row)[1:] for row in radii])
            held = np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
            cut = np.mean((ends != whole).any(1))
            cells.append(f"{100 * held:.1f} % ({100 * cut:.0f} % cut)")
        print(f"| {100 * none:g} % | {100 * all_:g} % | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
