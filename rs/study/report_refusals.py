"""Refuses runs and settings that `comparisons` or the figures of `report` name and the study does not have.
No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rs.study.study import Study, named, some
from rs.study.yaml_file import has


def check_comparisons(study: Study) -> None:
    """Raises UserError for a run that the study does not have, or one that is compared with itself."""
    known = list(dict.fromkeys([*(run.label for run in study.all_runs), *study.logs]))
    for i, entry in enumerate(study.comparisons):
        for key in ("better", "than"):
            if entry[key] not in known:
                problem = f"no run or log is labelled {entry[key]!r}; there is: {', '.join(known)}"
                study.fail(("comparisons", i, key), problem)
        if entry["better"] == entry["than"]:
            study.fail(("comparisons", i, "than"), f"{entry['than']} is compared with itself")


def check_figures(study: Study) -> None:
    """Raises UserError for a run that the study does not have, or a setting that none of its runs has."""
    report = study.report
    labels = [*(run.label for run in study.all_runs), *study.logs]
    for i, group in enumerate(report["groups"]):
        place = ("report", "groups", i)
        for j, name in enumerate(group["runs"]):
            if not any(named(label, [name]) for label in labels):
                problem = f"no run or log is labelled {name!r}; there is: {some(labels)}"
                study.fail((*place, "runs", j), problem)
        for key in ("colour", "style"):
            _check_keys(study, (*place, key), group.get(key) or ())
    for key in ("panels", "colour", "style"):
        _check_keys(study, ("report", key), report[key])


def _check_keys(study: Study, place: tuple[Any, ...], keys: Sequence[str]) -> None:
    for i, key in enumerate(keys):
        section, _, rest = key.partition(".")
        if rest and not any(has(run.sections, (section, *rest.split("."))) for run in study.all_runs):
            study.fail((*place, i), f"{key!r} is a setting of no run of this study")
