"""What viewers, notebooks and archives leave beside images is no image and no class."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_images import encoded, random_images

from rs.errors import UserError
from rs.methods.data.image_folder import ImageFolder
from rs.methods.data.image_parquet import ImageParquet

OWN = ImageFolder("own", (3, 6, 5), 2, {"train": 4, "test": 4})


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Two images of each class in both splits, and strays beside them."""
    image = encoded(random_images(1, (3, 6, 5))[0])
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            place = tmp_path / "own" / split / name
            for file in ("a.png", "b.png", ".ipynb_checkpoints/a-checkpoint.png", "x/.thumbnails/a.png"):
                (place / file).parent.mkdir(parents=True, exist_ok=True)
                (place / file).write_bytes(image)
            (place / "._a.png").write_bytes(b"resource fork")
        (tmp_path / "own" / split / ".Trash").mkdir()
    return tmp_path


def test_hidden_files_and_folders_are_no_images_and_no_classes(own: Path) -> None:
    found = OWN.load(str(own))
    assert {name: len(split.labels) for name, split in found.items()} == {"train": 4, "test": 4}
    assert found["test"].labels.tolist() == [0, 0, 1, 1]


def test_unknown_class_folders_are_all_named(own: Path) -> None:
    (own / "own/test/cat").rename(own / "own/test/Cat")
    with pytest.raises(UserError, match=r"test: lacks the class folder cat \(of 2\); it has Cat instead"):
        OWN.load(str(own))
    (own / "own/test/Cat").rename(own / "own/test/cat")
    for i in range(10):
        (own / f"own/test/z{i}").mkdir()
    with pytest.raises(UserError, match=r"test: z0, z1, .*, z7 and 2 more are none of the 2 class folders"):
        OWN.load(str(own))
    (own / "own/train/__MACOSX").mkdir()
    with pytest.raises(UserError, match=r"3 class folders \(__MACOSX, cat, dog\); the study says classes: 2"):
        OWN.load(str(own))


def test_a_pattern_of_parquet_files_passes_hidden_ones_over(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/._train-0.parquet").write_bytes(b"resource fork")
    own = ImageParquet("own", (3, 6, 5), 2, {"train": 4, "test": 4}, train="*.parquet")
    with pytest.raises(UserError, match=r"own/\*\.parquet: no such file"):
        own.load(str(tmp_path))
