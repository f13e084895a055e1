"""What table and page call the images' classes, which way up images are, and pages of many images."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rs.api.certification import certification
from rs.api.counts import Counts
from rs.foreign.image_sources import folder, open_pictures
from rs.foreign.labels import names_of
from rs.foreign.pictures import Pictures
from rs.foreign.result import Result
from rs.provenance.files import read_table
from rs.report.model import write_model_page
from rs.statistics.draws import Draws, Votes

DIGITS = ("--model", "entry:mynet:net", "--channels", "1", "--sigma", "0.25", "--out", "out", "--n", "200")
TURNED = "images with an EXIF orientation: 1, certified as their pixels lie"


def test_class_folders_name_the_classes_of_a_model_without_names(certify):
    for i, digit in enumerate(sorted(Path("sorted").iterdir())):
        digit.rename(f"sorted/{'abcdefghij'[i]} digit")
    assert certify(*DIGITS, "--data", "sorted", "--images", "5")[0] == 0
    found = read_table(Path("out/images.parquet"))[0].to_pandas()
    names = [f"{'abcdefghij'[p]} digit" if p >= 0 else "abstains" for p in found["prediction"]]
    assert found["class"].tolist() == names
    assert set(names) - {"abstains"}
    page = Path("out/report.html").read_text()
    assert all(name in page for name in names)


def test_folders_that_are_numbers_stay_numbers(certify):
    pictures = folder(Path("sorted"))
    assert names_of(pictures, [int(pictures.groups[label]) for label in pictures.labels]) == {
        digit: str(digit) for digit in range(10)
    }
    assert names_of(pictures, None) == {}
    assert names_of(Pictures("t", ["a"], bytes, [3]), [3]) == {}


def sideways(path: Path, orientation: int = 6) -> np.ndarray:
    """Writes an image that EXIF calls turned; its pixels as they lie."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return pixels


def test_images_of_a_folder_lie_as_torchvisions_loaders_give_them(certify):
    from torchvision.datasets.folder import default_loader

    pixels = sideways(Path("photos/03.png"))
    assert np.array_equal(np.asarray(folder(Path("photos")).image(3)), pixels)
    assert np.array_equal(np.asarray(default_loader("photos/03.png"))[..., 0], pixels)
    _, out, _ = certify(*DIGITS, "--data", "photos")
    assert TURNED in out
    assert TURNED in Path("out/report.html").read_text().replace("&#39;", "'")
    _, out, _ = certify(*DIGITS, "--data", "photos", "--images", "2")  # the first and the seventh
    assert "EXIF" not in out


def test_images_of_tables_lie_as_the_datasets_library_gives_them(place):
    pixels = sideways(Path("one.png"))
    rows = [{"bytes": Path("one.png").read_bytes(), "path": None}]
    pq.write_table(pa.table({"image": rows, "label": [0]}), "table.parquet")
    for labelled in (True, False):
        found = np.asarray(open_pictures(Path("table.parquet"), None, labelled).image(0))
        assert np.array_equal(found, np.rot90(pixels, -1))  # 6: the camera was turned to the left


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_orientations_that_say_nothing(certify, orientation):
    sideways(Path("photos/03.png"), orientation)
    assert "EXIF" not in certify(*DIGITS, "--data", "photos")[1]


def many(images: int) -> Result:
    """As after a call: radii that are nearly all different."""
    rng, n = np.random.default_rng(0), 10**6
    hits = rng.integers(0, n + 1, images)
    votes = Votes(np.tile([100, 0], (images, 1))), Votes(np.stack([hits, n - hits], 1))
    at, labels = np.arange(images), rng.integers(0, 2, images)
    drawn = Draws(at, labels, *votes, 64, rng.random(images), "fixed", {}, {})
    noise = {"name": "gaussian", "sigma": 0.5}
    found = certification("certify", Counts(drawn, noise), {"name": "cohen"}, 0.1)
    pictures: Any = SimpleNamespace(names=[str(i) for i in at], image=lambda i: i, where=str)
    prepared = SimpleNamespace(pixels=lambda image, where: np.zeros((1, 8, 8), np.uint8))
    model: Any = SimpleNamespace(classes=None, title="net", preprocessing=prepared)
    return Result(model, pictures, found, 2.5, [], {}, {})


def test_shares_are_counted():
    result = many(300)
    radii = result.radii()
    at = [0.0, *radii[radii > 0][:50], 0.3, 9.0]
    assert result.accuracy(at)["share"].tolist() == [float((radii >= r).mean()) for r in at]
    accuracies = result.certified.certified_accuracy(at)["certified_accuracy"]
    assert accuracies.tolist() == [float((radii >= r).mean()) for r in at]


def test_a_page_of_many_images_is_no_larger_than_a_screen_shows(tmp_path):
    """Neither memory nor the page grows with the product of images and radii."""
    result = many(20_000)
    tracemalloc.start()
    page = result.page((0.0, 0.5), "made")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 60e6, "a matrix of images and radii holds 200 MB"
    write_model_page(tmp_path / "page.html", page)
    few = many(5_000).page((0.0, 0.5), "made")
    write_model_page(tmp_path / "few.html", few)
    large, small = ((tmp_path / f"{name}.html").stat().st_size for name in ("page", "few"))
    assert large < 1.25 * small
