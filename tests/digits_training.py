"""Trainings on the digits that take seconds, and what they leave; as fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_study import TINY, Workspace, write_study

from rs.plan.plan import Plan
from rs.provenance.files import read_table
from rs.stages import train as training
from rs.study.study import Study

CPU = torch.device("cpu")
SPEC: dict[str, Any] = {
    "data": {"name": "digits"},
    "model": {"name": "digits_cnn"},
    "noise": {"name": "gaussian", "sigma": 0.25},
    "objective": {"name": "gaussian"},
    "training": {"epochs": 3, "batch_size": 256, "optimizer": {"learning_rate": 0.05}},
    "seed": 0,
}


def changed(**training_keys: Any) -> dict[str, Any]:
    return {**SPEC, "training": {**SPEC["training"], **training_keys}}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The digits' manifest."""
    folder = tmp_path_factory.mktemp("data")
    work = Workspace(folder, Plan(Study([write_study(folder / "study.yaml", TINY)])))
    work.run(work.job("data"))
    return work.path(work.plan.data_manifest)


@pytest.fixture
def fit(data, tmp_path):
    """Trains into a folder of tmp_path; returns the folder."""

    def make(name: str, spec: dict[str, Any], code: str = "code", calibrations: Any = None):
        outputs = {
            "manifest": tmp_path / name / "model.json",
            "weights": tmp_path / name / "model.safetensors",
            "metrics": tmp_path / name / "training.parquet",
        }
        training.train(spec, data, calibrations or {}, outputs, CPU, code)
        return tmp_path / name

    return make


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b) -> bool:
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def metrics(folder):
    table, _ = read_table(folder / "training.parquet")
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in timed} for row in table.to_pylist()]


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""
