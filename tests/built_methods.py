"""Methods of every kind, built from their names with what they require."""

from __future__ import annotations

from typing import Any

from rs.methods import catalog
from rs.study import schema as study_schema

REQUIRED: dict[str, Any] = {"sigma": 0.5, "scale": 0.3, "width": 0.5, "epsilon": 0.5}
REQUIRED |= {"folder": "own", "shape": [3, 8, 8], "classes": 4, "sizes": {"train": 9, "test": 5}}
REQUIRED |= {"denoiser": "one", "classifier": "another", "members": ["one", "another"]}
REQUIRED |= {"source_run": "another", "attack": "pgd_l2"}
SCHEMA = study_schema.schema()  # with the methods of installed plug-ins, which keep the contract too


def spec(kind: str, name: str, **more: Any) -> dict[str, Any]:
    method = SCHEMA["$defs"][kind][name]
    needed = [k for k in method["x-required"] if k in method["x-parameters"]]
    return {"name": name, **{k: REQUIRED[k] for k in needed}, **more}


def build(kind: str, name: str, **more: Any) -> Any:
    return catalog.build(kind, spec(kind, name, **more))
