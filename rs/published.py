"""Published numbers beside reproduced ones, with a verdict. A study states them under `published`.

The verdict says whether the published number, given the digits it is printed with, lies in the reproduction's
95 % interval. That covers the choice of test images only, neither the paper's images nor its training seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rs.interfaces import UserError
from rs.study import Study

Row = dict[str, Any]
# half a unit of the last digit that the papers print
PRINTED = {"certified_accuracy": 0.005, "acr": 0.0005, "epsilon": 0.005}


def beside(study: Study, rows: dict[str, list[Row]]) -> list[Row]:
    """One row per published number: what was measured in its place (nothing where the run is not active)."""
    out = []
    known = [*dict.fromkeys(run.label for run in study.all_runs), *study.logs]
    for i, entry in enumerate(study.published):
        if entry["run"] not in known:
            study.fail(
                ("published", i, "run"), f"no run is labelled {entry['run']!r}; runs: {', '.join(known)}"
            )
        radii, accuracies = entry["radii"], entry["certified_accuracy"]
        if len(radii) != len(accuracies):
            study.fail(("published", i), f"{len(radii)} radii for {len(accuracies)} certified accuracies")
        head = {"paper": entry["paper"], "table": entry["table"], "label": entry["run"]}
        if entry["epsilon"] is not None:
            out.append(_epsilon({**head, "published": float(entry["epsilon"])}, rows["calibration"]))
        for metric, radius, value in _numbers(entry):
            table = "average_certified_radius" if metric == "acr" else "certified_accuracy"
            found = [r for r in rows[table] if _same(r, entry, radius)]
            if (
                metric == "certified_accuracy"
                and not found
                and any(_same(r, entry, None) for r in rows[table])
            ):
                raise UserError(
                    f"{study.files[0]}: published[{i}]: radius {radius} is not among report.radii"
                )
            if len({r["smoothing"] for r in found}) > 1:
                raise UserError(
                    f"{study.files[0]}: published[{i}]: {entry['run']} is smoothed with several noises; "
                    "publish beside a run with one"
                )
            column = "acr" if metric == "acr" else "certified_accuracy"
            mean = {
                k: sum(r[k] for r in found) / len(found) if found else None for k in (column, "low", "high")
            }
            out.append(
                {
                    **head,
                    "smoothing_sigma": found[0]["smoothing_sigma"] if found else None,
                    "metric": metric,
                    "radius": radius,
                    "published": value,
                    "reproduced": mean[column],
                    "low": mean["low"],
                    "high": mean["high"],
                    "verdict": verdict(value, mean[column], mean["low"], mean["high"], PRINTED[metric]),
                }
            )
    return out


def _epsilon(head: Row, calibrations: list[Row]) -> Row:
    """Beside the run's calibrated epsilon, without the noise in the distance; its interval is over images."""
    found = [r for r in calibrations if r["label"] == head["label"]]
    mean, low, high = None, None, None
    if found:
        mean = sum(r["epsilon_without_noise"] for r in found) / len(found)
        half = 1.96 * sum(r["epsilon_without_noise_se"] for r in found) / len(found)
        low, high = mean - half, mean + half
    told = verdict(head["published"], mean, low, high, PRINTED["epsilon"])
    sigma = found[0]["sigma"] if found else None
    row = {**head, "smoothing_sigma": sigma, "metric": "epsilon", "radius": None}
    return row | {"reproduced": mean, "low": low, "high": high, "verdict": told}


def _numbers(entry: Row) -> Iterator[tuple[str, float | None, float]]:
    if entry["acr"] is not None:
        yield "acr", None, float(entry["acr"])
    for radius, value in zip(entry["radii"], entry["certified_accuracy"], strict=True):
        yield "certified_accuracy", float(radius), float(value)


def _same(row: Row, entry: Row, radius: float | None) -> bool:
    return (
        row["label"] == entry["run"]
        and row["certificate"] == entry["certificate"]
        and (radius is None or row["radius"] == radius)
    )


def verdict(
    published: float, value: float | None, low: float | None, high: float | None, printed: float
) -> str:
    """`within interval`, `outside: +0.021` (reproduced minus published), or `not run`."""
    if value is None or low is None or high is None:
        return "not run"
    slack = printed + 1e-9
    return (
        "within interval"
        if low - slack <= published <= high + slack
        else f"outside: {value - published:+.3f}"
    )
