"""Which of several runs a printed number stands beside, where a paper reports the best of them. No torch.

The best is the one that is best here, at each radius on its own, or for all numbers of one printed `row` but
its time, since more time is not better. A run whose number is not there counts with the most that it could
be: 1 for an accuracy, 0 for a certified one at a radius that its votes cannot certify, without bound
otherwise. So does a run whose votes were stopped at a lower bound, beside a best that is none. Where such a
run could be better than the best of the others, the best is not known.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

from rs.study.study import Study
from rs.tables.largest_claims import largest_claim
from rs.tables.measured import Measured
from rs.tables.printed import ACCURACIES, Number

Found = Mapping[str, Measured]  # of one number, by the run's label


def best_runs(study: Study, numbers: Sequence[Number], measured: Sequence[Found]) -> list[str | None]:
    """For each printed number the label of the run that it stands beside; None where that is not known."""
    members: dict[Hashable, list[int]] = {}
    for i, number in enumerate(numbers):
        members.setdefault(_row(number, i), []).append(i)
    best: dict[Hashable, str | None] = {}
    for row, its in members.items():
        chooses = [i for i in its if numbers[i].metric != "train_hours"] or its
        best[row] = _best(study, [numbers[i] for i in chooses], [measured[i] for i in chooses])
    return [best[_row(number, i)] for i, number in enumerate(numbers)]


def _row(number: Number, i: int) -> Hashable:
    """What the numbers have in common that one run is the best for."""
    return (number.entry["paper"], number.entry["row"]) if number.entry["row"] else i


def _best(study: Study, numbers: Sequence[Number], measured: Sequence[Found]) -> str | None:
    labels = [label for label in numbers[0].labels if all(label in number.labels for number in numbers)]
    if len(labels) == 1:
        return labels[0]
    whole = {
        label: sum(each[label].side.value for each in measured)
        for label in labels
        if all(label in each for each in measured)
    }
    best = max(whole, key=whole.__getitem__, default=None)
    if best is None:
        return None
    known = {label for label in whole if not any(each[label].lower_bound for each in measured)}
    rivals = [label for label in labels if label not in (known if best in known else whole)]
    most = (
        sum(
            each[label].side.value
            if label in each and not each[label].lower_bound
            else _most(study, number, label)
            for number, each in zip(numbers, measured, strict=True)
        )
        for label in rivals
    )
    return None if any(value > whole[best] for value in most) else best


def _most(study: Study, number: Number, label: str) -> float:
    """The most that a run's number could be."""
    if number.metric not in ACCURACIES:
        return math.inf
    cap = None if number.certificate is None else largest_claim(study, label, number.certificate)
    return 0.0 if cap is not None and number.radius is not None and number.radius > cap else 1.0
