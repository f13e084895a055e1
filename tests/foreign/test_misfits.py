"""Models and images that cannot be certified: one line each, a code other than 0, nothing half-written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rs.foreign.certifying import PROBES
from rs.foreign.pictures import spread
from rs.networks.inference import InferenceForm
from rs.provenance.files import read_table

GREY = ("--channels", "1", "--sigma", "0.25", "--n", "100", "--out", "out")


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (
            "dictionary",
            "returns a dict, not logits [B, classes]; let the function return a module whose forward gives "
            "the network's output['logits']",
        ),
        ("features", "returns [2, 1, 8, 8] for 2 images of 1x8x8; it must be logits [B, classes]"),
        ("one_class", "returns [2, 1] for 2 images of 1x8x8; it must be logits [B, classes], 2 classes"),
        ("whole_numbers", "fails on 2 float32 images of 1x8x8 in [0, 1]: RuntimeError"),
        ("half", "model: model.1.weight is float16; give it in float32"),
        ("broken", "logits are not finite"),
        ("missing", "rs: certify: --model entry:mynet:missing: mynet has no missing"),
    ],
)
def test_models(refused, function, line):
    assert line in refused("--model", f"entry:mynet:{function}", "--data", "photos", *GREY)
    assert not Path("out/images.parquet").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("--mean", "0.5"),
            "for channels = 1: 8-bit grey (its description, --channels, or one number in --mean or --std say",
        ),
        (("--channels", "2"), "certify: --channels 2: must be 1 or 3"),
        (
            ("--mean", "123.7,116.3,103.5"),
            "--mean 123.7,116.3,103.5: above 1, where the network's input is 0 to",
        ),
        (
            ("--mean", "0.5,0.5"),
            "certify: mean and std: 2 and 2 numbers; must be one of each per channel, for 1 or 3",
        ),
        (("--mean", "0.5", "--std", "1,1,1"), "certify: mean and std: 1 and 3 numbers; must be one of each"),
        (("--range=\u22121,1",), "certify: --range \u22121,1: must be numbers with commas, as -1,1"),
        (
            ("--size", "8", "--resize", "4"),
            "certify: --resize 4: must be at least 8, the longer side of the crop",
        ),
    ],
)
def test_options_about_the_input_are_named(refused, options, line):
    for file in Path("photos").iterdir():
        Image.open(file).convert("RGB").save(file)
    message = refused(
        "--model", "entry:mynet:net", "--data", "photos", "--sigma", "0.25", "--out", "out", *options
    )
    assert line in message
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("--checkpoint", "no.pt", "--entry", "mynet:net", "--data", "digits"),
            "no.pt: cannot be read: No such file",
        ),
        (
            ("--checkpoint", "w.pt", "--entry", "mynet:net", "--data", "nope"),
            "--data: 'nope'; allowed: cifar10, digits",
        ),
        (
            ("--checkpoint", "w.pt", "--data", "digits"),
            "give one of entry (module:function) and architecture",
        ),
        (
            ("--checkpoint", "w.pt", "--architecture", "nope", "--data", "digits"),
            "--architecture: 'nope'; allowed: ",
        ),
        (
            (
                *("--checkpoint", "w.pt", "--entry", "mynet:net", "--data", "digits"),
                *("--normalization", '{"mean": [77.9], "std": [95.9]}'),
            ),
            "--normalization.mean: above 1, and images are in [0, 1]: divide it by 255",
        ),
        (
            ("--checkpoint", "w.pt", "--entry", "mynet:net", "--data", "digits", "--n", "3"),
            "--n: 3 votes certify nothing",
        ),
    ],
)
def test_a_refused_checkpoint_is_told_in_options_and_leaves_nothing(refused, options, line):
    Path("w.pt").touch()
    assert refused(*options, "--sigma", "0.25").startswith(f"rs: certify: {line}")
    assert not Path("results").exists()


def test_a_network_of_another_size(refused):
    message = refused("--model", "entry:mynet:net", "--data", "photos", *GREY, "--size", "16")
    assert "photos was read as 1x16x16 (grey pictures, mode L), but it takes images of other sizes" in message
    assert message.endswith(": 1x8x8; give --size HxW")


def test_images_of_many_sizes_need_a_size(certify, refused):
    Image.fromarray(np.zeros((9, 7), np.uint8)).save("photos/10.png")
    options = ("--model", "entry:mynet:net", "--data", "photos", *GREY)
    message = refused(*options)
    assert "photos: images of several sizes, 1x8x8 and 1x9x7 (10.png); give --size HxW" in message
    assert certify(*options, "--size", "8")[0] == 0


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda p: shutil.rmtree(p), "photos: no such file or folder"),
        (lambda p: [f.unlink() for f in p.iterdir()], "photos: holds no image (jpg, jpeg, png,"),
        (lambda p: (p / "05.png").write_bytes(b"no image"), "photos: 05.png: corrupt, or no image"),
        (lambda p: (p / "05.png").write_bytes((p / "05.png").read_bytes()[:60]), "05.png: truncated"),
        (
            lambda p: Image.new("RGBA", (8, 8)).save(p / "05.png"),
            "05.png: its mode is RGBA; allowed for channels = 1: 8-bit grey (its description, --channels, or",
        ),
        (lambda p: (p / "a").mkdir() or shutil.copy(p / "00.png", p / "a"), "images beside class folders"),
    ],
)
def test_folders(refused, spoil, line):
    spoil(Path("photos"))
    assert line in refused("--model", "entry:mynet:net", "--data", "photos", *GREY)
    assert not Path("out/images.parquet").exists()


def test_a_damaged_image_is_named_before_anything_is_drawn(refused, place):
    """The last of more images than the network's forms are compared on."""
    for i in range(40):
        shutil.copy("photos/00.png", f"photos/x{i}.png")
    Path("photos/x8.png").write_bytes(b"")
    assert "x8.png: corrupt" in refused("--model", "entry:mynet:net", "--data", "photos", *GREY)
    assert not Path("out/votes").exists()


def test_class_folders_that_are_not_the_models(certify, refused):
    options = ("--model", "entry:mynet:net", "--data", "sorted", *GREY)
    Path("sorted/3").rename("sorted/three")
    message = refused(*options)  # sorted, 4 would be class 3
    assert "sorted: three: none of the model's 10 classes, by name or by number; move or rename it" in message
    Path("sorted/three").rename("sorted/11")
    assert "label 11, but the model has 10 classes; give" in refused(*options)
    Path("sorted/0").rename("sorted/10")
    assert "label 11, but the model has 10 classes, counted from 0; give" in refused(*options)
    Path("sorted/10").rename("sorted/0")
    assert certify(*options, "--unlabelled")[0] == 0
    for folder in list(Path("sorted").iterdir()):
        folder.rename(f"sorted/digit{3 if folder.name == '11' else folder.name}")
    code, _, err = certify(*options[:-1], "other")
    assert code == 0
    assert "10 classes in sorted order: digit0 is class 0, digit9 is class 9" in err
    shutil.rmtree("sorted/digit9")
    assert "9 classes (digit0, digit1, digit2" in refused(*options)


def test_splits_are_no_classes(certify, refused):
    Path("splits").mkdir()
    shutil.copytree("sorted", "splits/test")
    shutil.copytree("sorted", "splits/train")
    options = ("--model", "entry:mynet:net", *GREY, "--data")
    message = refused(*options, "splits")
    assert "holds splits with class folders in them; give --data one of splits/test, splits/train" in message
    assert certify(*options, "splits/test")[0] == 0
    assert certify(*options[:-2], "other", "--data", "splits", "--unlabelled")[0] == 0


def test_weights_that_are_not_the_networks(refused):
    options = ("--model", "entry:mynet:net", "--data", "photos", *GREY, "--weights")
    for text in ("none", "hello\n", "", "epoch,loss\n"):  # readers of pickles raise many kinds
        Path("w.pt").write_text(text)
        assert "w.pt: not a complete checkpoint (no checkpoint of torch, or cut off)" in refused(
            *options, "w.pt"
        )
    assert "gone.pt: cannot be read" in refused(*options, "gone.pt")


@pytest.fixture
def calls(monkeypatch):
    """How many images each pass of a form is asked about."""
    sizes, before = [], InferenceForm.__call__
    monkeypatch.setattr(InferenceForm, "__call__", lambda form, x: sizes.append(len(x)) or before(form, x))
    return sizes


def drawn() -> list[tuple[int, str]]:
    """Images and purposes of all blocks that are kept."""
    tables = [read_table(file)[0].to_pylist() for file in Path("out/votes").glob("*.parquet")]
    return sorted((row["image"], row["purpose"]) for table in tables for row in table)


def test_the_last_image_may_be_the_one_that_breaks_the_network(refused):
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save("photos/99.png")
    last = len(list(Path("photos").iterdir())) - 1
    for _ in range(2):  # the second time, nothing but its votes is missing
        message = refused("--model", "entry:mynet:dazzled_by_white", "--data", "photos", *GREY)
        assert f"image {last}: " in message
        assert drawn() == [(i, purpose) for i in range(last) for purpose in ("estimate", "select")]


@pytest.mark.parametrize(("network", "shared"), [("dazzled", False), ("dazzled_by_white", True)])
def test_beside_an_image_that_breaks_the_network_no_vote_is_lost(certify, refused, calls, network, shared):
    for i in range(12, 60):
        shutil.copy("photos/00.png", f"photos/{i}.png")
    # votes that are drawn when the batch of 512 is full in which image i votes first
    ends = {i: (200 * i // 512 + 1) * 512 for i in range(40, 50) if i not in spread(60, PROBES)}
    white = next(i for i, end in ends.items() if end >= 200 * (i + 1) + 100)
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(f"photos/{white}.png")
    options = ("--model", f"entry:mynet:{network}", "--data", "photos", *GREY, "--images", "60")
    assert f"image {white}: " in refused(*options)
    order = [(image, purpose) for image in range(60) for purpose in ("select", "estimate")]
    whole = ends[white] // 100 if shared else 2 * white
    kept = [block for block in order[:whole] if block[0] != white]
    assert any(image > white for image, _ in kept) == shared
    assert drawn() == sorted(kept)
    shutil.copy("photos/00.png", f"photos/{white}.png")
    calls.clear()
    assert certify(*options)[0] == 0
    assert drawn() == sorted(order)
    left = 100 * (len(order) - len(kept))
    assert calls[-1] == (left % 512 if shared else 100)
