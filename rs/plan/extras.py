"""Jobs that need packages beyond the project's dependencies: the extras `openvino`, `attacks`. No torch.

A job that lacks a package is refused before its network is loaded. A plan only warns, because the nodes of a
cluster may have packages that the planning machine lacks. It does not warn of jobs whose files exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rs.errors import UserError
from rs.plan.jobs import Job

if TYPE_CHECKING:
    from rs.plan.plan import Plan

NAMED = 3  # runs named in one line
TOOLBOX = "adversarial-robustness-toolbox"


class Setting(NamedTuple):
    """A setting of a run that needs an extra: its place in the study, its value, the extra, and an
    alternative that needs none.
    """

    place: tuple[str, ...]
    value: str
    extra: str
    other: str

    @property
    def install(self) -> str:
        return f"pip install -e '.[{self.extra}]'"


def needed_by(job: Job) -> dict[Setting, tuple[str, ...]]:
    """The packages that a job needs, by the setting that needs them."""
    if not job.declared.device:
        return {}
    needs = {}
    if "precision" in job.spec:
        from rs.settings.sampling import by_openvino  # loads pydantic, which other jobs do without

        if by_openvino(job.spec):
            quantizes = job.stage == "form" and job.spec["precision"] == "int8"
            needs[_sampling(job.spec["precision"])] = (*["nncf"] * quantizes, "openvino")
    if "attack" in job.spec:
        from rs.study.schema import schema  # as above

        name = job.spec.get("source", job.spec)["attack"]["name"]  # the source makes a transferred example
        # an attack that is unknown here, as of a plug-in, is refused by the job itself
        if extra := schema()["$defs"]["attacks"].get(name, {}).get("x-extra"):
            needs[Setting(("attacks",), name, extra, "take another attack")] = (TOOLBOX,)
    return needs


def _is_there(package: str) -> bool:
    if package != TOOLBOX:
        return find_spec(package) is not None
    module = find_spec("art")  # another package has this name too, and importing this one takes seconds
    places = module.submodule_search_locations if module is not None else None
    return any(Path(place, "estimators").is_dir() for place in places or ())


def lacking(job: Job, is_there: Callable[[str], bool] = _is_there) -> dict[Setting, list[str]]:
    """The packages that a job needs and that are not installed here."""
    lacks = {
        setting: [p for p in packages if not is_there(p)] for setting, packages in needed_by(job).items()
    }
    return {setting: packages for setting, packages in lacks.items() if packages}


def check(job: Job) -> None:
    """Raises UserError for a job that lacks a package."""
    for setting, packages in lacking(job).items():
        place = setting.place[-1]
        other = f"{'.'.join(setting.place)}: {setting.other}" if setting.place[1:] else setting.other
        problem = f"{setting.value} {_needs(packages)}; {setting.install}, or {other}"
        raise UserError(f"{job.target}: {place}: {problem}")


def sentences(plan: Plan, jobs: Iterable[Job] | None = None) -> Iterator[str]:
    """A line for each place of the study whose jobs need packages that are not installed here: of `jobs`, by
    default those that are missing.
    """
    is_there = cache(_is_there)  # many jobs need the same package
    if not any(lacking(job, is_there) for job in plan.all_jobs()):
        return
    from rs.plan.price import missing  # a job needs only `check`, and starts without a plan

    todo = missing(plan) if jobs is None else jobs
    lacks = [(job, names) for job in todo if (names := lacking(job, is_there))]
    lines: dict[tuple[str, str], dict[str, None]] = {}  # the runs of each line, by the line's start and end
    for planned in plan.runs:
        run, jobs_of_run = planned.run, {job.target for job in plan.of_run(planned.id)}
        own: dict[Setting, set[str]] = {}
        for job, names in lacks:
            for setting, packages in names.items() if job.target in jobs_of_run else ():
                own.setdefault(setting, set()).update(packages)
        for setting, absent in own.items():
            problem = f"{setting.value} {_needs(sorted(absent))}"
            start = plan.study.located((*run.place, *setting.place), problem)
            lines.setdefault((start, f"{setting.install}, or {setting.other}"), {})[run.label] = None
    for (start, end), runs in lines.items():
        labels = ", ".join([*list(runs)[:NAMED], *["..."] * (len(runs) > NAMED)])
        yield f"{start}; where jobs of {labels} run: {end}"


def _sampling(precision: str) -> Setting:
    """The setting of `sampling` that asks for OpenVINO."""
    key, value, other = (
        ("precision", "int8", "bfloat16") if precision == "int8" else ("engine", "openvino", "torch")
    )
    return Setting(("sampling", key), value, "openvino", other)


def _needs(packages: list[str]) -> str:
    return f"needs {' and '.join(packages)}, not installed here"
