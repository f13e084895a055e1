"""A tiny study on the digits, and a folder in which its jobs are run as the workflow runs them."""

from __future__ import annotations

import contextlib
import copy
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rs.plan.jobs import Job
from rs.plan.plan import Plan
from rs.stages import execution
from rs.study.study import Study

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits"},
    "test": {"max": 6},
    "model": {"name": "digits_cnn"},
    "noise": {"name": "gaussian", "sigma": 0.25},
    "training": {"epochs": 1, "batch_size": 128, "optimizer": {"learning_rate": 0.05}, "device": "cpu"},
    "sampling": {"n0": 16, "n": 64, "block": 32, "images_per_shard": 4, "batch": 32, "device": "cpu"},
    "certificates": [{"name": "cohen", "alpha": 0.001}],
    "attacks": [
        {"name": "pgd_l2", "radii": [0.5], "steps": 2, "samples": 2, "images": {"max": 3}, "judge": {"n": 32}}
    ],
    "runs": {
        "gaussian": {"objective": {"name": "gaussian"}},
        "nal": {
            "objective": {"name": "nal", "gamma": 1.5, "steps": 1, "samples": 1},
            "calibration": {"steps": 3, "samples": 2, "images": {"max": 40}},
        },
    },
    "report": {"radii": [0.0, 0.25, 0.5]},
}


def with_run(study: dict[str, Any], label: str, **more: Any) -> dict[str, Any]:
    """A copy of a study with these keys in one of its runs, or with one run more."""
    found = copy.deepcopy(study)
    found["runs"][label] = {**found["runs"].get(label, {}), **more}
    return found


def write_study(path: Path, study: dict[str, Any] | str) -> Path:
    path.write_text(study if isinstance(study, str) else yaml.safe_dump(study, sort_keys=False))
    return path


def execute(plan: Plan, *stages: str) -> None:
    """All jobs of these stages, one after the other, in the working directory."""
    for stage in stages:
        for job in plan.jobs[stage].values():
            execution.execute(stage, execution.as_dict(job))


@dataclass
class Workspace:
    """A folder with `study.yaml` in which jobs are run as the workflow runs them."""

    folder: Path
    plan: Plan

    def copied_to(self, folder: Path) -> Workspace:
        """The same with a copy of its results, which a test may change."""
        shutil.copytree(self.folder, folder)
        return Workspace(folder, self.plan)

    def run(self, job: Job, **changes: Any) -> None:
        with contextlib.chdir(self.folder):
            execution.execute(job.stage, {**execution.as_dict(job), **changes})

    def job(self, stage: str, run: str = "gaussian", index: int = 0) -> Job:
        ids = {p.run.label: p.id for p in self.plan.runs}
        return [j for j in self.plan.jobs[stage].values() if j.run in ("", ids[run])][index]

    def planned(self, **sampling: Any) -> Plan:
        """The tiny study's plan with other settings of its votes; its file says them too from then on."""
        study = {**TINY, "sampling": TINY["sampling"] | sampling}
        return Plan(Study([write_study(self.folder / "study.yaml", study)]))

    def path(self, relative: Path) -> Path:
        return self.folder / relative
