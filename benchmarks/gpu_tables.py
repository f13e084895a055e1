"""What benchmarks/gpu.py compares, and the Markdown tables of what it measured. No torch."""

from __future__ import annotations

import json
from typing import Any

BATCHES = {"lenet": 10_000, "resnet20": 2_048, "resnet110": 2_048, "resnet50": 256}
EAGER = ("plain", "float32 eager", "bfloat16 eager", "bfloat16 forward")
FORMS = (*EAGER, "bfloat16 compiled", "float32 compiled")
TRAINED: list[tuple[str, dict[str, Any], int]] = [
    ("lenet", {"name": "gaussian"}, 64),
    ("lenet", {"name": "gaussian"}, 256),
    ("lenet", {"name": "macer", "k": 16, "lambda": 16.0}, 64),
    ("lenet", {"name": "macer", "k": 16, "lambda": 16.0}, 256),
    ("lenet", {"name": "smoothadv", "epsilon": 1.0, "steps": 10}, 256),
    ("nal_cnn", {"name": "nal", "gamma": 1.5, "steps": 4, "samples": 4}, 128),
    ("stn_mnist", {"name": "stability"}, 64),
    ("resnet20", {"name": "gaussian"}, 256),
    ("resnet110", {"name": "gaussian"}, 256),
]
STEPS = ("written", "recorded", "float32 recorded")
FLOAT32 = [(model, {"name": "gaussian"}, 256) for model in ("lenet", "resnet20")]  # recorded in it too


def tables(rows: list[dict[str, Any]]) -> None:
    """Prints the rows as Markdown tables."""
    own = next((row for row in rows if "card" in row), {})
    for key, value in own.items():
        print(f"{key}: {value if isinstance(value, str) else f'{value:.4g}'}")
    votes = {(row["model"], row["what"]): row for row in rows if row.get("objective", 0) is None}
    print("\n| votes/s | " + " | ".join(BATCHES) + " |\n|---|" + "---|" * len(BATCHES))
    for form in FORMS:
        print(f"| {form} | " + " | ".join(rate(votes.get((model, form))) for model in BATCHES) + " |")
    steps = {
        (row["model"], json.dumps(row["objective"]), row["batch"], row["what"]): row
        for row in rows
        if row.get("objective")
    }
    print("\n| training, ms a step | written | recorded | images/s | in float32 |\n|---|---|---|---|---|")
    for model, objective, batch in TRAINED:
        key = (model, json.dumps(objective), batch)
        measured = [steps.get((*key, how)) for how in STEPS]
        ms = [f"{1e3 * r['seconds']:.2f}" if r and "seconds" in r else "" for r in measured]
        cells = [f"{model}, {objective['name']}, {batch}", *ms[:2], rate(measured[1]), ms[2]]
        print(f"| {' | '.join(cells)} |")
    for row in rows:
        if "why" in row:
            print(f"left out: {row['model']} {row['what']} {row['objective'] or ''}: {row['why']}")


def rate(row: dict[str, Any] | None) -> str:
    return f"{row['size'] / row['seconds']:,.0f}" if row and "seconds" in row else ""
