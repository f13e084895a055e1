"""Jobs that need packages beyond the project's dependencies: the extras `openvino`, `attacks`. No torch.

A job that lacks a package is refused before its network is loaded. A plan only warns, because the nodes of a
cluster may have packages that the planning machine lacks. It does not warn of jobs whose files exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rs.errors import UserError
from rs.plan.jobs import Job

if TYPE_CHECKING:
    from rs.plan.plan import Plan

NAMED = 3  # runs named in one line
TOOLBOX = "adversarial-robustness-toolbox"


class Asked(NamedTuple):
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


def asked_by(job: Job) -> dict[Asked, tuple[str, ...]]:
    """The packages that a job needs, by the setting that needs them."""
    if not job.declared.device:
        return {}
    found = {}
    if "precision" in job.spec:
        from rs.settings.sampling import by_openvino  # loads pydantic, which other jobs do without

        if by_openvino(job.spec):
            quantizes = job.stage == "form" and job.spec["precision"] == "int8"
            found[_sampling(job.spec["precision"])] = (*["nncf"] * quantizes, "openvino")
    if "attack" in job.spec:
        from rs.study.schema import schema  # as above

        name = job.spec.get("source", job.spec)["attack"]["name"]  # the source makes a transferred example
        # an attack that is unknown here, as of a plug-in, is refused by the job itself
        if extra := schema()["$defs"]["attacks"].get(name, {}).get("x-extra"):
            found[Asked(("attacks",), name, extra, "take another attack")] = (TOOLBOX,)
    return found


def _is_there(package: str) -> bool:
    if package != TOOLBOX:
        return find_spec(package) is not None
    found = find_spec("art")  # another package has this name too, and importing this one takes seconds
    places = found.submodule_search_locations if found is not None else None
    return any(Path(place, "estimators").is_dir() for place in places or ())


def lacking(job: Job, is_there: Callable[[str], bool] = _is_there) -> dict[Asked, list[str]]:
    """The packages that a job needs and that are not installed here."""
    lacks = {asked: [p for p in packages if not is_there(p)] for asked, packages in asked_by(job).items()}
    return {asked: packages for asked, packages in lacks.items() if packages}


def check(job: Job) -> None:
    """Raises UserError for a job that lacks a package."""
    for asked, packages in lacking(job).items():
        place = asked.place[-1]
        other = f"{'.'.join(asked.place)}: {asked.other}" if asked.place[1:] else asked.other
        told = f"{asked.value} {_needs(packages)}; {asked.install}, or {other}"
        raise UserError(f"{job.target}: {place}: {told}")


def told(plan: Plan, jobs: Iterable[Job] | None = None) -> Iterator[str]:
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
        run = planned.run
        own: dict[Asked, set[str]] = {}
        for job, names in lacks:
            for asked, packages in names.items():
                if job.target.is_relative_to(planned.folder) and _asks(run.sections, asked):
                    own.setdefault(asked, set()).update(packages)
        for asked, found in own.items():
            told = f"{asked.value} {_needs(sorted(found))}"
            start = plan.study.located((*run.place, *asked.place), told)
            lines.setdefault((start, f"{asked.install}, or {asked.other}"), {})[run.label] = None
    for (start, end), runs in lines.items():
        labels = ", ".join([*list(runs)[:NAMED], *["..."] * (len(runs) > NAMED)])
        yield f"{start}; where jobs of {labels} run: {end}"


def _asks(sections: dict[str, Any], asked: Asked) -> bool:
    """Whether this run has the setting. Runs that vote or attack in different ways may share a network and
    its folder.
    """
    if asked.place == ("attacks",):
        from rs.study.schema import is_transfer

        return any(asked.value == attack["name"] or is_transfer(attack) for attack in sections["attacks"])
    from rs.settings.sampling import by_openvino

    sampling = sections["sampling"]
    return by_openvino(sampling) and _sampling(sampling["precision"]) == asked


def _sampling(precision: str) -> Asked:
    """The setting of `sampling` that asks for OpenVINO."""
    key, value, other = (
        ("precision", "int8", "bfloat16") if precision == "int8" else ("engine", "openvino", "torch")
    )
    return Asked(("sampling", key), value, "openvino", other)


def _needs(packages: list[str]) -> str:
    return f"needs {' and '.join(packages)}, not installed here"
