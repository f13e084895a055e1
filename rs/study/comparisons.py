"""The check of a study's `comparisons`. No torch."""

from __future__ import annotations

from rs.study.study import Study


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
