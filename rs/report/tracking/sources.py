"""What MLflow is told of a study beside its tables: which files belong to it and to each of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rs.plan.plan import Plan


@dataclass(frozen=True)
class RunFiles:
    """Where a run's network and its data set's manifest lie, and what was certified of it."""

    model: Path
    data: Path
    certified: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Sources:
    """`artifacts`: file or folder -> the folder of MLflow's in which it goes ("" is the topmost)."""

    description: str = ""
    artifacts: Mapping[Path, str] = field(default_factory=dict)
    runs: Mapping[str, RunFiles] = field(default_factory=dict)


def sources(plan: Plan) -> Sources:
    """Those of a planned study: page, figures, tables and study files; the files of every run."""
    artifacts = {plan.folder / "report.html": "", plan.folder / "figures": "figures", plan.tables: "tables"}
    artifacts |= dict.fromkeys(plan.study.files, "study")
    runs = {
        p.id: RunFiles(
            p.folder / "model.json",
            Path(p.inputs["data"]),
            tuple(o.certified for o in p.observations if o.certified),
        )
        for p in plan.runs
    }
    return Sources(plan.study.description or "", artifacts, runs)
