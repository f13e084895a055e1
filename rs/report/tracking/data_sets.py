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


def inputs_of(path: Path, manifest: dict[str, Any]) -> list[Input]:
    """The inputs that a data set's `manifest`, in the file `path`, lists."""
    facts = {"shape": manifest["shape"], "classes": manifest["classes"]}
    return [
        Input(
            f"{manifest['name']} {split}",
            entry["sha256"][:LONGEST],
            json.dumps({"path": str(path.with_name(entry["file"])), "sha256": entry["sha256"]}),
            CONTEXT.get(split, split),
            json.dumps({"images": entry["images"], **facts}),
        )
        for split, entry in manifest["splits"].items()
    ]
