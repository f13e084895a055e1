"""A trained network as an MLflow model: weights, manifest, and the form and noise in which it votes.

`mlflow.pyfunc.load_model` loads it through `rs.report.tracking.voting`, which needs this package and torch;
this module does not import torch. The model's folder holds all files, so it can be moved to another machine.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs.provenance.files import read_json, read_provenance
from rs.report.tracking.sources import RunFiles
from rs.settings.sampling import by_openvino

VOTES = 100  # of a prediction, unless it asks for another number
NAME = "network"


@dataclass(frozen=True)
class Network:
    """`voting`: form, noise, seed and digests of the certified network, under the keys of ``voting.json``."""

    model: Path
    data: Path
    shape: tuple[int, ...]
    voting: dict[str, Any]

    @property
    def identity(self) -> Any:
        return [self.voting, self.shape]


def network_of(files: RunFiles, manifest: dict[str, Any], data: dict[str, Any] | None) -> Network | None:
    """The network of a run, from its manifest and that of its data set. None where weights or data set are
    missing, or nothing has voted yet.
    """
    weights = files.model.with_suffix(".safetensors")
    if not data or not weights.is_file() or not files.certified or not files.certified[0].is_file():
        return None
    provenance = read_provenance(files.certified[0])
    if not isinstance(provenance.get("form"), dict):  # a file of a version that did not record it
        return None
    spec = provenance["spec"]
    voting = {"run": files.model.parent.name, "weights": manifest["sha256"], "form": provenance["form"]}
    voting |= {"noise": spec["noise"], "seed": spec["seed"], "block": spec["block"]}
    voting |= {"versions": manifest["provenance"].get("versions", {})}
    if by_openvino(provenance["form"]):
        voting |= {"program": _program(files.model.parent / "forms", provenance["form"]["program"])}
    return Network(files.model, files.data, (*data["shape"], data["classes"]), voting)


def _program(folder: Path, digest: str) -> dict[str, Any] | None:
    """The OpenVINO program of the form with this digest; None where its file is gone."""
    programs = (read_json(path).get("program") for path in sorted(folder.glob("*.json")))
    return next((program for program in programs if program and program["sha256"].startswith(digest)), None)


@contextlib.contextmanager
def model_folder(network: Network, run: str, model: str) -> Iterator[Path]:
    """A folder with an MLmodel file and the network's files; big files are links, which MLflow copies."""
    import numpy as np
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    *shape, classes = network.shape
    votes = TensorSpec(np.dtype("int64"), (-1, classes), "votes")
    parameters = [ParamSpec("votes", "long", VOTES), ParamSpec("seed", "long", network.voting["seed"])]
    parameters.append(ParamSpec("image", "long", 0))
    signature = ModelSignature(
        Schema([TensorSpec(np.dtype("float32"), (-1, *shape))]), Schema([votes]), ParamSchema(parameters)
    )
    folder = Path(tempfile.mkdtemp(prefix="rs-model-"))
    try:
        inside = folder / "data" / network.voting["run"]
        inside.mkdir(parents=True)
        weights = network.model.with_suffix(".safetensors")
        for path in (network.model, weights):
            (inside / path.name).symlink_to(path.absolute())
        (folder / "data" / "manifest.json").symlink_to(network.data.absolute())
        (folder / "data" / "voting.json").write_text(json.dumps(network.voting, indent=1, sort_keys=True))
        written = Model(artifact_path=NAME, run_id=run, model_id=model, signature=signature)
        pyfunc.add_to_model(written, loader_module="rs.report.tracking.voting", data="data", env={})
        written.save(str(folder / "MLmodel"))
        yield folder
    finally:
        shutil.rmtree(folder)
