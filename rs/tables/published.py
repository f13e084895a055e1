"""The table `published`: published numbers beside reproduced ones, each with a verdict (rs.tables.verdict). A
study states the numbers under `published`, the papers' settings under `papers`, and margins under
`agreement`.

A label's number is the mean over its seeds. The best of several runs is the one that is best here, at each
radius on its own, or for all numbers of one printed `row` but its time. Image noise is Wilson's for an
accuracy, t for an average certified radius, and normal for an epsilon, over its calibration images. A paper's
average and epsilon are assumed to spread over its images as ours do, and an epsilon to use as many images. A
training time has no verdict, as the machines differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rs.settings.images import Subset
from rs.settings.labels import label_of
from rs.study.claims import METRICS as MEASURES
from rs.study.paper_settings import differences, stated
from rs.study.published import address_of, labels_of
from rs.study.schema import data_facts
from rs.study.study import Run, Study
from rs.tables.measured import Measured, mean_of, places, rows_of
from rs.tables.stored import Stored
from rs.tables.table import Row, Table
from rs.tables.verdict import PrintedNumber, judge
from rs.tables.votes import largest_claims

METRICS = {**MEASURES, "train_hours": ("runs", "train_seconds")}
ACCURACIES = ("certified_accuracy", "empirical_accuracy")
COLUMNS = (
    *("address", "paper", "table", "label", "smoothing_level", "metric", "radius", "printed", "published"),
    *("reproduced", "low", "high", "seeds", "images", "paper_images", "shared_images", "lower_bound"),
    *("difference", "difference_low", "difference_high", "margin", "counted"),
    *("status", "direction", "beyond_margin", "settings", "decides", "decides_count", "evidence"),
)


@dataclass(frozen=True)
class Number:
    """One printed number of the entry `published[index]`."""

    index: int
    entry: Row
    metric: str
    radius: float | None
    printed: str
    unit: float

    @property
    def value(self) -> float:
        return float(self.printed)

    @property
    def labels(self) -> list[str]:
        return labels_of(self.entry)

    @property
    def certificate(self) -> str | None:
        certified = self.metric in ("acr", "certified_accuracy")
        return str(self.entry["certificate"]) if certified else None


def beside(study: Study, rows: dict[str, list[Row]]) -> list[Row]:
    """One row of COLUMNS per published number.

    Raises UserError where a run has several smoothing noises and the study does not say which is meant, or
    names one that the run does not have.
    """
    numbers = list(numbers_of(study))
    measured = [_measured_runs(study, number, rows) for number in numbers]
    best = _best_of_rows(numbers, measured)
    out = []
    for number, found in zip(numbers, measured, strict=True):
        entry = number.entry
        label = best.get((entry["paper"], entry["row"]))
        chosen = found.get(label) if label else max(found.values(), key=lambda m: m.side.value, default=None)
        evidence = None if chosen is None else places(rows, METRICS[number.metric][0], chosen.rows)
        out.append(_row(study, number, chosen) | {"evidence": evidence})
    return out


def numbers_of(study: Study) -> Iterator[Number]:
    """Every number under `published`, with its printed text. YAML reads 0.30 as 0.3, but all numbers of a
    list have as many digits as its longest one.
    """
    for i, entry in enumerate(study.published):
        for metric in ("epsilon", "acr", "train_hours"):
            if entry[metric] is not None:
                digits = _digits([entry[metric]])
                yield Number(i, entry, metric, None, _text(entry[metric], digits), _unit(digits))
        for metric in ACCURACIES:
            digits = _digits(entry[metric])
            for radius, value in zip(entry["radii"] if entry[metric] else (), entry[metric], strict=True):
                yield Number(i, entry, metric, float(radius), _text(value, digits), _unit(digits))


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else format(Decimal(repr(value)), "f")


def _text(value: float | str, digits: int) -> str:
    """The number with its digits; a 0 may be printed without."""
    return _plain(value) if isinstance(value, str) or value == 0 else f"{Decimal(repr(value)):.{digits}f}"


def _digits(values: list[float | str]) -> int:
    """Digits behind the point of the longest number."""
    return max((len(_plain(v).partition(".")[2]) for v in values), default=0)


def _unit(digits: int) -> float:
    """Half a unit of the last digit."""
    return 0.5 * 10.0**-digits


def _best_of_rows(
    numbers: list[Number], measured: list[dict[str, Measured]]
) -> dict[tuple[str, str], str | None]:
    """For each printed row, the run that is best over all of its numbers, among runs that have them all. A
    training time does not count, since more of it is not better.
    """
    values: dict[tuple[str, str], list[dict[str, float]]] = {}
    for number, found in zip(numbers, measured, strict=True):
        if (row := number.entry["row"]) and number.metric != "train_hours":
            kept = values.setdefault((number.entry["paper"], row), [])
            kept.append({label: m.side.value for label, m in found.items()})
    best: dict[tuple[str, str], str | None] = {}
    for row, told in values.items():
        common = [label for label in told[0] if all(label in each for each in told)]
        best[row] = max(common, key=lambda label: sum(each[label] for each in told), default=None)
    return best


def _measured_runs(study: Study, number: Number, rows: dict[str, list[Row]]) -> dict[str, Measured]:
    """The measured number of each of the entry's runs."""
    entry = number.entry
    found = {label: _rows_of(rows, number, label, entry["smoothing"]) for label in number.labels}
    if entry["smoothing"] is not None and not any(found.values()):
        others = [r for label in number.labels for r in _rows_of(rows, number, label, None)]
        if others:  # the numbers exist, under other noises than the one named
            names = ", ".join(sorted({str(row.get("smoothing")) for row in others}))
            told = f"no run of it is smoothed with {entry['smoothing']!r}; there is: {names}"
            study.fail(("published", number.index, "smoothing"), told)
    if any(len({row.get("smoothing") for row in each}) > 1 for each in found.values()):
        told = f"{entry['run']} is smoothed with several noises; name one: smoothing"
        study.fail(("published", number.index), told)
    confidence = float(study.agreement["confidence"])
    return {label: m for label, each in found.items() if (m := _mean(each, number, confidence))}


def _rows_of(rows: dict[str, list[Row]], number: Number, label: str, smoothing: str | None) -> list[Row]:
    """The rows of one run, one per seed: in the metric's table, under what the entry names."""
    named: Row = {"label": label}
    if number.certificate:
        named["certificate"] = number.certificate
    if number.metric == "empirical_accuracy":
        named["attack"] = number.entry["attack"]
    if number.radius is not None:
        named["radius"] = number.radius
    if smoothing is not None and number.metric not in ("epsilon", "train_hours"):
        named["smoothing"] = smoothing
    return rows_of(rows, METRICS[number.metric][0], named)


def _mean(found: list[Row], number: Number, confidence: float) -> Measured | None:
    column = METRICS[number.metric][1]
    if number.metric == "epsilon":
        column = f"epsilon_{number.entry['cost']}"
    return mean_of(found, column, 1 / 3600 if number.metric == "train_hours" else 1.0, confidence)


def _row(study: Study, number: Number, found: Measured | None) -> Row:
    entry, labels = number.entry, number.labels
    told = stated(study, entry["paper"], entry["settings"])
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"address": address_of(study.name, entry, number.metric, number.radius)}
    row |= {"paper": entry["paper"], "table": entry["table"], "label": labels[0], "metric": number.metric}
    row |= {"radius": number.radius, "printed": number.printed, "published": number.value}
    if len(labels) > 1:
        which = f": {found.label}" if found else f" ({labels[0]}, …)"
        row["label"] = f"best of {len(labels)}{which}"
    runs = {run.label: run for run in study.all_runs}
    printed = _printed(study, number, told, runs.get(found.label if found else labels[0]))
    if number.metric != "train_hours":
        row |= {"paper_images": printed.images, "margin": printed.margin}
    if found:
        row |= {"reproduced": found.side.value, "seeds": len(found.values), "images": found.images}
        row |= {"smoothing_level": found.row.get("smoothing_level", found.row.get("noise_level"))}
        row |= {"lower_bound": found.lower_bound, "shared_images": printed.shared}
        if number.metric != "train_hours":
            row |= {"low": found.shown(found.side.low), "high": found.shown(found.side.high)}
    if _zero_by_construction(study, number, told, found):
        return row | {"status": "zero by construction"}
    if found is None:
        return row | {"status": "not run"}
    other = differences(study, found.label, told, number.certificate)
    if number.metric == "train_hours":
        other = [*other, "another machine"]
    if other:
        row["difference"] = found.side.value - number.value
        return row | {"status": "other settings", "settings": "; ".join(other)}
    return row | judge(printed, found, study.agreement["confidence"])


def _printed(study: Study, number: Number, told: Row, run: Run | None) -> PrintedNumber:
    """The printed number with its images, and whether they are those that the run was observed on."""
    sizes = data_facts(study.data)["x-sizes"]
    margin = study.agreement["accuracy"]
    if number.metric not in ACCURACIES:
        margin = study.agreement.get(number.metric, 1.0) * number.value
    images, shared, known = told.get("images"), False, False
    if "test" in told and number.metric not in ("epsilon", "train_hours"):
        theirs = Subset(**told["test"]).positions(sizes["test"])
        ours = _observed_on(study, number, run)
        known, images = True, len(theirs)
        shared = ours is not None and Subset(**ours).positions(sizes["test"]) == theirs
    if number.metric == "epsilon":
        images = None
    accuracy = number.metric in ACCURACIES
    return PrintedNumber(number.value, number.unit, images, shared, margin, accuracy, known)


def _observed_on(study: Study, number: Number, run: Run | None) -> Row | None:
    """The test images behind the run's number; None for a log, which does not say."""
    if run is None or number.metric != "empirical_accuracy":
        return study.test if run else None
    for attack in run.sections["attacks"]:
        if label_of(attack) == number.entry["attack"]:
            images: Row = attack.get("images", {"max": 1000})
            return images
    return None


def _zero_by_construction(study: Study, number: Number, told: Row, found: Measured | None) -> bool:
    """Whether 0 is printed at a radius that neither side's votes can certify."""
    if number.metric != "certified_accuracy" or number.value > 0 or number.radius is None:
        return False
    for label in number.labels:
        most = largest_claims(study, label, number.entry["certificate"], told)
        if most is None:
            return False
        ours = found.row.get("largest_radius") if found and found.label == label else None
        known = ours is not None and not math.isnan(ours)
        if number.radius <= max(most[0] if not known else float(ours or 0), most[1]):
            return False
    return True


_OF = tuple(dict.fromkeys(table for table, _ in METRICS.values()))


def rows(stored: Stored, *sources: Sequence[Row]) -> list[Row]:
    return beside(stored.plan.study, {name: list(source) for name, source in zip(_OF, sources, strict=True)})


TABLE = Table("published", COLUMNS, rows, of=_OF)
