"""Folders of class folders: a user's own, Tiny ImageNet, ImageNet with its development kit."""

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
from tiny_images import encoded, prepared, random_images, smooth_photo
from torchvision.datasets import imagenet as theirs
from torchvision.datasets.folder import default_loader
from torchvision.transforms import v2

from rs.errors import UserError
from rs.methods.data.image_folder import ImageFolder
from rs.methods.data.imagenet import ImageNet
from rs.methods.data.images import interleaved
from rs.methods.data.tiny_imagenet import TinyImageNet
from rs.networks.images import load_images, open_split
from rs.networks.prepared import load_split, read_manifest

# --- a user's own ---

OWN = {"name": "image-folder", "folder": "own", "shape": [3, 6, 5], "classes": 2}
OWN["sizes"] = {"train": 6, "test": 3}


@pytest.fixture
def own(tmp_path):
    """Training images: 4 cats, 2 dogs; test images: 1 cat, 2 dogs; each known by its first pixel."""
    images = random_images(9, (3, 6, 5))
    images[:, 0, 0, 0] = np.arange(9)
    names = [f"train/cat/{i}.png" for i in range(4)] + ["train/dog/a.png", "train/dog/deep/b.png"]
    names += ["test/cat/z.png", "test/dog/1.png", "test/dog/2.PNG"]
    for name, image in zip(names, images, strict=True):
        file = tmp_path / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(image))
    (tmp_path / "own/train/cat/notes.txt").write_text("no image")
    return tmp_path, images


def test_own_folders_are_read_and_measured(own, tmp_path):
    folder, images = own
    manifest = prepared(tmp_path / "out", OWN, folder)
    x, y = load_split(manifest, "test")
    np.testing.assert_allclose(x.numpy() * 255, images[6:], atol=1e-4)
    assert y.tolist() == [0, 1, 1]
    x, y = load_split(manifest, "train")
    order = (x[:, 0, 0, 0] * 255).round().long()
    assert sorted(order.tolist()) == list(range(6))
    assert torch.equal(y, (order >= 4).long())
    assert set(y[3:].tolist()) == {0, 1}  # the last ones hold both classes
    read = read_manifest(manifest)
    trained = images[:6] / 255
    np.testing.assert_allclose(read["mean"], trained.mean((0, 2, 3)), atol=6e-5)
    np.testing.assert_allclose(read["std"], trained.std((0, 2, 3)), atol=6e-5)
    assert (read["shape"], read["classes"]) == ([3, 6, 5], 2)


def damage(folder: Path, kind: str) -> None:
    cat, dog = folder / "own/test/cat", folder / "own/test/dog"
    match kind:
        case "class missing":
            shutil.rmtree(cat)
        case "class empty":
            (cat / "z.png").unlink()
        case "other class":
            (folder / "own/test/bird").mkdir()
        case "third class":
            shutil.copytree(folder / "own/train/cat", folder / "own/train/bird")
        case "split missing":
            shutil.rmtree(folder / "own/test")
        case "cut":
            (dog / "1.png").write_bytes((dog / "1.png").read_bytes()[:60])
        case "text":
            (dog / "1.png").write_text("<html>not found</html>")
        case "empty":
            (dog / "1.png").write_bytes(b"")
        case "size":
            (dog / "1.png").write_bytes(encoded(random_images(1, (3, 5, 6))[0]))
        case "transparent":
            Image.new("RGBA", (5, 6)).save(dog / "1.png")
        case "too few":
            (dog / "1.png").unlink()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("class missing", "own/test: lacks the class folder cat (of 2)"),
        ("class empty", "own/test/cat: holds no image"),
        ("other class", "own/test: bird is none of the 2 class folders"),
        ("third class", "own/train: 3 class folders (bird, cat, dog); the study says classes: 2"),
        ("split missing", "own/test: no such folder"),
        ("cut", "own/test/dog/1.png: truncated or corrupt image ("),
        ("text", "own/test/dog/1.png: corrupt, or no image of a known format; copy it again"),
        ("empty", "own/test/dog/1.png: corrupt, or no image of a known format; copy it again"),
        ("size", "own/test/dog/1.png: 5x6 pixels; expected 6x5 (resize: true resizes)"),
        ("transparent", "own/test/dog/1.png: its mode is RGBA; allowed for 3 channels: 8-bit grey or colour"),
        ("too few", "data image-folder, test split: 2 images; expected 3"),
    ],
)
def test_damaged_folders_are_one_line(own, tmp_path, kind, says):
    folder, _ = own
    damage(folder, kind)
    with pytest.raises(UserError) as caught:
        prepared(tmp_path / "out", OWN, folder)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)


def test_constant_channels_cannot_be_normalised(own, tmp_path):
    folder, _ = own
    for file in (folder / "own/train").rglob("*.png"):
        Image.new("RGB", (5, 6), (9, 9, 9)).save(file)
    with pytest.raises(UserError, match=r"image-folder, train split: channel 0 is the same in all pixels"):
        prepared(tmp_path / "out", OWN, folder)


def test_resize_keeps_the_aspect_ratio(own):
    folder, _ = own
    wide = np.zeros((3, 12, 40), np.uint8)
    wide[:, :, 10:30] = 200  # the centre of its aspect ratio, and more
    (folder / "own/test/dog/1.png").write_bytes(encoded(wide))
    found = ImageFolder("own", (3, 6, 5), 2, {"train": 6, "test": 3}, resize=True).load(str(folder))
    assert found["test"].images[1].min() == 200


def test_interleaving_spreads_every_class_evenly():
    labels = np.repeat([0, 1, 2], [100, 10, 50])
    order = interleaved(labels)
    assert sorted(order) == list(range(160))
    for part in np.split(labels[order], 10):
        assert np.bincount(part).tolist() == [10, 1, 5]
    assert all(np.diff(order[labels[order] == c]).min() > 0 for c in range(3))


# --- Tiny ImageNet ---


@pytest.fixture
def tiny_imagenet(tmp_path, monkeypatch):
    """Three classes of four training and two validation images, as the published folder lays them out."""
    folder = tmp_path / "tiny-imagenet-200"
    wnids = ["n02", "n03", "n01"]
    images = random_images(18, (3, 64, 64))
    for i, image in enumerate(images[:12]):
        file = folder / f"train/{wnids[i // 4]}/images/{wnids[i // 4]}_{i % 4}.JPEG"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(image))  # lossless, under the published name
    (folder / "val/images").mkdir(parents=True)
    lines = []
    for i, image in enumerate(images[12:]):
        (folder / f"val/images/val_{i}.JPEG").write_bytes(encoded(image[:1] if i == 0 else image))
        lines.append(f"val_{i}.JPEG\t{wnids[i % 3]}\t0\t0\t63\t63\n")
    (folder / "val/val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("\n".join(wnids) + "\n")
    monkeypatch.setattr(TinyImageNet, "classes", 3)
    monkeypatch.setattr(TinyImageNet, "sizes", {"train": 12, "test": 6})
    return folder, images


def test_tiny_imagenet_takes_validation_images_in_annotated_order(tiny_imagenet):
    folder, images = tiny_imagenet
    splits = TinyImageNet().load(str(folder.parent))
    test = splits["test"]
    assert test.labels.tolist() == [1, 2, 0, 1, 2, 0]  # positions of the sorted ids
    assert np.array_equal(test.images[1:], images[13:])
    assert np.array_equal(test.images[0], np.repeat(images[12][:1], 3, 0))  # grey ones become colour
    train = splits["train"]
    assert train.labels.tolist() == [0, 1, 2] * 4
    assert np.array_equal(train.images[0::3], images[8:12])
    assert np.array_equal(train.images[1::3], images[0:4])


def test_damaged_tiny_imagenet_is_one_line(tiny_imagenet):
    folder, _ = tiny_imagenet
    annotations = folder / "val/val_annotations.txt"
    annotations.write_text(annotations.read_text().replace("n03", "n99"))
    with pytest.raises(UserError, match=r"val_annotations.txt: line 2: 'n99' is none of the 3 classes"):
        TinyImageNet().load(str(folder.parent))
    annotations.unlink()
    with pytest.raises(UserError, match=r"val_annotations.txt: cannot be read"):
        TinyImageNet().load(str(folder.parent))
    shutil.rmtree(folder / "train/n03")
    with pytest.raises(UserError, match=r"train: lacks the class folder n03"):
        TinyImageNet().load(str(folder.parent))
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"Tiny ImageNet is not here; unpack tiny-imagenet-200.zip into it"):
        TinyImageNet().load(str(folder.parent))


# --- ImageNet ---

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
    with pytest.raises(UserError, match=r"data imagenet: too large to be held in memory"):
        load_split(manifest, "test")


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
