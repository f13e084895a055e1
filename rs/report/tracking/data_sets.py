"""The data set of a run as MLflow inputs: one per split, with the digest of its prepared images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 36  # characters of a digest in MLflow
CONTEXT = {"train": "training", "test": "testing"}


@dataclass(frozen=True)
class Input:
    """A split: `digest` of its file, `profile` (images, shape, classes) as JSON."""

    name: str
    digest: str
    source: str
    context: str
    profile: str


def inputs_of(manifest: Path, told: dict[str, Any]) -> list[Input]:
    """The inputs in a data set's manifest, which says what is `told`."""
    facts = {"shape": told["shape"], "classes": told["classes"]}
    return [
        Input(
            f"{told['name']} {split}",
            entry["sha256"][:LONGEST],
            json.dumps({"path": str(manifest.with_name(entry["file"])), "sha256": entry["sha256"]}),
            CONTEXT.get(split, split),
            json.dumps({"images": entry["images"], **facts}),
        )
        for split, entry in told["splits"].items()
    ]
