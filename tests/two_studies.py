"""Two studies of one paper's number and claim, for what counts over all studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from rs.provenance.files import write_table
from rs.study.study import Study
from rs.tables.aggregate import TABLES
from rs.tables.claims import judged
from rs.tables.published import beside

ENTRY = {"paper": "P", "table": "T", "run": "gaussian", "radii": [0.25], "certified_accuracy": [0.9]}
PAIR = {
    "better": "nal",
    "than": "gaussian",
    "metric": "certified_accuracy",
    "radii": [0.25],
    "about": "networks",
}
CLAIM = {"id": "helps", "paper": "P", "place": "section 1", "claim": "It helps.", "conditions": [PAIR]}


def rows(**shares: float) -> dict[str, Any]:
    row = {"certificate": "cohen", "smoothing": "gaussian", "radius": 0.25, "images": 500}
    found = [
        {
            **row,
            "run": f"{label}{i}",
            "label": label,
            "certified_accuracy": v,
            "low": v - 0.01,
            "high": v + 0.01,
        }
        for label, v in shares.items()
        for i in range(3)  # seeds
    ]
    return {"certified_accuracy": found}


def make_two_studies(tiny: dict[str, Any]) -> None:
    """In the working directory: `one`, whose tables are there, and `two`."""
    Path("Snakefile").touch()
    Path("config").mkdir()
    for name in ("one", "two"):
        more = {"name": name, "published": [ENTRY], "claims": [CLAIM], "papers": {"P": {"images": 500}}}
        Path(f"config/{name}.yaml").write_text(yaml.safe_dump({**tiny, **more}))
    study, measured = Study([Path("config/one.yaml")]), rows(gaussian=0.7, nal=0.9)
    tables = {**measured, "published": beside(study, measured), "claims": judged(study, measured)}
    for name, table in TABLES.items():
        found = tables.get(name, [])
        columns = dict.fromkeys([*table.columns, *(key for row in found for key in row)])
        data = {column: [row.get(column) for row in found] for column in columns}
        provenance = {"spec": {"study": "one", "table": name}, "files": ["config/one.yaml"]}
        write_table(Path("results/one/tables") / f"{name}.parquet", pa.table(data), provenance)
