"""A working directory with a study of one imported network of the tests."""

from __future__ import annotations

import sys

import pytest
import torch
import yaml
from foreign_networks import made

from rs.plan.plan import Plan
from rs.study.study import Study


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Writes the weights of a network, and plans the study that imports it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def study(build, **more):
        network = made(build)
        torch.save(network.state_dict(), "theirs.pt")
        theirs = {"weights": "theirs.pt", "entry": f"{build.__module__}:{build.__name__}", **more}
        text = {
            "name": "theirs",
            "data": {"name": "digits"},
            "test": {"max": 4},
            "noise": {"name": "gaussian", "sigma": 0.25},
            "sampling": {"n0": 16, "n": 64, "block": 32, "batch": 32, "images_per_shard": 2, "device": "cpu"},
            "certificates": [{"name": "cohen"}],
            "attacks": [{"name": "pgd_l2", "radii": [0.5], "steps": 2, "samples": 2, "checks": 0}],
            "imported": {"theirs": theirs},
        }
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(text))
        return Plan(Study([tmp_path / "study.yaml"]))

    return study
