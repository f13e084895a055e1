"""The text in MLflow at the top of a study and of each run, in Markdown: its numbers, and how they were made.

Links are relative to the UI's own address, so they hold under any name of the server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rs.errors import plural
from rs.report.html_table import bound, down, interval
from rs.report.names import noise_name, norm_name
from rs.report.tracking.numbers import grouped, yes
from rs.report.tracking.records import Record
from rs.report.tracking.verdicts import Verdicts
from rs.tables.table import Row

PAGE = "report.html"
TRAINING = "workflowType=machine_learning"  # otherwise MLflow opens its pages for language models


@dataclass(frozen=True)
class Ids:
    """Ids in the store; `runs` and `models` by a record's key."""

    experiment: str
    runs: Mapping[str, str]
    models: Mapping[str, str]
    study: str

    def run(self, key: str, tab: str = "") -> str:
        return f"#/experiments/{self.experiment}/runs/{self.runs[key]}{tab}?{TRAINING}"

    def model(self, key: str) -> str:
        return f"#/experiments/{self.experiment}/models/{self.models[key]}?{TRAINING}"

    def page(self) -> str:
        return self.run(self.study, f"/artifacts/{PAGE}")


def of_run(record: Record, ids: Ids, verdicts: Verdicts) -> str:
    """The text of a run, a log, or a group of seeds."""
    parts = [f"[Page of the study]({ids.page()})"]
    if record.parent:
        parts[0] += f" · [mean over seeds]({ids.run(record.parent)})"
    if record.key in ids.models:
        parts[0] += f" · [network]({ids.model(record.key)})"
    if record.kind == "log":
        parts.append("Read from a certification log of somebody else; nothing was run here.")
    if record.kind == "seeds":
        parts.append("Means over seeds; `over_seeds/..._std` is their standard deviation.")
    parts += _certified(record)
    parts += _attacked(record)
    parts += verdicts.published(record.params.get("label", ""))
    if record.provenance:
        parts.append(_provenance(record.provenance))
    if record.network:
        parts += _network(record, ids)
    return "\n\n".join(parts)


def of_study(description: str, records: list[Record], ids: Ids, verdicts: Verdicts) -> str:
    """The text of the study's own run, and of the experiment."""
    parts = [description] if description else []
    parts.append(f"[Page with figures and tables]({ids.page()})")
    parts += verdicts.summary()
    parts += verdicts.claims()
    listed = [f"[{r.name}]({ids.run(r.key)})" for r in records if not r.parent]
    if listed:
        parts.append("Runs: " + " · ".join(listed))
    parts.append(
        "Metrics with a radius in their name have one value each; curves over the radius are under "
        "`curve/`, with the radius times 1,000 or 1,000,000 as the step. An `estimate` is no certificate."
    )
    return "\n\n".join(parts)


def _certified(record: Record) -> list[str]:
    averages = {_claim(row): row for row in record.averages}
    sections = []
    for claim, part in grouped(record.certified, _claim).items():
        head = f"**Certified accuracy**, {_certificate(part[0])}"
        if claim in averages:
            head += f"; ACR **{_value(averages[claim], 'acr')}** ({_interval(averages[claim])})"
        sections.append(f"{head}\n\n{_table(part, 'certified_accuracy')}")
    return sections


def _attacked(record: Record) -> list[str]:
    sections = []
    parts = grouped(record.attacked, lambda row: (row["attack"], row["smoothing"]))
    for (attack, _), part in parts.items():
        head = f"**Accuracy under attack** {attack}, {plural(part[0]['images'], 'image')}"
        sections.append(f"{head}\n\n{_table(part, 'accuracy')}")
    return sections


def _provenance(provenance: Mapping[str, Any]) -> str:
    """A sentence from the provenance of a run's weights."""
    sentence = f"Weights made by `{provenance.get('command', 'rs')}`"
    sentence += f" at commit `{provenance['commit']}`" if provenance.get("commit") else ""
    sentence += f" on {provenance['device']}" if provenance.get("device") else ""
    return sentence + (f" in {provenance['train_seconds']:.0f} s" if provenance.get("train_seconds") else "")


def _network(record: Record, ids: Ids) -> list[str]:
    assert record.network
    voting, shape = record.network.voting, ", ".join(map(str, record.network.shape[:-1]))
    form = ", ".join(f"{key} {value}" for key, value in voting["form"].items())
    head = f"**Network**: votes in the form {form}; noise `{json.dumps(voting['noise'])}`; weights sha256 "
    head += f"`{voting['weights'][:16]}…`. Images are float32 [N, {shape}] in [0, 1]:"
    lines = ["```python", "import mlflow  # where this package is installed"]
    lines += [f'network = mlflow.pyfunc.load_model("models:/{ids.models[record.key]}")']
    lines += ['votes = network.predict(images, params={"votes": 1000})  # [N, classes]', "```"]
    return [head, "\n".join(lines)]


CLAIM = ("certificate", "norm", "smoothing", "alpha", "n")


def _claim(row: Row) -> tuple[Any, ...]:
    return tuple(None if pd.isna(row[column]) else row[column] for column in CLAIM)


def _certificate(row: Row) -> str:
    kind = "" if yes(row["rigorous"]) else " (an estimate, no certificate)"
    noise = noise_name(row["smoothing_name"], row["smoothing_parameters"])
    head = f"{row['certificate']}{kind}, {norm_name(row['norm'])}, {noise}"
    return f"{head}, α = {row['alpha']:g}, n = {row['n']:,}, {plural(row['images'], 'image')}"


def _table(rows: list[Row], column: str) -> str:
    """A column per radius: the value rounded down, and below it its interval rounded outwards."""
    lines = [
        ["radius", *(f"{row['radius']:g}" for row in rows)],
        ["---"] * (len(rows) + 1),
        ["", *(_value(row, column) for row in rows)],
        ["95 %", *(_interval(row) for row in rows)],
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _value(row: Row, column: str) -> str:
    """Rounded down, with ≥ where more votes would have certified more."""
    return bound(row) + down(row[column])


def _interval(row: Row) -> str:
    return interval(row.get("low"), row.get("high"))
