"""Data on disk: digits, MNIST's files as they come, and one line for whatever is missing or cut off."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_images import load_split, outputs

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.data.digits import Digits
from rs.methods.data.mnist import FILES, Mnist
from rs.methods.interfaces import Split
from rs.networks.images import load_images, open_split
from rs.provenance.digests import file_digest
from rs.provenance.prepared import read_manifest
from rs.stages.data import check, prepare


def prepared(folder: Path, name: str, dataset, data_dir: str | None = None) -> Path:
    prepare({"data": {"name": name}}, dataset, data_dir, outputs(folder), "code")
    return folder / "manifest.json"


# --- digits ---


def test_digits_are_scikit_learns(tmp_path):
    from sklearn.datasets import load_digits

    manifest = prepared(tmp_path, "digits", Digits())
    bunch = load_digits()
    for split, rows in (("test", slice(None, None, 5)), ("train", np.arange(1797) % 5 != 0)):
        x, y = load_split(manifest, split)
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64
        np.testing.assert_allclose(x[:, 0].numpy() * 16, bunch.images[rows])
        assert np.array_equal(y, bunch.target[rows])
        entry = read_manifest(manifest)["splits"][split]
        assert entry["images"] == len(y)
        assert entry["sha256"] == file_digest(tmp_path / entry["file"])
    x, _ = load_split(manifest, "train")
    assert float(x.mean()) == pytest.approx(Digits.mean[0], abs=1e-3)
    assert float(x.std()) == pytest.approx(Digits.std[0], abs=1e-3)


def test_damaged_prepared_files_are_one_line(tmp_path):
    manifest = prepared(tmp_path, "digits", Digits())
    file = tmp_path / "test.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:1000])
    with pytest.raises(
        UserError, match=r"test.safetensors: truncated or changed .*; remove .*manifest.json and run"
    ):
        load_split(manifest, "test")
    file.unlink()
    with pytest.raises(UserError, match=r"test.safetensors: cannot be read: No such file"):
        load_split(manifest, "test")
    file.write_bytes((tmp_path / "train.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"test.safetensors: truncated or changed since it was prepared"):
        load_split(manifest, "test")
    manifest.write_text("{}")
    with pytest.raises(
        UserError, match=r"manifest.json: not a data manifest; remove it and run the data stage again"
    ):
        load_split(manifest, "test")


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, full_disk):
    with full_disk(), pytest.raises(UserError, match=r"train.safetensors: cannot be written: "):
        prepared(tmp_path, "digits", Digits())
    assert list(tmp_path.iterdir()) == []


def test_a_few_images_or_batches_are_those_of_the_whole_split(tmp_path):
    manifest = prepared(tmp_path, "digits", Digits())
    x, y = load_split(manifest, "test")
    for positions in (range(0, 360, 20), [7, 3, 3], torch.tensor([359, 0])):
        some, labels = load_images(manifest, "test", positions)
        assert torch.equal(some, x[torch.as_tensor(positions)])
        assert torch.equal(labels, y[torch.as_tensor(positions)])
    images = open_split(manifest, "test", workers=3, margin=True)  # both for streamed images alone
    order = torch.randperm(360, generator=torch.Generator().manual_seed(0))[:100]
    batches = list(images.batches(order, 32))
    assert [len(labels) for _, labels in batches] == [32, 32, 32, 4]
    assert torch.equal(torch.cat([b for b, _ in batches]), x[order])
    assert torch.equal(torch.cat([labels for _, labels in batches]), images.labels[order])
    assert len(images) == 360


# --- what is checked before anything is trained ---

GOOD = SimpleNamespace(shape=(1, 2, 2), classes=3, sizes={"test": 4})


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (np.zeros((4, 1, 2, 3)), [0, 1, 2, 0], "4 images of 1x2x3 for 4 labels; expected 1x2x2"),
        (np.zeros((4, 1, 2, 2)), [0, 1, 2], "4 images of 1x2x2 for 3 labels"),
        (np.zeros((3, 1, 2, 2)), [0, 1, 2], "3 images; expected 4"),
        (np.zeros((4, 1, 2, 2)), [0, 1, 3, 0], "image 2 has label 3; allowed 0 to 2"),
        (np.zeros((4, 1, 2, 2)), [0, -1, 1, 0], "image 1 has label -1; allowed 0 to 2"),
        (np.full((4, 1, 2, 2), 1.5), [0, 1, 2, 0], "pixels between 1.5 and 1.5; allowed 0 to 1 (image 0)"),
        (np.full((4, 1, 2, 2), np.nan), [0, 1, 2, 0], "pixels between nan and nan; allowed 0 to 1"),
    ],
)
def test_wrong_data_is_named(images, labels, says):
    with pytest.raises(UserError) as caught:
        check("toy", "test", GOOD, Split(images, np.array(labels)))
    assert str(caught.value).startswith("data toy, test split: ")
    assert says in str(caught.value)
    check("toy", "test", GOOD, Split(np.full((4, 1, 2, 2), 255, np.uint8), np.array([0, 1, 2, 0])))


# --- MNIST ---


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(np.uint8).tobytes()


@pytest.fixture
def small_mnist(tmp_path):
    """Files of MNIST's form with 20 training and 10 test images; returns their folder and what is in them."""
    draw = np.random.default_rng(0)
    folder = tmp_path / "data"
    (folder / "mnist").mkdir(parents=True)
    content = {}
    for name in FILES:
        n = 20 if name.startswith("train") else 10
        array = draw.integers(0, 256, (n, 28, 28)) if "images" in name else draw.integers(0, 10, n)
        content[name] = array
        (folder / "mnist" / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return folder, content


@pytest.mark.parametrize("form", ["packed", "unpacked", "torchvision", "bare"])
def test_mnist_is_read_from_any_of_its_places(small_mnist, form):
    folder, content = small_mnist
    if form in ("unpacked", "torchvision"):
        place = folder / ("mnist" if form == "unpacked" else "MNIST/raw")
        place.mkdir(parents=True, exist_ok=True)
        for name, array in content.items():
            (folder / "mnist" / f"{name}.gz").unlink()
            (place / name).write_bytes(idx(array))
    given = folder / "mnist" if form == "bare" else folder
    splits = Mnist().load(str(given))
    for split, prefix in (("train", "train"), ("test", "t10k")):
        assert splits[split].images.shape[1:] == (1, 28, 28)
        assert np.array_equal(splits[split].images[:, 0], content[f"{prefix}-images-idx3-ubyte"])
        assert np.array_equal(splits[split].labels, content[f"{prefix}-labels-idx1-ubyte"])
        assert splits[split].labels.dtype == np.int64


def test_other_counts_than_mnists_are_refused_before_anything_is_written(small_mnist, tmp_path):
    with pytest.raises(UserError, match=r"data mnist, train split: 20 images; expected 60000"):
        prepared(tmp_path / "out", "mnist", Mnist(), str(small_mnist[0]))
    assert not (tmp_path / "out").exists()


def test_other_images_under_the_names_of_mnists_files_are_a_warning(small_mnist):
    """Fashion-MNIST's files have the same names, sizes and headers."""
    with pytest.warns(
        RuntimeWarning, match="^dataset mnist: the training images have mean 0.49.* stated mean 0.13"
    ):
        catalog.build("datasets", {"name": "mnist"}).load(str(small_mnist[0]))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut gz", "garbled gz", "cut inside", "not idx", "cut raw", "empty"])
def test_damaged_mnist_files_are_named(small_mnist, name, damage):
    folder, content = small_mnist
    file = folder / "mnist" / f"{name}.gz"
    good, inner = file.read_bytes(), idx(content[name])
    if damage == "cut raw":
        file.unlink()
        file = file.with_suffix("")
    damaged = {
        "cut gz": good[:-8],
        "garbled gz": good[:15] + bytes(255 - b for b in good[15:25]) + good[25:],
        "cut inside": gzip.compress(inner[:-3]),
        "not idx": gzip.compress(b"<html>not found</html>"),
        "cut raw": inner[:-1],
        "empty": b"",
    }
    file.write_bytes(damaged[damage])
    with pytest.raises(UserError) as caught:
        Mnist().load(str(folder))
    assert str(caught.value).startswith(f"{file}: truncated or corrupt (")
    assert str(caught.value).endswith("; copy it again")
    assert "\n" not in str(caught.value)


def test_images_and_labels_that_changed_places_are_named(small_mnist):
    folder, _ = small_mnist
    images, labels = (folder / "mnist" / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    content = images.read_bytes()
    images.write_bytes(labels.read_bytes())
    labels.write_bytes(content)
    with pytest.raises(UserError) as caught:
        Mnist().load(str(folder))
    assert str(caught.value) == f"{images}: holds labels, not images: it and its labels changed places"


def test_a_missing_file_is_named_where_there_is_no_network(small_mnist, monkeypatch):
    import torchvision

    def offline(self):
        raise RuntimeError("Error downloading train-labels-idx1-ubyte.gz")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", offline)
    folder, _ = small_mnist
    (folder / "mnist" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError) as caught:
        Mnist().load(str(folder))
    message = str(caught.value)
    assert message.startswith(f"{folder}: MNIST is not here and could not be downloaded; put train-labels")
    assert f"into {folder / 'mnist'} (or set data_dir or RS_DATA_DIR" in message


@pytest.mark.skipif("RS_DATA_DIR" not in os.environ, reason="RS_DATA_DIR names no folder with the real MNIST")
def test_real_mnist(tmp_path):
    manifest = prepared(tmp_path, "mnist", Mnist(), os.environ["RS_DATA_DIR"])
    x, y = load_split(manifest, "test")
    assert x.shape == (10_000, 1, 28, 28)
    assert y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    x, y = load_split(manifest, "train")
    assert torch.bincount(y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert float(x.mean()) == pytest.approx(Mnist.mean[0], abs=1e-4)
    assert float(x.std()) == pytest.approx(Mnist.std[0], abs=1e-4)


def test_preparing_again_gives_the_same_bytes(tmp_path):
    first = prepared(tmp_path / "a", "digits", Digits())
    second = prepared(tmp_path / "b", "digits", Digits())
    for name in ("train.safetensors", "test.safetensors"):
        one, two = (hashlib.sha256((m.parent / name).read_bytes()).digest() for m in (first, second))
        assert one == two
    assert json.loads(first.read_text())["splits"] == json.loads(second.read_text())["splits"]
