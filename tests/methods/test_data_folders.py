"""Folders of class folders: a user's own, Tiny ImageNet."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_images import encoded, load_split, prepared, random_images

from rs.errors import UserError
from rs.methods.data.image_folder import ImageFolder
from rs.methods.data.images import interleaved
from rs.methods.data.tiny_imagenet import TinyImageNet
from rs.provenance.prepared import read_manifest

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
        case "transparent colour":
            Image.new("RGB", (5, 6)).save(dog / "1.png", transparency=(0, 0, 0))
        case "transparent palette":
            Image.new("P", (5, 6)).save(dog / "1.png", transparency=0)
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
        (
            "transparent",
            "own/test/dog/1.png: its mode is RGBA; allowed for channels = 3: 8-bit grey or colour",
        ),
        (
            "transparent colour",
            "own/test/dog/1.png: its mode is RGB with transparency; allowed for channels = 3",
        ),
        (
            "transparent palette",
            "its mode is P with transparency; allowed for channels = 3: 8-bit grey or colour",
        ),
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
    (folder / "wnids.txt").write_text("n01\nn02\n")
    with pytest.raises(UserError, match=r"wnids.txt: 2 classes; expected 3"):
        TinyImageNet().load(str(folder.parent))
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"Tiny ImageNet is not here; unpack tiny-imagenet-200.zip into it"):
        TinyImageNet().load(str(folder.parent))
