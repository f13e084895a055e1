"""The saved view of the runs' page: label, noise level, average certified radius and accuracies, best first.

MLflow keeps shared views as tags of an experiment; the address names one by its key. Means over seeds stand
for their seeds, which are one step away. Runs that the study no longer names are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from rs.report.tracking.notes import TRAINING
from rs.report.tracking.records import LEVEL, Record

KEY = "study"
TAG = f"mlflow.sharedViewState.{KEY}"
MOST = 16  # columns of numbers
FILTER = "tags.`rs.in_study` = 'true' AND tags.`rs.headline` = 'true'"


def fragment(experiment: str) -> str:
    """The part of the UI's address that opens the view."""
    return f"#/experiments/{experiment}/runs?{TRAINING}&viewStateShareKey={KEY}"


def saved_view(records: Iterable[Record]) -> str:
    """The tag's value: filter, order and columns."""
    shown = [record for record in records if not record.parent]
    keys = dict.fromkeys(key for record in shown for key in record.headlines)
    averages = [key for key in keys if key.startswith("acr")]
    accuracies = [key for key in keys if key.startswith(("certified_accuracy", "empirical_accuracy"))]
    chosen = [*averages, *accuracies][:MOST]
    noise = [f"params.`{LEVEL}`"] if any(LEVEL in record.params for record in shown) else []
    columns = [*noise, *(f"metrics.`{key}`" for key in chosen)]
    state = {
        "searchFilter": FILTER,
        "orderByKey": f"metrics.`{chosen[0]}`" if chosen else "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {c: max(100, 50 + 6 * len(c.split("`")[1])) for c in columns},  # pixels
    }
    return json.dumps(state)
