"""Images in Parquet files, from the study to votes; damage is named by file and row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.datasets import load_digits
from tiny_images import encoded, load_split, prepared, random_images
from tiny_study import Workspace, write_study

from rs.errors import UserError
from rs.methods.data.image_parquet import ImageParquet
from rs.plan.plan import Plan
from rs.provenance.prepared import read_manifest
from rs.stages.draw_files import read_votes
from rs.study.study import Study

OWN = {"name": "image-parquet", "folder": "own", "shape": [3, 4, 5], "classes": 3}
OWN["sizes"] = {"train": 5, "test": 4}


def write(file: Path, images: list[Any], labels: list[Any], **names: Any) -> None:
    """A Parquet file as Hugging Face writes it; `images` are arrays, or whatever the bytes shall be."""
    contents = [encoded(i) if isinstance(i, np.ndarray) else i for i in images]
    structs = [{"bytes": c, "path": f"{n}.png"} for n, c in enumerate(contents)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {names.get("image", "image"): pa.array(structs, kind)}
    columns[names.get("label", "label")] = pa.array(labels)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file, row_group_size=2)


@pytest.fixture
def own(tmp_path):
    images = random_images(9, (3, 4, 5))
    write(tmp_path / "own/train.parquet", list(images[:5]), [0, 1, 2, 0, 1])
    write(tmp_path / "own/test.parquet", list(images[5:]), [2, 2, 1, 0])
    return tmp_path, images


def test_rows_are_read_in_order_and_measured(own, tmp_path):
    folder, images = own
    manifest = prepared(tmp_path / "out", OWN, folder)
    for split, part, labels in (("train", images[:5], [0, 1, 2, 0, 1]), ("test", images[5:], [2, 2, 1, 0])):
        x, y = load_split(manifest, split)
        np.testing.assert_allclose(x.numpy() * 255, part, atol=1e-4)
        assert y.tolist() == labels
    read = read_manifest(manifest)
    np.testing.assert_allclose(read["mean"], (images[:5] / 255).mean((0, 2, 3)), atol=6e-5)
    np.testing.assert_allclose(read["std"], (images[:5] / 255).std((0, 2, 3)), atol=6e-5)


def test_files_of_a_pattern_and_other_columns(own):
    folder, images = own
    for i, rows in enumerate((slice(0, 2), slice(2, 5))):
        names = {"image": "img", "label": "fine"}
        write(folder / f"own/train-{i}.parquet", list(images[rows]), [0, 1, 2, 0, 1][rows], **names)
    write(folder / "own/test.parquet", list(images[5:]), [2, 2, 1, 0], image="img", label="fine")
    stated = {"folder": "own", "shape": (3, 4, 5), "classes": 3, "sizes": {"train": 5, "test": 4}}
    dataset = ImageParquet(**stated, train="train-*.parquet", image="img", label="fine")
    found = dataset.load(str(folder))
    assert np.array_equal(found["train"].images, images[:5])
    assert found["train"].labels.tolist() == [0, 1, 2, 0, 1]


GOOD = list(random_images(4, (3, 4, 5), 1))
CUT = encoded(random_images(1, (3, 40, 50))[0])[:2000]


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        ([*GOOD[:3], CUT], [0, 1, 2, 0], "test.parquet: row 3 (3.png): truncated or corrupt image ("),
        ([GOOD[0], b"GIF?", *GOOD[2:]], [0, 1, 2, 0], "row 1 (1.png): corrupt, or no image of a known"),
        ([*GOOD[:2], None, GOOD[3]], [0, 1, 2, 0], "row 2 (2.png): holds no image bytes"),
        ([*GOOD[:3], GOOD[0][:, :, :4]], [0, 1, 2, 0], "row 3 (3.png): 4x4 pixels; expected 4x5"),
        (GOOD, [0, 1, None, 0], "test.parquet: row 2: label is empty"),
        (GOOD, [0, 1, 3, 0], "data image-parquet, test split: image 2 has label 3; allowed 0 to 2"),
        (GOOD, [0, -1, 3, 0], "data image-parquet, test split: image 1 has label -1; allowed 0 to 2"),
        (GOOD, list("abca"), "test.parquet: column label is string; it must be whole numbers from 0"),
        (GOOD[:3], [0, 1, 2], "data image-parquet, test split: 3 images; expected 4"),
    ],
)
def test_bad_rows_are_named(own, tmp_path, images, labels, says):
    folder, _ = own
    write(folder / "own/test.parquet", images, labels)
    with pytest.raises(UserError) as caught:
        prepared(tmp_path / "out", OWN, folder)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def damage(file: Path, kind: str) -> None:
    content = file.read_bytes()
    match kind:
        case "gone":
            file.unlink()
        case "cut":
            file.write_bytes(content[:-20])
        case "garbled":
            file.write_bytes(content[:60] + bytes(255 - b for b in content[60:400]) + content[400:])
        case "column":
            write(file, GOOD, [0, 1, 2, 0], image="picture")
        case "plain":
            pq.write_table(pa.table({"image": [b"x"], "label": [0]}), file)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("gone", "test.parquet: no such file (data_dir or RS_DATA_DIR says where it lies)"),
        ("cut", "test.parquet: truncated, or no Parquet file ("),
        ("garbled", "test.parquet: "),
        ("column", "test.parquet: lacks the column image; it has picture, label"),
        ("plain", "test.parquet: column image is binary; it must be a struct of bytes and path"),
    ],
)
def test_damaged_files_are_named(own, tmp_path, kind, says):
    folder, _ = own
    damage(folder / "own/test.parquet", kind)
    with pytest.raises(UserError) as caught:
        prepared(tmp_path / "out", OWN, folder)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


# --- in a study ---


@pytest.fixture
def digits_study(tiny, tmp_path):
    """The tiny study on a hundred digits in Parquet files, as a user's own data; their folder beside it."""
    bunch = load_digits()
    grey = np.round(bunch.images[:, None] * 255 / 16).astype(np.uint8)
    write(tmp_path / "files/numbers/train.parquet", list(grey[:80]), bunch.target[:80].tolist())
    write(tmp_path / "files/numbers/test.parquet", list(grey[80:100]), bunch.target[80:100].tolist())
    data = {"name": "image-parquet", "folder": "numbers", "shape": [1, 8, 8], "classes": 10}
    tiny["data"] = {**data, "sizes": {"train": 80, "test": 20}}
    tiny["data_dir"] = str(tmp_path / "files")
    tiny["test"] = {"skip": 5}
    return tiny


def test_own_data_run_through_the_stages(digits_study, tmp_path, monkeypatch):
    study = Study([write_study(tmp_path / "study.yaml", digits_study)])
    workspace = Workspace(tmp_path, Plan(study))
    assert "image-parquet-numbers-" in str(workspace.plan.data_manifest)
    monkeypatch.setenv("RS_DATA_DIR", digits_study["data_dir"])
    for stage in ("data", "train", "sample"):
        workspace.run(workspace.job(stage))
    manifest = read_manifest(workspace.path(workspace.plan.data_manifest))
    assert manifest["mean"] == [pytest.approx(0.305, abs=0.02)]
    positions, labels, votes, _ = read_votes(workspace.path(workspace.job("sample").outputs["draws"]))
    assert positions.tolist() == [0, 5, 10, 15]
    assert labels.tolist() == load_digits().target[80:100:5].tolist()
    assert votes.counts.sum(1).tolist() == [16] * 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": [3, 32, 32]}, "model: digits_cnn takes 1x8x8; image-parquet is 3x32x32"),
        ({"shape": [2, 8, 8]}, "data.shape[0]: 2; allowed: 1, 3"),
        ({"sizes": {"train": 80}}, "data.sizes.test: lacks this key; it is a whole number at least 1"),
        ({"sizes": {"train": 80, "test": 0}}, "data.sizes.test: 0: must be a whole number at least 1"),
        ({"classes": 1}, "data.classes: 1: must be a whole number at least 2"),
        ({"file": "x"}, "data.file: unknown key"),
    ],
)
def test_what_a_study_states_of_own_data_is_checked_before_anything_runs(digits_study, refusal, change, says):
    digits_study["data"] |= change
    assert says in refusal(digits_study)


def test_shards_follow_the_stated_test_images(digits_study, plan_of):
    plan = plan_of(digits_study)
    digits_study["data"]["sizes"]["test"] = 10_000
    digits_study["test"], digits_study["sampling"]["images_per_shard"] = {"skip": 20}, 100
    other = plan_of(digits_study)
    assert [list(r) for r in plan.observer.shards(4)] == [[0, 5, 10, 15]]
    shards = list(other.observer.shards(100))
    assert [i for shard in shards for i in shard] == list(range(0, 10_000, 20))
    assert plan.data_id != other.data_id


@pytest.mark.slow
@pytest.mark.skipif("RS_DATA_DIR" not in os.environ, reason="RS_DATA_DIR names no folder with cifar10-jpeg")
def test_real_cifar10_jpeg(tmp_path):
    data = {"name": "image-parquet", "folder": "cifar10-jpeg", "shape": [3, 32, 32], "classes": 10}
    data |= {"train": "test.parquet", "sizes": {"train": 10_000, "test": 10_000}}  # the large file takes 10 s
    manifest = prepared(tmp_path, data, os.environ["RS_DATA_DIR"])
    x, y = load_split(manifest, "test")
    assert x.shape == (10_000, 3, 32, 32)
    assert torch.bincount(y).tolist() == [1000] * 10
    # CIFAR-10's own test images, before they were compressed again: 0.4942, 0.4851, 0.4504
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.tensor([0.4942, 0.4851, 0.4504]), atol=5e-4, rtol=0)
    assert len(y[::20]) == 500
