"""The table `published`: published numbers beside reproduced ones, each with a verdict (rs.tables.verdict). A
study states the numbers under `published`, the papers' settings under `papers`, and margins under
`agreement`.

A label's number is the mean over its seeds. Of several runs the best one counts (rs.tables.best_of). Image
noise is Wilson's for an accuracy, t for an average certified radius, and normal for an epsilon, over its
calibration images. A paper's average and epsilon are assumed to spread over its images as ours do, and an
epsilon to use as many images. A training time has no verdict, as the machines differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rs.settings.images import Subset
from rs.settings.labels import attack_label
from rs.study.paper_settings import differences, stated
from rs.study.published import address_of
from rs.study.schema import data_facts, defaults, method_schema
from rs.study.study import Run, Study
from rs.tables.best_of import best_runs
from rs.tables.largest_claims import largest_claims
from rs.tables.measured import Measured, mean_of, places, rows_of_run
from rs.tables.printed import ACCURACIES, METRICS, Number, numbers_of
from rs.tables.stored import Stored
from rs.tables.table import Row, Table
from rs.tables.verdict import PrintedNumber, judge

COLUMNS = (
    *("address", "paper", "table", "label", "smoothing_level", "metric", "radius", "printed", "published"),
    *("reproduced", "low", "high", "seeds", "images", "paper_images", "shared_images", "lower_bound"),
    *("difference", "difference_low", "difference_high", "margin", "counted"),
    *("status", "direction", "beyond_margin", "settings", "decides", "decides_count", "evidence"),
)


def beside(study: Study, rows: dict[str, list[Row]]) -> list[Row]:
    """One row of COLUMNS per published number.

    Raises UserError where a run has several smoothing noises and the study does not say which is meant, or
    names one that the run does not have.
    """
    numbers = list(numbers_of(study))
    measured = [_measured_runs(study, number, rows) for number in numbers]
    best = best_runs(study, numbers, measured)
    out = []
    for number, by_label, label in zip(numbers, measured, best, strict=True):
        chosen = None if label is None else by_label.get(label)
        evidence = None if chosen is None else places(rows, METRICS[number.metric][0], chosen.rows)
        out.append(_row(study, number, chosen) | {"evidence": evidence})
    return out


def _measured_runs(study: Study, number: Number, rows: dict[str, list[Row]]) -> dict[str, Measured]:
    """The measured number of each of the entry's runs."""
    entry = number.entry
    by_label = {label: _rows_of(rows, number, label, entry["smoothing"]) for label in number.labels}
    if entry["smoothing"] is not None and not any(by_label.values()):
        others = [r for label in number.labels for r in _rows_of(rows, number, label, None)]
        if others:  # the numbers exist, under other noises than the one named
            names = ", ".join(sorted({str(row.get("smoothing")) for row in others}))
            problem = f"no run of it is smoothed with {entry['smoothing']!r}; there is: {names}"
            study.fail(("published", number.index, "smoothing"), problem)
    if any(len({row.get("smoothing") for row in each}) > 1 for each in by_label.values()):
        problem = f"{entry['run']} is smoothed with several noises; name one: smoothing"
        study.fail(("published", number.index), problem)
    confidence = float(study.agreement["confidence"])
    return {label: m for label, each in by_label.items() if (m := _mean(each, number, confidence))}


def _rows_of(rows: dict[str, list[Row]], number: Number, label: str, smoothing: str | None) -> list[Row]:
    under = None if number.metric in ("epsilon", "train_hours") else smoothing
    table, by = METRICS[number.metric][0], number.instrument
    return rows_of_run(rows, table, label, by, number.radius, under)


def _mean(rows: list[Row], number: Number, confidence: float) -> Measured | None:
    column = METRICS[number.metric][1]
    if number.metric == "epsilon":
        column = f"epsilon_{number.entry['cost']}"
    return mean_of(rows, column, 1 / 3600 if number.metric == "train_hours" else 1.0, confidence)


def _row(study: Study, number: Number, measured: Measured | None) -> Row:
    entry, labels = number.entry, number.labels
    settings = stated(study, entry["paper"], entry["settings"])
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"address": address_of(study.name, entry, number.metric, number.radius)}
    row |= {"paper": entry["paper"], "table": entry["table"], "label": labels[0], "metric": number.metric}
    row |= {"radius": number.radius, "printed": number.printed, "published": number.value}
    if len(labels) > 1:
        which = f": {measured.label}" if measured else f" ({labels[0]}, …)"
        row["label"] = f"best of {len(labels)}{which}"
    runs = {run.label: run for run in study.all_runs}
    printed = _printed(study, number, settings, runs.get(measured.label if measured else labels[0]))
    if number.metric != "train_hours":
        row |= {"paper_images": printed.images, "margin": printed.margin}
    if measured:
        row |= {"reproduced": measured.side.value, "seeds": len(measured.values), "images": measured.images}
        row |= {"smoothing_level": measured.row.get("smoothing_level", measured.row.get("noise_level"))}
        row |= {"lower_bound": measured.lower_bound, "shared_images": printed.shared}
        if number.metric != "train_hours":
            row |= {"low": measured.shown(measured.side.low), "high": measured.shown(measured.side.high)}
    if _zero_by_construction(study, number, settings, measured):
        return row | {"status": "zero by construction"}
    if measured is None:
        return row | {"status": "not run"}
    other = differences(study, measured.label, settings, number.instrument)
    if number.metric == "train_hours":
        other = [*other, "another machine"]
    if other:
        row["difference"] = measured.side.value - number.value
        return row | {"status": "other settings", "settings": "; ".join(other)}
    return row | judge(printed, measured, study.agreement["confidence"])


def _printed(study: Study, number: Number, settings: Row, run: Run | None) -> PrintedNumber:
    """The printed number with its images, and whether they are those that the run was observed on."""
    sizes = data_facts(study.data)["x-sizes"]
    margin = study.agreement["accuracy"]
    if number.metric not in ACCURACIES:
        margin = study.agreement.get(number.metric, 1.0) * number.value
    images, shared, known = settings.get("images"), False, False
    if "test" in settings and number.metric not in ("epsilon", "train_hours"):
        theirs = Subset(**settings["test"]).positions(sizes["test"])
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
        if attack_label(attack) == number.entry["attack"]:
            use = defaults(method_schema("attacks", attack["name"]), attack)
            images: Row = use["images"]
            return images
    return None


def _zero_by_construction(study: Study, number: Number, settings: Row, measured: Measured | None) -> bool:
    """Whether 0 is printed at a radius that neither side's votes can certify."""
    if number.metric != "certified_accuracy" or number.value > 0 or number.radius is None:
        return False
    for label in number.labels:
        most = largest_claims(study, label, number.entry["certificate"], settings)
        if most is None:
            return False
        ours = measured.row.get("largest_radius") if measured and measured.label == label else None
        known = ours is not None and not math.isnan(ours)
        if number.radius <= max(most[0] if not known else float(ours or 0), most[1]):
            return False
    return True


_OF = tuple(dict.fromkeys(table for table, _ in METRICS.values()))


def rows(stored: Stored, *sources: Sequence[Row]) -> list[Row]:
    return beside(stored.plan.study, {name: list(source) for name, source in zip(_OF, sources, strict=True)})


TABLE = Table("published", COLUMNS, rows, of=_OF)
