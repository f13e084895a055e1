"""Published numbers of a study: their addresses, and the check of the names in them. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from rs.settings.labels import attack_label, label_of
from rs.study.calibration_refusals import check_reading
from rs.study.paper_settings import Instrument, check_settings
from rs.study.study import Run, Study

Place = tuple[Any, ...]


def address_of(study: str, entry: dict[str, Any], metric: str, radius: float | None) -> str:
    """The address of a number in the project: `macer-table1/macer-table-1-macer-0.25/macer-sigma=0.25/acr`,
    with the radius after an @.
    """
    runs = labels_of(entry)
    network = runs[0] if len(runs) == 1 else f"best of {len(runs)} {runs[0]}"
    methods = {"acr": "certificate", "certified_accuracy": "certificate", "empirical_accuracy": "attack"}
    of = entry["cost"] if metric == "epsilon" else entry[methods[metric]] if metric in methods else None
    words = [metric, *([of] if of not in ("cohen", "without_noise", None) else [])]
    words += [entry["smoothing"]] if entry["smoothing"] else []
    at = "" if radius is None else f"@{radius:g}"
    return f"{study}/{_word(entry['paper'], entry['table'])}/{_word(network)}/{_word(*words)}{at}"


def labels_of(entry: dict[str, Any]) -> list[str]:
    """The labels of an entry's run, or of the runs whose best it is."""
    return [entry["run"]] if isinstance(entry["run"], str) else list(entry["run"])


def _word(*words: str) -> str:
    return re.sub(r"[^a-z0-9_.=]+", "-", " ".join(words).lower()).strip("-")


def _addresses(study: Study, entry: dict[str, Any]) -> Iterator[str]:
    for metric in ("acr", "epsilon", "train_hours"):
        if entry[metric] is not None:
            yield address_of(study.name, entry, metric, None)
    for metric in ("certified_accuracy", "empirical_accuracy"):
        if entry[metric]:
            yield from (address_of(study.name, entry, metric, radius) for radius in entry["radii"])


def check_published(study: Study) -> None:
    """Raises UserError unless published numbers name runs, certificates and attacks of the study, and radii
    that it reports.
    """
    runs = {run.label: run for run in study.all_runs}
    known = [*runs, *study.logs]
    seen: dict[str, int] = {}
    shared: dict[tuple[str, str], set[str]] = {}  # the runs that all numbers of a row name
    for i, entry in enumerate(study.published):
        place: Place = ("published", i)
        labels = labels_of(entry)
        for label in labels:
            if label not in known:
                study.fail((*place, "run"), f"no run is labelled {label!r}; runs: {', '.join(known)}")
        if entry["row"]:
            common = shared.setdefault((entry["paper"], entry["row"]), set(labels))
            common.intersection_update(labels)
            if not common:
                study.fail((*place, "row"), f"{entry['row']!r}: no run is named by all of its numbers")
        for metric in ("certified_accuracy", "empirical_accuracy"):
            if entry[metric] and len(entry[metric]) != len(entry["radii"]):
                problem = f"{len(entry['radii'])} radii for {len(entry[metric])} values"
                study.fail((*place, metric), problem)
        for radius in entry["radii"] if entry["certified_accuracy"] else ():
            if radius not in study.report["radii"]:
                study.fail((*place, "radii"), f"radius {radius:g} is not among report.radii")
        if entry["empirical_accuracy"] and entry["attack"] is None:
            study.fail((*place, "attack"), "name the attack of the empirical accuracies")
        known_runs = [runs[label] for label in labels if label in runs]
        for run in known_runs if entry["epsilon"] is not None else ():
            if run.sections["calibration"] is not None:
                check_reading(study, place, run, entry["cost"])
        attack = entry["attack"] if entry["empirical_accuracy"] else None
        by = Instrument(_certified(entry), attack, entry["epsilon"] is not None)
        check_settings(study, place, labels, entry, by)
        for number in _addresses(study, entry):
            if (other := seen.setdefault(number, i)) != i:
                study.fail(place, f"prints what published[{other}] prints: {number}")
        for kind, name in (("attacks", entry["attack"]), ("certificates", _certified(entry))):
            if name is not None:
                _check_offered(study, place, known_runs, kind, name)


def _check_offered(study: Study, place: Place, runs: Sequence[Run], kind: str, name: str) -> None:
    """Raises UserError unless all runs have the certificate. Of several, one with the attack is enough, as
    the best of them can be known without the others (rs.tables.best_of).
    """
    offered = {run.label: [label_of(kind, m) for m in run.sections[kind]] for run in runs}
    lacking = [label for label, names in offered.items() if name not in names]
    if lacking and (kind == "certificates" or len(lacking) == len(runs)):
        others = ", ".join(offered[lacking[0]]) or "none"
        study.fail(
            (*place, kind[:-1]), f"{lacking[0]} has no {kind[:-1]} labelled {name!r}; it has: {others}"
        )
    if kind == "attacks" and study.published[place[1]]["empirical_accuracy"]:
        for run in (run for run in runs if run.label not in lacking):
            _check_attacked(study, place, run, run.sections[kind][offered[run.label].index(name)])


def _check_attacked(study: Study, place: Place, run: Run, attack: dict[str, Any]) -> None:
    """Raises UserError unless the attack has the radii of the published empirical accuracies."""
    radii = sorted({0, *attack["radii"]})  # 0 is always added
    for radius in study.published[place[1]]["radii"]:
        if radius not in radii:
            problem = f"radius {radius:g} is not among those of {run.label}'s attack {attack_label(attack)}"
            study.fail((*place, "radii"), f"{problem}; allowed: {', '.join(f'{r:g}' for r in radii)}")


def _certified(entry: dict[str, Any]) -> str | None:
    """The certificate that an entry's numbers need; None where they need none."""
    certified = entry["certified_accuracy"] or entry["acr"] is not None
    return str(entry["certificate"]) if certified else None
