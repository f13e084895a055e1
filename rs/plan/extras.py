"""What jobs need beyond the project's own dependencies: the extra `openvino`. No torch.

A job without it is refused before its network is loaded. A plan warns: a cluster's nodes may have what the
machine that plans lacks. What is there already needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rs.errors import UserError
from rs.plan.jobs import Job

if TYPE_CHECKING:
    from rs.plan.plan import Plan

INSTALL = "pip install -e '.[openvino]'"
NAMED = 3  # runs in a line


def lacking(job: Job) -> list[str]:
    """The packages that a job needs and that are not installed here."""
    if not (job.declared.device and "precision" in job.spec):
        return []
    from rs.settings.sampling import by_openvino  # pydantic, which other jobs start without

    if not by_openvino(job.spec):
        return []
    quantizes = job.stage == "form" and job.spec["precision"] == "int8"
    return [name for name in (*["nncf"] * quantizes, "openvino") if find_spec(name) is None]


def check(job: Job) -> None:
    """Raises UserError for a job that lacks a package."""
    if lacks := lacking(job):
        key, value, other = _asked(job.spec["precision"])
        told = f"{_needs(lacks)}; {INSTALL}, or sampling.{key}: {other}"
        raise UserError(f"{job.target}: {key}: {value} {told}")


def told(plan: Plan) -> Iterator[str]:
    """A line for each place of the study that asks for what its missing jobs lack here."""
    if not any(map(lacking, plan.all_jobs())):
        return
    from rs.plan.price import missing  # a job asks for `check` alone, and starts without a plan
    from rs.settings.sampling import by_openvino

    lacks = {job.target: names for job in missing(plan) if (names := lacking(job))}
    lines: dict[tuple[str, str], dict[str, None]] = {}  # runs by the line's ends
    for planned in plan.runs:
        run, sampling = planned.run, planned.run.sections["sampling"]
        own = (names for target, names in lacks.items() if target.is_relative_to(planned.folder))
        packages = sorted({name for names in own for name in names})
        if packages and by_openvino(sampling):
            key, value, other = _asked(sampling["precision"])
            start = plan.study.located((*run.place, "sampling", key), f"{value} {_needs(packages)}")
            lines.setdefault((start, other), {})[run.label] = None
    for (start, other), runs in lines.items():
        labels = ", ".join([*list(runs)[:NAMED], *["..."] * (len(runs) > NAMED)])
        yield f"{start}; where jobs of {labels} run: {INSTALL}, or {other}"


def _asked(precision: str) -> tuple[str, str, str]:
    """What of `sampling` asks for OpenVINO, its value, and one that does not."""
    return ("precision", "int8", "bfloat16") if precision == "int8" else ("engine", "openvino", "torch")


def _needs(packages: list[str]) -> str:
    return f"needs {' and '.join(packages)}, not installed here"
