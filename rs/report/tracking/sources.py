"""A study's files for MLflow, beside its tables: those of the study and those of each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rs.plan.plan import Plan


@dataclass(frozen=True)
class RunFiles:
    """The paths of a run's network, its data set's manifest, and its certified files."""

    model: Path
    data: Path
    certified: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Sources:
    """`artifacts`: file or folder -> its folder in MLflow ("" is the topmost)."""

    description: str = ""
    artifacts: Mapping[Path, str] = field(default_factory=dict)
    runs: Mapping[str, RunFiles] = field(default_factory=dict)


def sources(plan: Plan) -> Sources:
    """The sources of a planned study: page, figures, tables and study files, and the files of every run."""
    artifacts = {plan.folder / "report.html": "", plan.folder / "figures": "figures", plan.tables: "tables"}
    artifacts |= dict.fromkeys(plan.study.files, "study")
    runs = {
        p.id: RunFiles(
            p.manifest,
            Path(p.inputs["data"]),
            tuple(o.certified for o in p.observations if o.certified),
        )
        for p in plan.runs
    }
    return Sources(plan.study.description or "", artifacts, runs)
