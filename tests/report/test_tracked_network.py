"""The network of a run, loaded from MLflow: it votes as it did when it was certified."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_study import Workspace
from tracked_study import NOTHING_NEW, everything, of_kind

from rs.provenance.files import read_table
from rs.report.tracking.sources import sources
from rs.report.tracking.store import open_store
from rs.report.tracking.study import log_study
from rs.tables.aggregate import aggregate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def logged(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder}/mlflow.db"
    with contextlib.chdir(workspace.folder):
        aggregate(workspace.plan, folder / "tables", "")
        record = log_study("tiny", folder / "tables", uri, sources(workspace.plan))
        assert log_study("tiny", folder / "tables", uri, sources(workspace.plan)) == record | NOTHING_NEW
    return uri, record


def test_a_loaded_network_casts_the_votes_that_were_certified(
    workspace: Workspace, logged: tuple[str, dict[str, Any]]
) -> None:
    import mlflow

    uri, record = logged
    job = workspace.job("sample", index=1)  # the first block of estimation votes of the first images
    counts = np.array(read_table(workspace.path(job.outputs["draws"]))[0]["counts"].to_pylist())
    assert job.spec["purpose"] == "estimate"
    images = load_file(workspace.folder / "results/data/digits/test.safetensors")["images"][: len(counts)]
    mlflow.set_tracking_uri(uri)
    with open_store(uri) as client:
        run = client.get_run(record["runs"][job.run])
        (output,) = run.outputs.model_outputs
        model = client.get_logged_model(output.model_id)
    network = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    votes = network.predict(_float(images), params={"votes": job.spec["size"]})
    np.testing.assert_array_equal(votes, counts)
    others = network.predict(_float(images), params={"votes": job.spec["size"], "seed": 1})
    assert (others != counts).any(), "another seed, other noise"
    assert model.params["form.precision"] == "float32"
    note = run.data.tags["mlflow.note.content"]
    assert f"models:/{model.model_id}" in note
    assert "Weights made by `" in note
    with pytest.raises(Exception, match=r"shape|expected"):
        network.predict(np.zeros((1, 3, 8, 8), np.float32))


def _float(images: np.ndarray) -> np.ndarray:
    return (images / 255 if images.dtype == np.uint8 else images).astype(np.float32)


def test_the_folder_of_a_model_is_whole(logged: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    """Nothing in it is a link, and it loads from anywhere."""
    import mlflow

    with open_store(logged[0]) as client:
        run = client.get_run(next(iter(logged[1]["runs"].values())))
        model = client.get_logged_model(run.outputs.model_outputs[0].model_id)
    found = Path(model.artifact_location)
    assert not [path for path in found.rglob("*") if path.is_symlink()]
    moved = found.rename(tmp_path / "moved")
    network = mlflow.pyfunc.load_model(str(moved))
    assert network.predict(np.zeros((1, 1, 8, 8), np.float32)).sum() == 100
    moved.rename(found)


def test_inputs_are_the_splits_with_their_digests(
    workspace: Workspace, logged: tuple[str, dict[str, Any]]
) -> None:
    manifest = json.loads((workspace.folder / "results/data/digits/manifest.json").read_text())
    with open_store(logged[0]) as client:
        inputs = client.get_run(next(iter(logged[1]["runs"].values()))).inputs.dataset_inputs
    logged_digests = {i.tags[0].value: i.dataset.digest for i in inputs}
    digests = {split: entry["sha256"][:36] for split, entry in manifest["splits"].items()}
    assert logged_digests == {"training": digests["train"], "testing": digests["test"]}
    assert {i.dataset.name for i in inputs} == {"digits train", "digits test"}


def test_weights_manifest_is_the_runs_artifact(
    workspace: Workspace, logged: tuple[str, dict[str, Any]]
) -> None:
    uri, record = logged
    for run, tracked in record["runs"].items():
        with open_store(uri) as client:
            manifest = json.loads(Path(client.download_artifacts(tracked, "model.json")).read_text())
        assert manifest == json.loads((workspace.folder / f"results/runs/{run}/model.json").read_text())
    assert of_kind(everything(uri, "tiny"), "run") == set(record["runs"].values())
