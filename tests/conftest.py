"""A tiny study on the digits, and a workspace in which its data, models, draws and tables exist once per session."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rs import stages
from rs.interfaces import UserError
from rs.jobs import Job
from rs.plan import Plan
from rs.study import Study

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


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny() -> dict[str, Any]:
    return copy.deepcopy(TINY)


def write_study(path: Path, study: dict[str, Any] | str) -> Path:
    path.write_text(study if isinstance(study, str) else yaml.safe_dump(study, sort_keys=False))
    return path


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[..., Plan]:
    """The plan of one or more study files, given as dictionaries or text."""

    def make(*studies: dict[str, Any] | str) -> Plan:
        files = [write_study(tmp_path / f"study{i}.yaml", study) for i, study in enumerate(studies)]
        return Plan(Study(files))

    return make


@pytest.fixture
def refusal(plan_of: Callable[..., Plan]) -> Callable[..., str]:
    """The message with which a study is refused: one line."""

    def refused(*studies: dict[str, Any] | str) -> str:
        with pytest.raises(UserError) as caught:
            plan_of(*studies)
        message = str(caught.value)
        assert "\n" not in message
        return message

    return refused


@dataclass
class Workspace:
    """A folder with `study.yaml` in which jobs are run as the workflow runs them."""

    folder: Path
    plan: Plan

    def run(self, job: Job, **changes: Any) -> None:
        with contextlib.chdir(self.folder):
            stages.execute(job.stage, {**stages.as_dict(job), **changes})

    def job(self, stage: str, run: str = "gaussian", index: int = 0) -> Job:
        ids = {p.run.label: p.id for p in self.plan.runs}
        return [j for j in self.plan.jobs[stage].values() if j.run in ("", ids[run])][index]

    def path(self, relative: Path) -> Path:
        return self.folder / relative


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Every stage of the tiny study but the tables has run. Nothing in it may be changed."""
    folder = tmp_path_factory.mktemp("tiny")
    file = write_study(folder / "study.yaml", TINY)
    made = Workspace(folder, Plan(Study([file])))
    for stage in ("data", "train", "calibrate", "sample", "certify", "attack"):
        for job in made.plan.jobs[stage].values():
            made.run(job)
    return made
