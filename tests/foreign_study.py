"""A study of what others made: their module, their weights in three forms, and a log."""

import sys
from pathlib import Path

import pytest
import torch
import yaml
from tiny_study import execute
from torch import nn

from rs.errors import UserError
from rs.plan.plan import Plan
from rs.study.study import Study

MODULE = """
from torch import nn
def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
def wide():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 11))
number = 3
def nothing():
    return 5
"""
STUDY = {
    "name": "others",
    "data": {"name": "digits"},
    "test": {"max": 4},
    "noise": {"name": "gaussian", "sigma": 0.25},
    "sampling": {"n0": 16, "n": 32, "block": 32, "batch": 32, "images_per_shard": 4, "device": "cpu"},
    "certificates": [{"name": "cohen"}],
}
OWN = {"weights": "plain.pt", "entry": "their_module:network"}
LOG = {"file": "log.tsv", "noise": {"name": "gaussian", "sigma": 0.5}, "alpha": 0.001, "n": 1000}
LINES = ["idx\tlabel\tpredict\tradius\tcorrect\ttime", "0\t1\t1\t0.75\t1\t1.0", "1\t2\t1\t0.5\t0\t1.0"]
LINES += ["2\t3\t-1\t0.0\t0\t1.0", "3\t3\t3\t0.25\t1\t1.0"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with somebody's module, their weights in three forms, and a log."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "their_module", raising=False)
    Path("their_module.py").write_text(MODULE)
    torch.manual_seed(0)
    state = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).state_dict()
    torch.save(state, "plain.pt")
    torch.save({"arch": "mlp", "state_dict": {f"1.{k}": v for k, v in state.items()}}, "cohen.pth")
    torch.save({"arch": "mlp", "state_dict": {f"1.module.{k}": v for k, v in state.items()}}, "parallel.pth")
    Path("log.tsv").write_text("\n".join(LINES) + "\n")
    return state


def plan_of(**more) -> Plan:
    Path("study.yaml").write_text(yaml.safe_dump({**STUDY, **more}))
    return Plan(Study([Path("study.yaml")]))


def refused(**more) -> str:
    with pytest.raises(UserError) as caught:
        execute(plan_of(**more), "data", "import")
    assert "\n" not in str(caught.value)
    return str(caught.value)
