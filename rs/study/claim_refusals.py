"""Refuses a study's claims: names that the study does not have, and conditions that come out the same
whatever is measured: a side beside itself, bounds that no value of the metric can exceed, or that none can
meet. No torch.

The tests and pages by which theory decides a claim (`proven`, `impossible`) are looked for in the folders
above the study's files, in the working directory, and in the checkout that `rs` is imported from. What is in
none of them is refused where one of them is a checkout of this project. Elsewhere, as with an installed
package alone, there are no tests to look for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from rs.settings.labels import label_of, norm_text
from rs.study.claims import (
    ATTACKED,
    BESIDE,
    BOUNDED,
    CERTIFIED,
    KINDS,
    METRICS,
    THEORY,
    UNSMOOTHED,
    Place,
    Row,
    kind_of,
    sides_of,
    table_of,
)
from rs.study.schema import method_schema
from rs.study.study import Run, Study

CHECKOUT = Path(__file__).resolve().parents[2]
_PARTS = ("Snakefile", "rs/__init__.py", "tests")  # what a checkout of this project has
_TEST = re.compile(r"^(?:async )?def (test_\w+)|^class (Test\w+)", re.MULTILINE)
SHARES = "accuracy"  # what columns end with that lie in [0, 1]
NOT_NEGATIVE = ("acr", "epsilon", "rho", "loss", "train_seconds")  # what columns begin with


def check_claims(study: Study, tables: Sequence[str]) -> None:
    """Raises UserError at a claim that names what the study does not have, has too few or many keys, rests
    on a test or page that is not there, or would have the same verdict whatever is measured.
    """
    seen: set[str] = set()
    for i, claim in enumerate(study.claims):
        if claim["id"] in seen:
            study.fail(("claims", i, "id"), f"{claim['id']!r} is a claim above; each id once")
        seen.add(claim["id"])
        for j, condition in enumerate(claim["conditions"]):
            _check(study, ("claims", i, "conditions", j), condition, tables)


def _check(study: Study, place: Place, condition: Row, tables: Sequence[str]) -> None:
    kinds = [kind for kind in KINDS if condition[kind] is not None]
    if len(kinds) != 1:
        study.fail(place, f"one of {', '.join(KINDS)} is asked for; has: {', '.join(kinds) or 'none'}")
    kind = kinds[0]
    if kind in THEORY:
        _check_reference(study, (*place, kind), condition[kind])
        return
    for key, needed in (("than", kind in BESIDE), ("small", kind == "crosses"), ("large", kind == "crosses")):
        if needed != (condition[key] is not None):
            study.fail((*place, key), f"{'lacks' if needed else 'is no part of'} {kind}")
    if (kind in BOUNDED) != (condition["at_least"] is not None or condition["at_most"] is not None):
        problem = "lacks at_least or at_most" if kind in BOUNDED else "at_least and at_most are no part of"
        study.fail((*place, kind), problem if kind in BOUNDED else f"{problem} {kind}")
    if kind == "crosses" and not condition["small"] < condition["large"]:
        study.fail((*place, "large"), f"{condition['large']:g}: must be above small, {condition['small']:g}")
    metric = condition["metric"]
    if metric not in METRICS and (metric.partition(".")[0] not in tables or not table_of(metric)[1]):
        names = f"{', '.join(METRICS)}, or TABLE.COLUMN of the tables {', '.join(tables)}"
        study.fail((*place, "metric"), f"{metric!r} is no metric; allowed: {names}")
    radii = [condition["small"], condition["large"]] if kind == "crosses" else condition["radii"]
    if metric in ("certified_accuracy", ATTACKED) and not radii:
        study.fail((*place, "radii"), f"lacks the radii of {metric}")
    if metric not in ("certified_accuracy", ATTACKED) and radii:
        study.fail((*place, "radii"), f"{metric} is at no radius")
    for side in sides_of(condition):
        for run in _runs(study, place, kind, side):
            _check_run(study, place, condition, radii, side, run)
    if metric == "acr" or (metric == "certified_accuracy" and any(radii)):  # radius 0 is in no norm
        _check_norms(study, place, kind, sides_of(condition))
    _check_open(study, place, condition)


def _runs(study: Study, place: Place, kind: str, side: Row) -> Iterator[Run]:
    """The side's run, once for all its seeds; none for a log."""
    runs = {run.label: run for run in study.all_runs}
    if side["run"] not in (*runs, *study.logs):
        names = ", ".join((*runs, *study.logs))
        study.fail((*place, kind), f"no run is labelled {side['run']!r}; runs: {names[:300]}")
    yield from (run for label, run in runs.items() if label == side["run"])


def _check_run(
    study: Study, place: Place, condition: Row, radii: Sequence[float], side: Row, run: Run
) -> None:
    metric = condition["metric"]
    for needed, key, kind in (
        (metric in CERTIFIED, "certificate", "certificates"),
        (metric == ATTACKED, "attack", "attacks"),
    ):
        offered = {label_of(kind, method): method for method in run.sections[kind]}
        if needed and side[key] not in offered:
            problem = (
                f"{run.label} has no {key} labelled {side[key]!r}; it has: {', '.join(offered) or 'none'}"
            )
            study.fail((*place, key), problem)
        if metric == ATTACKED and kind == "attacks":
            source = f"{run.label}'s attack {side[key]}"
            _among(study, place, condition, radii, sorted({0, *offered[side[key]]["radii"]}), source)
    if metric == "certified_accuracy":
        _among(study, place, condition, radii, study.report["radii"], "report.radii")
    if metric in ("epsilon", "rho") and run.sections["calibration"] is None:
        study.fail((*place, "metric"), f"{run.label} has no calibration")


def _check_norms(study: Study, place: Place, kind: str, sides: Sequence[Row]) -> None:
    """Radii of all sides are in one norm."""
    norms = {norm: str(side["run"]) for side in reversed(sides) for norm in _norms(study, side)}
    if len(norms) > 1:
        radii = " and ".join(f"{run} has {norm_text(norm)} radii" for norm, run in reversed(norms.items()))
        allowed = "certificates of one norm, or certified_accuracy at radius 0"
        study.fail((*place, kind), f"{radii}; allowed: {allowed}")


def _norms(study: Study, side: Row) -> Iterator[float]:
    """Norms of the radii that the side's certificate gives, one for each noise that the side may mean."""
    if side["run"] in study.logs:
        entry = study.logs[side["run"]]
        yield float(method_schema("certificates", entry["certificate"])["x-norms"][entry["noise"]["name"]])
        return
    run = next(run for run in study.all_runs if run.label == side["run"])
    named = {label_of("certificates", c): c["name"] for c in run.sections["certificates"]}
    norms = method_schema("certificates", named[side["certificate"]])["x-norms"]
    family = side["smoothing"] and side["smoothing"].partition(" ")[0]  # of `gaussian sigma=0.5`
    for _, noise in run.noises:
        if noise["name"] in norms and family in (None, noise["name"]):
            yield float(norms[noise["name"]])


def _among(
    study: Study, place: Place, condition: Row, radii: Sequence[float], allowed: Sequence[float], source: str
) -> None:
    """Refuses a radius that `source` does not measure, at the key that names it."""
    for radius in radii:
        if radius not in allowed:
            key = next((k for k in ("small", "large") if condition[k] == radius), "radii")
            names = ", ".join(f"{r:g}" for r in allowed)
            study.fail((*place, key), f"radius {radius:g} is not among those of {source}; allowed: {names}")


# --- conditions whose outcome is not open ---


def _check_open(study: Study, place: Place, condition: Row) -> None:
    """Raises UserError at a condition whose outcome is not open."""
    kind = kind_of(condition)
    for one, other in combinations(sides_of(condition), 2):
        if _same(str(condition["metric"]), one, other):
            allowed = "sides that differ in run, smoothing, where, or what the metric is measured with"
            study.fail((*place, kind), f"{one['run']} is compared with itself; allowed: {allowed}")
    if kind in BOUNDED:
        _check_bounds(study, place, condition, *_range(kind, table_of(condition["metric"])[1]))


def _same(metric: str, one: Row, other: Row) -> bool:
    """Whether both sides are the same numbers. A side without `smoothing` has the run's only one."""
    keys = ["run", "where"]
    keys += ["certificate"] if metric in CERTIFIED else ["attack"] if metric == ATTACKED else []
    noises = {one["smoothing"], other["smoothing"]} - {None}
    return all(one[key] == other[key] for key in keys) and (metric in UNSMOOTHED or len(noises) < 2)


def _range(kind: str, column: str) -> tuple[float, float]:
    """The range of a value, difference or ratio of numbers of the column."""
    share = column.endswith(SHARES)
    least = 0.0 if share or column.startswith(NOT_NEGATIVE) else -math.inf
    most = 1.0 if share else math.inf
    if kind == "difference":
        return least - most, most - least
    return (least, most) if kind == "value" else (least, math.inf)


def _check_bounds(study: Study, place: Place, condition: Row, least: float, most: float) -> None:
    at_least, at_most = condition["at_least"], condition["at_most"]
    if None not in (at_least, at_most) and at_least > at_most:
        study.fail((*place, "at_least"), f"{at_least:g}: must be at most at_most, {at_most:g}")
    for key, words, decides in (
        ("at_least", ("above", "at most"), at_least is None or least < at_least <= most),
        ("at_most", ("at least", "below"), at_most is None or least <= at_most < most),
    ):
        if not decides:
            every = _between("at least", least, "at most", most)
            what = f"every {kind_of(condition)} of {condition['metric']} is {every}"
            allowed = _between(words[0], least, words[1], most)
            study.fail((*place, key), f"{condition[key]:g} decides nothing, since {what}; allowed: {allowed}")


def _between(above: str, least: float, below: str, most: float) -> str:
    ends = [(above, least), (below, most)]
    return " and ".join(f"{word} {end:g}" for word, end in ends if math.isfinite(end))


# --- theory ---


def _check_reference(study: Study, place: Place, reference: str) -> None:
    """Raises UserError where the page or test (`tests/FILE.py::TEST`) does not exist."""
    path, _, test = reference.partition("::")
    folders = list(dict.fromkeys(_folders(study)))
    files = [folder / path for folder in folders if (folder / path).is_file()]
    checkout = next((one for one in folders if all((one / part).exists() for part in _PARTS)), None)
    if not files and checkout is not None:
        allowed = "a test (tests/FILE.py, tests/FILE.py::TEST) or page (docs/FILE.md) of it"
        study.fail(place, f"{path} is not in {checkout}; allowed: {allowed}")
    if files and test and all(test not in _tests(file) for file in files):
        names = ", ".join(_tests(files[0])) or "none"
        study.fail(place, f"{path} has no test {test}; its tests: {names[:300]}")


def _folders(study: Study) -> Iterator[Path]:
    for file in study.files:
        yield from file.resolve().parents
    yield from (Path.cwd(), CHECKOUT)


def _tests(file: Path) -> list[str]:
    """The tests of a file, in its order."""
    text = file.read_text(encoding="utf-8", errors="replace")
    return [function or group for function, group in _TEST.findall(text)]
