"""CIFAR-10 and SVHN in their published layouts; small files, whose md5 stand for the published ones."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from tiny_images import random_images
from torchvision.datasets import CIFAR10, SVHN

from rs.errors import UserError
from rs.methods.data.cifar10 import Cifar10
from rs.methods.data.svhn import Svhn
from rs.study.schema import schema


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """A folder with cifar-10-batches-py of 4 images per batch, its archive, and the images and labels."""
    folder = tmp_path / "data"
    batches = folder / CIFAR10.base_folder
    batches.mkdir(parents=True)
    names = [name for name, _ in CIFAR10.train_list + CIFAR10.test_list]
    content = {}
    for seed, name in enumerate(names):
        images, labels = random_images(4, (3, 32, 32), seed), [seed % 10, 1, 2, 9]
        content[name] = (images, labels)
        batch = {"data": images.reshape(4, -1), "labels": labels, "batch_label": name, "filenames": []}
        (batches / name).write_bytes(pickle.dumps(batch))
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    sums = {path.name: md5(path) for path in batches.iterdir()}
    monkeypatch.setattr(CIFAR10, "train_list", [[n, sums[n]] for n in names[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [[names[5], sums[names[5]]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    archive = tmp_path / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(batches, CIFAR10.base_folder)
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
    return folder, archive, content


@pytest.mark.parametrize("form", ["unpacked", "in its folder", "packed"])
def test_cifar10_is_read_in_the_batches_order(cifar10, form):
    folder, archive, content = cifar10
    batches = folder / CIFAR10.base_folder
    if form == "in its folder":
        (folder / "cifar10").mkdir()
        batches.rename(folder / "cifar10" / CIFAR10.base_folder)
    if form == "packed":
        shutil.rmtree(batches)
        shutil.copy(archive, folder)
    before = sorted(folder.rglob("*"))
    splits = Cifar10().load(str(folder))
    for split, names in (("train", list(content)[:5]), ("test", list(content)[5:])):
        assert np.array_equal(splits[split].images, np.concatenate([content[n][0] for n in names]))
        assert splits[split].labels.tolist() == [label for n in names for label in content[n][1]]
        assert splits[split].labels.dtype == np.int64
    assert sorted(folder.rglob("*")) == before  # a shared folder may be read-only


def test_a_damaged_batch_is_named_and_never_unpickled(cifar10):
    folder, _, _ = cifar10

    class Harmful:
        def __reduce__(self):
            return (Path.touch, (folder / "harm",))

    file = folder / CIFAR10.base_folder / "data_batch_3"
    file.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(UserError, match=r"data_batch_3: truncated or corrupt \(its md5 .* copy it again"):
        Cifar10().load(str(folder))
    assert not (folder / "harm").exists()
    file.unlink()
    with pytest.raises(UserError, match=r"data_batch_3: no such file"):
        Cifar10().load(str(folder))


def test_a_cut_archive_is_named(cifar10):
    folder, archive, _ = cifar10
    shutil.rmtree(folder / CIFAR10.base_folder)
    (folder / archive.name).write_bytes(archive.read_bytes()[:500])
    with pytest.raises(UserError, match=r"cifar-10-python.tar.gz: truncated or corrupt"):
        Cifar10().load(str(folder))


@pytest.fixture
def svhn(tmp_path, monkeypatch):
    """A folder with SVHN's two .mat files of 6 and 3 images; digit 0 is stored as 10 there."""
    folder, content = tmp_path / "data", {}
    (folder / "svhn").mkdir(parents=True)
    for split, n in (("train", 6), ("test", 3)):
        url, name, _ = SVHN.split_list[split]
        images, digits = random_images(n, (3, 32, 32), n), np.arange(8, 8 + n) % 10
        stored = np.where(digits == 0, 10, digits)[:, None].astype(np.uint8)
        savemat(folder / "svhn" / name, {"X": images.transpose(2, 3, 1, 0), "y": stored})
        content[split] = (images, digits)
        monkeypatch.setitem(SVHN.split_list, split, [url, name, md5(folder / "svhn" / name)])
    return folder, content


def test_svhn_is_read_with_zero_as_zero(svhn):
    folder, content = svhn
    for place in (folder, folder / "svhn"):
        splits = Svhn().load(str(place))
        for split, (images, digits) in content.items():
            assert np.array_equal(splits[split].images, images)
            assert np.array_equal(splits[split].labels, digits)


def test_a_damaged_svhn_file_is_named(svhn):
    folder, _ = svhn
    file = folder / "svhn" / "test_32x32.mat"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"test_32x32.mat: truncated or corrupt .*; copy it again"):
        Svhn().load(str(folder))


@pytest.mark.parametrize(
    ("dataset", "theirs", "files"),
    [(Cifar10(), CIFAR10, "cifar-10-python.tar.gz"), (Svhn(), SVHN, "train_32x32.mat")],
)
def test_missing_files_are_named_where_there_is_no_network(tmp_path, monkeypatch, dataset, theirs, files):
    def offline(self):
        raise OSError("no network")

    monkeypatch.setattr(theirs, "download", offline)
    with pytest.raises(UserError) as caught:
        dataset.load(str(tmp_path))
    assert f"could not be downloaded; put {files} into {tmp_path}" in str(caught.value)
    assert "data_dir or RS_DATA_DIR" in str(caught.value)


@pytest.mark.parametrize(("name", "skip"), [("cifar10", 20), ("imagenet", 100)])
def test_the_papers_subsets_are_500_images_spread_over_the_test_split(tiny, plan_of, name, skip):
    shape = schema()["$defs"]["datasets"][name]["x-shape"]
    models = schema()["$defs"]["models"]
    tiny |= {"data": {"name": name}, "test": {"skip": skip}, "attacks": []}
    tiny["model"] = {"name": next(m for m in models if shape in models[m]["x-shapes"])}
    shards = list(plan_of(tiny).observer.shards(50))
    assert len(shards) == 10
    assert [i for shard in shards for i in shard] == [skip * i for i in range(500)]
