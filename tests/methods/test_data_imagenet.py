"""ImageNet: its folders, its development kit and archives, images as the literature decodes them."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from tiny_images import encoded, prepared, smooth_photo
from torchvision.datasets import imagenet as theirs
from torchvision.datasets.folder import default_loader
from torchvision.transforms import v2

from rs.errors import UserError
from rs.methods.data.imagenet import ImageNet
from rs.networks.images import load_images, open_split

WNIDS = {"n01": ("tench",), "n02": ("goldfish", "carp")}


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    """The folder tree and meta.bin that torchvision makes: 2 classes, 6 training and 4 validation images."""
    root = tmp_path / "imagenet"
    for i in range(10):
        split, wnid = ("train", f"n0{1 + (i > 3)}") if i < 6 else ("val", f"n0{1 + i % 2}")
        file = root / split / wnid / f"{i}.JPEG"
        file.parent.mkdir(parents=True, exist_ok=True)
        height, width = ((300, 375), (290, 257))[i % 2]
        file.write_bytes(encoded(smooth_photo(height, width, i), "JPEG"))
    Image.open(root / "train/n01/0.JPEG").convert("L").save(root / "train/n01/0.JPEG")
    torch.save((WNIDS, ["n01", "n02", "n01", "n02"]), root / "meta.bin")
    monkeypatch.setattr(ImageNet, "classes", 2)
    monkeypatch.setattr(ImageNet, "sizes", {"train": 6, "test": 4})
    return root


def as_the_literature(file: Path) -> torch.Tensor:
    """Resize 256, centre crop 224, by torchvision's own transforms and loader."""
    resized = v2.CenterCrop(224)(v2.Resize(256)(default_loader(str(file))))
    return v2.functional.to_dtype(v2.functional.pil_to_tensor(resized), torch.float32, scale=True)


def test_imagenet_is_listed_and_streamed_as_the_literature_decodes_it(imagenet, tmp_path):
    manifest = prepared(tmp_path / "out", {"name": "imagenet"}, tmp_path)
    assert sum(f.stat().st_size for f in (tmp_path / "out").iterdir()) < 10_000  # no pixels
    x, y = load_images(manifest, "test", range(4))
    files = ["n01/6.JPEG", "n01/8.JPEG", "n02/7.JPEG", "n02/9.JPEG"]  # torchvision's order
    assert y.tolist() == [0, 0, 1, 1]
    for image, file in zip(x, files, strict=True):
        torch.testing.assert_close(image, as_the_literature(imagenet / "val" / file), rtol=0, atol=1e-7)
    every_second, _ = load_images(manifest, "test", range(0, 4, 2))
    assert torch.equal(every_second, x[::2])


def test_worker_processes_give_the_same_batches_in_order(imagenet, tmp_path):
    manifest = prepared(tmp_path / "out", {"name": "imagenet"}, tmp_path)
    alone = open_split(manifest, "train")
    order = torch.tensor([5, 0, 3, 1, 4])
    state = torch.get_rng_state()
    expected = list(alone.batches(order, 2))
    with_workers = list(open_split(manifest, "train", workers=2).batches(order, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert [len(y) for _, y in expected] == [2, 2, 1]
    for (x, y), (also_x, also_y) in zip(expected, with_workers, strict=True):
        assert torch.equal(x, also_x)
        assert torch.equal(y, also_y)
    x, y = alone.take(order)
    assert torch.equal(x, torch.cat([b for b, _ in expected]))
    assert torch.equal(y, alone.labels[order])
    assert len(alone) == 6
    assert sorted(alone.labels.tolist()) == [0, 0, 0, 0, 1, 1]
    assert set(alone.labels[3:].tolist()) == {0, 1}
    wide, _ = open_split(manifest, "train", margin=True).take(order)
    assert wide.shape == (5, 3, 256, 256)
    assert torch.equal(wide[..., 16:240, 16:240], x)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["cut", "changed", "gone"])
def test_a_corrupt_file_is_named_when_it_is_reached(imagenet, tmp_path, kind, workers):
    file = imagenet / "train/n02/5.JPEG"
    if kind == "cut":
        file.write_bytes(file.read_bytes()[:1500])
    manifest = prepared(tmp_path / "out", {"name": "imagenet"}, tmp_path)
    if kind == "changed":
        file.write_bytes(file.read_bytes()[:-1])
    if kind == "gone":
        file.unlink()
    says = {
        "cut": "truncated or corrupt image (",
        "changed": "bytes, but ",
        "gone": "cannot be read: No such file or directory",
    }
    with pytest.raises(UserError) as caught:
        list(open_split(manifest, "train", workers=workers).batches(range(6), 2))
    assert str(caught.value).startswith(f"{file}: ")
    assert says[kind] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_incomplete_imagenet_is_one_line(imagenet, tmp_path):
    def refused() -> str:
        with pytest.raises(UserError) as caught:
            prepared(tmp_path / "out", {"name": "imagenet"}, tmp_path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    manifest = prepared(tmp_path / "out", {"name": "imagenet"}, tmp_path)
    (imagenet / "val/n01/6.JPEG").write_bytes(b"")
    assert "val/n01/6.JPEG: empty; copy it again" in refused()
    (imagenet / "val/n01/6.JPEG").unlink()
    assert "data imagenet, test split: 3 images; expected 4" in refused()
    shutil.rmtree(imagenet / "train/n02")
    assert "imagenet/train: lacks the class folder n02 (of 2)" in refused()
    shutil.rmtree(imagenet / "val")
    assert "imagenet: lacks both ILSVRC2012_img_val.tar and the folder val made of it" in refused()
    (imagenet / "meta.bin").write_bytes(b"nothing")
    (imagenet / "val").mkdir()
    assert "imagenet: ImageNet cannot be unpacked or read: " in refused()
    torch.save(({f"n{i}": ("fish",) for i in range(3)}, []), imagenet / "meta.bin")
    assert "imagenet/meta.bin: 3 classes; expected 2" in refused()
    (imagenet / "meta.bin").unlink()
    assert "lacks ImageNet's development kit; put ILSVRC2012_devkit_t12.tar.gz there" in refused()
    shutil.rmtree(imagenet)
    with pytest.raises(UserError, match=r"train: the images were here when they were prepared"):
        open_split(manifest, "train")


def pack(archive: Path, folder: Path, inside: str = "") -> None:
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as tar:
        tar.add(folder, inside or "/")


def test_imagenets_archives_are_unpacked_with_the_development_kit(imagenet, tmp_path, monkeypatch):
    expected = {s: ImageNet().load(str(tmp_path))[s] for s in ("train", "test")}
    kit = tmp_path / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children"]
    rows = [(1, "n02", "goldfish, carp", "", 0.0), (2, "n01", "tench", "", 0.0), (3, "n0", "fish", "", 2.0)]
    synsets = np.array(rows, dtype=[(f, object) for f in fields])
    savemat(kit / "meta.mat", {"synsets": synsets.reshape(-1, 1)})
    flat, tars = tmp_path / "flat", tmp_path / "tars"
    flat.mkdir(), tars.mkdir()
    truth = []
    for i, file in enumerate(sorted((imagenet / "val").rglob("*.JPEG"), key=lambda f: f.name)):
        shutil.copy(file, flat / f"ILSVRC2012_val_0000000{i}.JPEG")
        truth.append({"n02": 1, "n01": 2}[file.parent.name])
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{t}\n" for t in truth))
    for wnid in WNIDS:
        pack(tars / f"{wnid}.tar", imagenet / "train" / wnid)
    shutil.rmtree(imagenet)
    imagenet.mkdir()
    for key, folder in {"devkit": kit.parent, "train": tars, "val": flat}.items():
        name, _ = theirs.ARCHIVE_META[key]
        pack(imagenet / name, folder, "ILSVRC2012_devkit_t12" if key == "devkit" else "")
        md5 = hashlib.md5((imagenet / name).read_bytes()).hexdigest()
        monkeypatch.setitem(theirs.ARCHIVE_META, key, (name, md5))
    found = ImageNet().load(str(tmp_path))
    assert list(found["train"].paths) == list(expected["train"].paths)
    for split in found:
        assert np.array_equal(found[split].labels, expected[split].labels)
    assert [Path(p).parent.name for p in found["test"].paths] == ["n01", "n01", "n02", "n02"]
