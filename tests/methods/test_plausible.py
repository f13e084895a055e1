"""Data that keep their protocol and are hardly meant: what no data set can be is refused, what may be meant
is a warning, and sound data pass in silence.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet as pq
from sklearn.datasets import load_digits

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.checked import checked_class
from rs.methods.data.digits import Digits
from rs.methods.interfaces import Split

LEVELS, LABELS = load_digits(return_X_y=True)
LEVELS = LEVELS.reshape(-1, 1, 8, 8)
SOUND = (LEVELS / 16).astype(np.float32)
NO_BLUE = np.array([1, 1, 0], np.float32)[:, None, None]
STATED = {"mean": Digits.mean, "std": Digits.std}


def loaded(images: np.ndarray, labels: np.ndarray = LABELS, **facts: Any) -> list[str]:
    """The warnings about a plug-in's data set with these images and facts. Raises UserError."""

    class Plugged:
        shape, classes = images.shape[1:], 10

        def load(self, data_dir: str | None) -> dict[str, Split]:
            test = np.arange(len(labels)) % 5 == 0
            return {"train": Split(images[~test], labels[~test]), "test": Split(images[test], labels[test])}

    for fact, value in facts.items():
        setattr(Plugged, fact, value)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checked_class("datasets", "mine", Plugged)().load(None)
    return [str(warning.message) for warning in caught]


def colour(images: np.ndarray) -> np.ndarray:
    return np.repeat(images, 3, 1)


@pytest.mark.parametrize(
    ("images", "facts"),
    [
        (SOUND, STATED),
        (SOUND, {"mean": (0.3,), "std": (0.38,)}),
        ((SOUND * 255).astype(np.uint8), {}),
        ((SOUND * 255).astype(np.uint8), STATED),
        (SOUND * 0.5, {"mean": (0.153,), "std": (0.188,)}),  # dark
        (1 - 0.5 * SOUND, {"mean": (0.847,), "std": (0.188,)}),
        (colour(SOUND), {"mean": Digits.mean * 3, "std": Digits.std * 3}),
        (colour(SOUND), {"mean": np.array(Digits.mean * 3), "std": np.array(Digits.std * 3)}),
        # a channel without content has no deviation to compare with
        (colour(SOUND) * NO_BLUE, {"mean": (*Digits.mean * 2, 0.0), "std": (*Digits.std * 2, 1.0)}),
        ((LEVELS > 8).astype(np.uint8) * 255, {}),
    ],
)
def test_sound_data_pass_in_silence(images, facts):
    assert loaded(images, **facts) == []


def test_levels_from_0_to_16_are_a_warning_for_each_split_and_for_a_mean_that_does_not_fit():
    for facts, more in (({}, []), (STATED, ["the training images have mean 0.0191"])):
        found = loaded(LEVELS.astype(np.uint8), **facts)
        expected = [
            f"all {split} images lie between 0 and 16, and 255 is white" for split in ("train", "test")
        ]
        assert len(found) == len(expected + more)
        for line, part in zip(found, expected + more, strict=True):
            assert line.startswith(f"{__file__}:")
            assert f": dataset mine: {part}" in line
        assert found[0].endswith("; if 16 is white, scale them by 255 / 16")


@pytest.mark.parametrize(
    ("mean", "std"), [((0.1307,), (0.3081,)), ((0.3055,), (0.25,)), ((0.3055,), (0.5,)), ((0,), (1,))]
)
def test_statistics_of_other_images_are_a_warning(mean, std):
    (line,) = loaded(SOUND, mean=mean, std=std)
    assert "the training images have mean 0.3052 and std 0.3763; models scale by the stated mean" in line


def test_a_class_without_training_images_is_a_warning():
    (line,) = loaded(SOUND, np.where(np.isin(LABELS, (3, 7)), 0, LABELS), **STATED)
    assert line.endswith("dataset mine: no training image has label 3, 7, of 10 classes")


@pytest.mark.parametrize(("copies", "line"), [(360, "360 of 360"), (19, "19 of 360"), (18, None)])
def test_test_images_that_are_training_images_are_a_warning(copies, line):
    """Every fifth image is a test image. Published data sets have a few copies."""
    images = SOUND.copy()
    images[: 5 * copies : 5] = images[1 : 5 * copies : 5]
    words = "test images are training images: results on these say nothing of other images"
    assert [found.partition("dataset mine: ")[2] for found in loaded(images, **STATED)] == (
        [f"{line} {words}"] if line else []
    )


def test_files_of_both_splits_are_a_warning_of_the_data_set(tmp_path):
    """A pattern for the training files that takes the test file, too."""
    for split, chosen in (("train", slice(0, 40)), ("test", slice(40, 60))):
        encoded = []
        for image in LEVELS[chosen, 0]:
            Image.fromarray((image * 15).astype(np.uint8)).save(png := io.BytesIO(), "png")
            encoded.append({"bytes": png.getvalue(), "path": ""})
        table = pa.table({"image": encoded, "label": LABELS[chosen]})
        pq.write_table(table, tmp_path / f"{split}.parquet")
    method = {"name": "image-parquet", "folder": ".", "train": "*.parquet", "shape": [1, 8, 8], "classes": 10}
    data = catalog.build("datasets", method | {"sizes": {"train": 60, "test": 20}})
    with pytest.warns(RuntimeWarning, match="^dataset image-parquet: 20 of 20 test images are"):
        data.load(str(tmp_path))


@pytest.mark.parametrize(
    ("images", "facts", "part"),
    [
        (
            (LEVELS > 8).astype(np.uint8),
            {},
            "train images that are black: no pixel exceeds 1, and 255 is white",
        ),
        (SOUND / 255, STATED, "train images that are black: no pixel exceeds 0.00392157, and 1 is white"),
        (SOUND * 0, STATED, "train images that are black: no pixel exceeds 0, and 1 is white"),
        (
            SOUND,
            {"mean": (77.9,), "std": (95.9,)},
            "mean is (77.9,); must be 1 number in units of [0, 1], as (0.5,)",
        ),
        (SOUND, {"mean": (-0.1,), "std": (0.4,)}, "mean is (-0.1,); must be"),
        (SOUND, {"mean": (np.nan,), "std": (0.4,)}, "mean is (nan,); must be"),
        (SOUND, {"mean": (0.3,), "std": (0,)}, "std is (0,); must be"),
        (SOUND, {"mean": 0.3, "std": 0.4}, "mean is 0.3; must be"),
        (SOUND, {"mean": "a", "std": "b"}, "mean is a; must be"),
        (SOUND, {"mean": (0.3,) * 3, "std": (0.4,) * 3}, "must be 1 number in units"),
        (colour(SOUND), STATED, "must be 3 numbers in units of [0, 1], as (0.5, 0.5, 0.5)"),
        (
            SOUND,
            {},
            "without mean and std; must state both, which are measured for uint8 images in memory",
        ),
        (SOUND, {"mean": (0.3,)}, "without std; must state both"),
        ((SOUND * 255).astype(np.uint8), {"std": (0.3,)}, "without mean; must state both"),
    ],
)
def test_what_no_data_set_can_be_is_refused(images, facts, part):
    with pytest.raises(UserError) as caught:
        loaded(images, **facts)
    assert str(caught.value).startswith(f"{__file__}:")
    assert part in str(caught.value)


@pytest.mark.parametrize("images", [SOUND * np.nan, SOUND * 2 - 1, SOUND * 255, SOUND[:, :, :7]])
def test_what_the_data_stage_refuses_by_image_is_left_to_it(images):
    assert loaded(images, shape=(1, 8, 8), **STATED) == []


def test_a_folder_of_nearly_black_pictures_is_a_warning_of_the_data_set(tmp_path):
    for split in ("train", "test"):
        for label in (0, 1):
            folder = tmp_path / "mine" / split / str(label)
            folder.mkdir(parents=True)
            picture = LEVELS[label + 10 * (split == "test"), 0].astype(np.uint8)
            Image.fromarray(picture).save(folder / "a.png")
    method = {"name": "image-folder", "folder": "mine", "shape": [1, 8, 8], "classes": 2}
    data = catalog.build("datasets", method | {"sizes": {"train": 2, "test": 2}})
    with pytest.warns(RuntimeWarning, match="^dataset image-folder: all train images lie between 0 and 16"):
        data.load(str(tmp_path))
