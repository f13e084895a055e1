"""Results of a study and of others, for the tests of `rs clean`."""

from __future__ import annotations

import copy
from pathlib import Path

from tiny_study import TINY

from rs.plan.plan import Plan
from rs.study.study import Study


def made_by(*files: str) -> Path:
    """A run's manifest of a study, as if it had been trained."""
    path = Plan(Study([Path(file) for file in files])).runs[0].folder / "model.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x" * 1500)
    return path


def other(epochs: int) -> dict:
    return {**copy.deepcopy(TINY), "name": f"other{epochs}", "training": {"epochs": epochs, "device": "cpu"}}
