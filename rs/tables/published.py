"""Published numbers beside reproduced ones, with a verdict. A study states them under `published`.

The verdict says whether the published number, given the digits it is printed with, lies in the reproduction's
95 % interval. That covers the choice of test images only, neither the paper's images nor its training seed;
of the best of several runs it is the interval of the run that is best here. A training time has no verdict:
the machines differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rs.errors import UserError
from rs.study.study import Study
from rs.tables.stored import Stored
from rs.tables.table import Row, Table

# metric -> its table, its column there, half a unit of the last digit that the papers print
METRICS = {
    "acr": ("average_certified_radius", "acr", 0.0005),
    "certified_accuracy": ("certified_accuracy", "certified_accuracy", 0.005),
    "empirical_accuracy": ("empirical_accuracy", "accuracy", 0.00005),
    "epsilon": ("calibration", "epsilon_without_noise", 0.005),
    "train_hours": ("runs", "train_seconds", 0.0),
}


_OF = tuple(dict.fromkeys(table for table, _, _ in METRICS.values()))


def rows(stored: Stored, *sources: Sequence[Row]) -> list[Row]:
    return beside(stored.plan.study, {name: list(source) for name, source in zip(_OF, sources, strict=True)})


def beside(study: Study, rows: dict[str, list[Row]]) -> list[Row]:
    """One row per published number: what was measured in its place (nothing where no run of its is active).

    Raises UserError where a run has several smoothings and the study does not say which is meant, or names
    one that the run has not.
    """
    out = []
    for i, entry in enumerate(study.published):
        labels = [entry["run"]] if isinstance(entry["run"], str) else entry["run"]
        for metric, radius, value in _numbers(entry):
            found = [_measured(rows, entry, metric, radius, label) for label in labels]
            if entry["smoothing"] is not None and not any(found):
                anyhow = entry | {"smoothing": None}
                others = [r for label in labels for r in _measured(rows, anyhow, metric, radius, label)]
                _refuse_smoothing(study, i, others)
            if any(len({row.get("smoothing") for row in each}) > 1 for each in found):
                name = f"{study.files[0]}: published[{i}]"
                raise UserError(
                    f"{name}: {entry['run']} is smoothed with several noises; name one: smoothing"
                )
            column = f"epsilon_{entry['cost']}" if metric == "epsilon" else METRICS[metric][1]
            means = [m for each in found if (m := _mean(each, metric, column))]
            best = max(means, key=lambda m: m["reproduced"], default={})
            row = {"paper": entry["paper"], "table": entry["table"], "smoothing_level": None, **best}
            row |= {"label": labels[0], "metric": metric, "radius": radius, "published": value}
            if len(labels) > 1:
                which = f": {best['label']}" if best else f" ({labels[0]}, …)"
                row["label"] = f"best of {len(labels)}{which}"
            out.append(row | {"verdict": verdict(value, best, METRICS[metric][2])})
    return out


def _numbers(entry: Row) -> Iterator[tuple[str, float | None, float]]:
    for metric in ("epsilon", "acr", "train_hours"):
        if entry[metric] is not None:
            yield metric, None, float(entry[metric])
    for metric in ("certified_accuracy", "empirical_accuracy"):
        if entry[metric]:
            for radius, value in zip(entry["radii"], entry[metric], strict=True):
                yield metric, float(radius), float(value)


def _measured(
    rows: dict[str, list[Row]], entry: Row, metric: str, radius: float | None, label: str
) -> list[Row]:
    """The rows of one run, one per seed: in the metric's table, under what the entry names."""
    named: Row = {"label": label}
    if metric in ("acr", "certified_accuracy"):
        named["certificate"] = entry["certificate"]
    if metric == "empirical_accuracy":
        named["attack"] = entry["attack"]
    if radius is not None:
        named["radius"] = radius
    if entry["smoothing"] is not None and metric not in ("epsilon", "train_hours"):
        named["smoothing"] = entry["smoothing"]
    return [r for r in rows.get(METRICS[metric][0], ()) if all(r.get(k) == v for k, v in named.items())]


def _refuse_smoothing(study: Study, i: int, others: list[Row]) -> None:
    """The numbers are there, under other noises than the one named."""
    if others:
        names = ", ".join(sorted({str(row.get("smoothing")) for row in others}))
        told = f"no run of it is smoothed with {study.published[i]['smoothing']!r}; there is: {names}"
        study.fail(("published", i, "smoothing"), told)


def _mean(found: list[Row], metric: str, column: str) -> Row | None:
    """Mean over seeds of the value and of its interval's ends; nothing where a seed has no such value."""
    if not found or any(r.get(column) is None for r in found):
        return None

    def mean(name: str) -> float:
        return sum(float(r[name]) for r in found) / len(found)

    row: Row = {"label": found[0]["label"], "reproduced": mean(column)}
    row["smoothing_level"] = found[0].get("smoothing_level", found[0].get("noise_level"))
    row["lower_bound"] = any(r.get("lower_bound") for r in found)
    if metric == "train_hours":
        return row | {"reproduced": row["reproduced"] / 3600, "low": None, "high": None}
    if metric == "epsilon":  # its interval is over the images it was calibrated on
        half = 1.96 * mean(f"{column}_se")
        return row | {"low": row["reproduced"] - half, "high": row["reproduced"] + half}
    return row | {"low": mean("low"), "high": mean("high")}


def verdict(published: float, found: Row, printed: float) -> str:
    """`within interval`, `outside: +0.021` (reproduced minus published), `not run`, or why there is none."""
    if not found:
        return "not run"
    if found["low"] is None:
        return "no verdict: another machine"
    slack = printed + 1e-9
    if found["low"] - slack <= published <= found["high"] + slack:
        return "within interval"
    if found.get("lower_bound") and published > found["high"]:
        return "no verdict: a lower bound"
    return f"outside: {found['reproduced'] - published:+.3f}"


TABLE = Table(
    "published",
    (
        *("paper", "table", "label", "smoothing_level", "metric", "radius", "published", "reproduced"),
        *("low", "high", "lower_bound", "verdict"),
    ),
    rows,
    of=_OF,
)
