"""Studies and queues for tests of `rs slice`."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml
from tiny_study import TINY, with_run, write_study

from rs.plan.jobs import RESULTS

# The tiny study with a run that is trained at the epsilon of nal
TRADES: dict[str, Any] = with_run(
    TINY, "trades", objective={"name": "trades", "epsilon": {"calibrated": "nal"}, "steps": 1, "samples": 1}
)


def queue_of(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "queue.yaml"
    path.write_text(yaml.safe_dump({"queue": list(entries)}))
    return path


def only_gaussian(folder: Path, **training: Any) -> Path:
    """A queue of the tiny study's run `gaussian`, without attacks."""
    study = {**copy.deepcopy(TINY), "active": ["gaussian"], "attacks": []}
    study["training"].update(training)
    write_study(folder / "study.yaml", study)
    return queue_of(folder, {"study": ["study.yaml"]})


def states(folder: Path) -> dict[str, set[str]]:
    rows = json.loads((folder / RESULTS / "slice.json").read_text())["jobs"]
    return {stage: {r["state"] for r in rows if r["stage"] == stage} for stage in {r["stage"] for r in rows}}
