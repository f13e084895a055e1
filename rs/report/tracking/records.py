"""The content of MLflow for a study: a record per run, log, and group of seeds. Does not import MLflow."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from rs.provenance.digests import canonical, dumps
from rs.provenance.prepared import read_manifest
from rs.provenance.run_files import read_model_manifest
from rs.report.tracking import numbers
from rs.report.tracking.networks import Network, network_of
from rs.report.tracking.numbers import Numbers, Table, grouped, metric_key
from rs.report.tracking.sources import Sources
from rs.tables.reading import read, rows_of
from rs.tables.table import Row

LEVEL = "noise.level"  # sigma, where the noise has one
GROUPS = ("model.", "objective.", "noise.", "training.", "train.", "resolved.")
NAMED = {"dataset": "data.name", "model": "model.name", "objective": "objective.name"}
NAMED |= {"noise": "noise.name", "noise_level": LEVEL}
PLAIN = ("label", "seed", "epochs", "precision", "device")
CERTIFIED = ("alpha", "n", "images", "stopping", "precision", "source_n")
ATTACKED = ("norm", "steps", "samples", "judge", "images", "access")
LONGEST_DIGEST = 36  # characters of a digest in MLflow
CONTEXT = {"train": "training", "test": "testing"}


@dataclass(frozen=True)
class Input:
    """A split of a run's data set: `digest` of its file, `profile` (images, shape, classes) as JSON."""

    name: str
    digest: str
    source: str
    context: str
    profile: str


@dataclass
class Record:
    """The content of one MLflow run. What is fixed once written enters `digest`; the rest can be changed.

    `kind`: `run` (trained or imported), `log` (somebody else's), `seeds` (the means over a label's seeds). A
    metric is (key, value, step, seconds after the start). `parent` is the record that it is nested in.
    `certified`, `averages` and `attacked` are its rows in the tables, for its description.
    """

    key: str
    name: str
    kind: str
    seconds: float = 0.0
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int, float]] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    network: Network | None = None
    artifacts: dict[Path, str] = field(default_factory=dict)
    parent: str = ""
    headlines: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)  # the provenance of its weights
    certified: list[Row] = field(default_factory=list)
    averages: list[Row] = field(default_factory=list)
    attacked: list[Row] = field(default_factory=list)

    def take(self, part: Numbers | None) -> None:
        if part is None:
            return
        self.headlines |= part.headlines
        plain = sorted(part.headlines.items(), key=lambda item: item[0].startswith("interval/"))
        self.metrics += [(key, value, 0, self.seconds) for key, value in plain]
        end = self.seconds
        self.metrics += [(key, v, step, after if after < end else end) for key, v, step, after in part.curves]

    def param(self, key: str, value: Any) -> None:
        if not _is_known(value):
            return
        whole = isinstance(value, float) and value.is_integer()
        self.params[metric_key(key)] = str(int(value) if whole else value)[:6000]

    @property
    def digest(self) -> str:
        """As `rs.provenance.digests.digest` makes it of these five, but faster with many metrics."""
        network = self.network.identity if self.network else ""
        parts = [dumps(self.kind), dumps(self.params), _dumps(self.metrics)]
        parts += [dumps([vars(i) for i in self.inputs]), dumps(network)]
        return hashlib.sha256(f"[{','.join(parts)}]".encode()).hexdigest()[:16]


def _dumps(metrics: list[tuple[str, float, int, float]]) -> str:
    """`rs.provenance.digests.dumps` of metrics."""
    rows = [(k, canonical(v), step, canonical(after)) for k, v, step, after in metrics]
    return json.dumps(rows, separators=(",", ":"), allow_nan=False)


def records(tables: Path, sources: Sources) -> list[Record]:
    """Every run of the study in the order of its tables, then logs, then groups of seeds."""
    certified, empirical = (
        Table(read(tables, "certified_accuracy")),
        Table(read(tables, "empirical_accuracy")),
    )
    average = Table(read(tables, "average_certified_radius"))
    measured = (
        numbers.certified(certified, average, read(tables, "radius_accuracy")),
        numbers.empirical(empirical),
        numbers.training(read(tables, "training")),
    )
    runs = [_trained(row) for row in rows_of(read(tables, "runs"))]
    _name(runs)
    known = {record.key for record in runs}
    runs += [_log(rows[0]) for run, rows in certified.of.items() if run not in known]
    data_sets = functools.cache(read_manifest)  # most runs have one
    for record in runs:
        for part in measured:
            record.take(part.get(record.key))
        record.certified, record.averages = certified.of.get(record.key, []), average.of.get(record.key, [])
        record.attacked = empirical.of.get(record.key, [])
        _settings(record, record.certified, "certificate", CERTIFIED)
        _settings(record, record.attacked, "attack", ATTACKED)
        files = sources.runs.get(record.key)
        if files and files.model.is_file():
            manifest = read_model_manifest(files.model)
            data = data_sets(files.data) if files.data.is_file() else None
            record.network, record.provenance = network_of(files, manifest, data), manifest["provenance"]
            record.artifacts = {files.model: ""}
            record.inputs = _inputs_of(files.data, data) if data else []
    return [*runs, *_groups(runs)]


def _trained(row: dict[str, Any]) -> Record:
    run, seconds = str(row["run"]), row.get("train_seconds")
    seconds = float(seconds) if seconds is not None and pd.notna(seconds) else 0.0
    record = Record(run, str(row.get("label", run)), "run", seconds)
    for column, value in row.items():
        if column.startswith(GROUPS) or column in NAMED or column in PLAIN:
            record.param(NAMED.get(column, column), value)
    for column in ("train_seconds", "train_accuracy"):
        if isinstance(row.get(column), float) and math.isfinite(row[column]):
            record.metrics.append((column, row[column], 0, record.seconds))
    return record


def _log(row: dict[str, Any]) -> Record:
    """Somebody else's certification log: it has only radii, the study states the rest."""
    record = Record(str(row["run"]), str(row["label"]), "log")
    record.param("label", row["label"])
    record.param("noise.name", row.get("smoothing_name"))
    record.param(LEVEL, row.get("smoothing_level"))
    return record


def _name(runs: Sequence[Record]) -> None:
    """Adds the seed to the names of runs with the same label, and nests them in the record of their means."""
    labels = Counter(record.name for record in runs)
    for record in runs:
        label = record.name
        if labels[label] > 1:
            record.parent = f"seeds of {label}"
            record.name = f"{label} seed {record.params.get('seed', '?')}"


def _settings(record: Record, mine: list[Row], kind: str, columns: Sequence[str]) -> None:
    """The settings of certificates and attacks with one value, as `certificate.cohen.alpha`."""
    record.param("smoothing", _only(mine, "smoothing"))
    for name, part in grouped(mine, lambda row: row[kind]).items():
        moved = [row for row in part if row["radius"] > 0] or part  # at 0 an attack takes no step
        for column in columns:
            record.param(f"{kind}.{name}.{column}", _only(moved if column == "steps" else part, column))


def _only(part: list[Row], column: str) -> Any:
    """The value of all rows that have one; None where there are several, or none."""
    values = {value for value in {row.get(column) for row in part} if _is_known(value)}
    return values.pop() if len(values) == 1 else None


def _groups(runs: Sequence[Record]) -> list[Record]:
    """Means, and standard deviations under ``over_seeds/``, of the numbers that all seeds of a label have."""
    groups: dict[str, list[Record]] = {}
    for record in runs:
        if record.parent:
            groups.setdefault(record.parent, []).append(record)
    means = []
    for key, members in groups.items():
        label = members[0].params["label"]
        group = Record(key, f"{label}, mean of {len(members)} seeds", "seeds")
        alike = members[0].params.items()
        group.params = {k: v for k, v in alike if all(m.params.get(k) == v for m in members)}
        for name in members[0].headlines:
            values = [m.headlines[name] for m in members if name in m.headlines]
            if len(values) == len(members) and not name.startswith("interval/"):
                group.headlines[name] = statistics.fmean(values)
                group.headlines[f"over_seeds/{name}_std"] = statistics.stdev(values)
        group.metrics = [(k, v, 0, 0.0) for k, v in group.headlines.items()]
        means.append(group)
    return means


def _is_known(value: Any) -> bool:
    return value is not None and not pd.isna(value)


def _inputs_of(path: Path, manifest: dict[str, Any]) -> list[Input]:
    """The inputs that a data set's `manifest`, in the file `path`, lists."""
    facts = {"shape": manifest["shape"], "classes": manifest["classes"]}
    return [
        Input(
            f"{manifest['name']} {split}",
            entry["sha256"][:LONGEST_DIGEST],
            json.dumps({"path": str(path.with_name(entry["file"])), "sha256": entry["sha256"]}),
            CONTEXT.get(split, split),
            json.dumps({"images": entry["images"], **facts}),
        )
        for split, entry in manifest["splits"].items()
    ]
