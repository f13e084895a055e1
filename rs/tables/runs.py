"""The table `runs`: one row per run, with every hyperparameter and the facts of its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rs.errors import plural
from rs.plan.jobs import PlannedRun
from rs.plan.sharing import NOT_IDENTITY
from rs.provenance.run_files import read_model_manifest
from rs.settings.images import Subset
from rs.settings.training import trained_positions
from rs.study.schema import data_facts, defaults, method_schema
from rs.tables.noise import NOISE, trained_with
from rs.tables.stored import Stored, head
from rs.tables.table import Row, Table

_KINDS = {"model": "models", "objective": "objectives", "noise": "noises"}


def rows(stored: Stored) -> Iterator[Row]:
    for planned in stored.plan.runs:
        row = _trained(planned) if planned.run.trained else _untrained(planned)
        unchecked = stored.unchecked[planned.id]
        content = f"{plural(len(unchecked), 'file')} not checked" if unchecked else None
        yield {**head(planned), **row, "network": planned.network, "content": content}


def _trained(planned: PlannedRun) -> Row:
    provenance = read_model_manifest(planned.manifest)["provenance"]
    spec = planned.spec
    row = {
        "dataset": spec["data"]["name"],
        "model": spec["model"]["name"],
        "objective": spec["objective"]["name"],
        **trained_with(spec["noise"]),
        "seed": spec["seed"],
        "epochs": provenance["epochs"],
        "train_seconds": provenance["train_seconds"],
        "device": provenance["device"],
        "precision": provenance["precision"],
    }
    row |= {f"resolved.{key}": value for key, value in provenance["resolved"].items()}
    for section, kind in _KINDS.items():
        method = defaults(method_schema(kind, spec[section]["name"]), spec[section])
        row |= {f"{section}.{key}": value for key, value in _flat(method).items() if key != "name"}
    training = {k: v for k, v in planned.run.sections["training"].items() if k not in NOT_IDENTITY}
    row |= {f"training.{key}": value for key, value in _flat(training).items()}
    return row | {f"train.{key}": value for key, value in _subset(planned).items()}


def _subset(planned: PlannedRun) -> Row:
    """The subset to train on as the study states it, and the number of images that are trained on; nothing
    for the whole split.
    """
    spec = planned.spec
    if "train" not in spec:
        return {}
    size = data_facts(spec["data"])["x-sizes"]["train"]
    positions = trained_positions(Subset(**spec["train"]), planned.run.sections["training"], size)
    return {**spec["train"], "images": len(positions)}


def _untrained(planned: PlannedRun) -> Row:
    """The row of a model that is not trained here: an imported one, whose `noise` the user states, or one
    that joins the networks of other runs, named by their ids.
    """
    spec, noise = planned.spec, planned.run.sections["noise"]
    imported = planned.run.kind == "imported"
    row = {"dataset": spec["data"]["name"], "model": spec["model"]["name"]}
    row |= {"objective": "imported" if imported else "joined"}
    row |= {**trained_with(noise), "seed": planned.run.seed}
    model = spec["model"]["imported"] if imported else _joined(spec["model"])
    return row | {f"model.{key}": value for key, value in _flat(model).items()}


def _joined(model: dict[str, Any]) -> Row:
    """Its parameters, with ids in place of networks."""
    facts = method_schema("models", model["name"])
    parameters: Row = {k: v for k, v in defaults(facts, model).items() if k != "name" and v is not None}
    for key in facts["x-networks"]:
        part = model[key]
        parameters[key] = ", ".join(one["run"] for one in part) if isinstance(part, list) else part["run"]
    return parameters


def _flat(value: dict[str, Any], prefix: str = "") -> Row:
    """Nested hyperparameters as dotted columns; lists as text."""
    flat: Row = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(item) if isinstance(item, list) else item
    return flat


TABLE = Table(
    "runs",
    (
        *("run", "label", "dataset", "model", "objective", *NOISE, "seed", "epochs", "train_seconds"),
        *("device", "precision", "network", "content"),
    ),
    rows,
)
