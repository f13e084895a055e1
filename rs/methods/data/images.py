"""Image files of data sets in folders or Parquet files: decoded and checked against the shape."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from rs.errors import UserError
from rs.methods.interfaces import Split
from rs.provenance.reading import IMAGE, read_bytes
from rs.settings.limits import Images

if TYPE_CHECKING:
    from PIL.Image import Image

Side = Annotated[int, Field(ge=1, le=10_000)]
Shape = tuple[Literal[1, 3], Side, Side]


class Sizes(TypedDict):
    """Numbers of images of a user's own data set, as the study states them."""

    train: Images
    test: Images


# modes whose pixels survive the conversion to grey or to RGB, unless some are transparent
LOSSLESS = {1: ("1", "L"), 3: ("1", "L", "P", "RGB", "CMYK", "YCbCr")}


def read(file: Path) -> bytes:
    return read_bytes(file, IMAGE)


def decode(content: bytes, place: str) -> Image:
    """A JPEG, PNG, ... fully decoded by Pillow. Raises UserError that names `place` where it is damaged."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except UnidentifiedImageError as error:
        raise UserError(f"{place}: corrupt, or no image of a known format; copy it again") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{place}: truncated or corrupt image ({reason}); copy it again") from error
    return image


def refusal(image: Image, channels: int) -> str:
    """Why the image has other pixels in as many channels (1: grey, 3: RGB), and what is allowed; empty if it
    has not.
    """
    transparent = "transparency" in image.info  # of a colour or a palette's entries; other modes say it
    if image.mode in LOSSLESS[channels] and not transparent:
        return ""
    mode = f"{image.mode} with transparency" if transparent else image.mode
    allowed = f"8-bit grey{' or colour' * (channels > 1)}"
    if transparent or channels > 1:
        allowed += " without transparency"
    return f"its mode is {mode}; allowed for channels = {channels}: {allowed}"


def pixels(image: Image, shape: tuple[int, int, int], place: str, resize: bool) -> np.ndarray:
    """uint8 [C, H, W]. `resize` cuts the image to the aspect ratio and resizes it (bilinear, antialiased)."""
    channels, height, width = shape
    if refused := refusal(image, channels):
        raise UserError(f"{place}: {refused}")
    converted = image.convert("L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        if not resize:
            size = f"{converted.size[1]}x{converted.size[0]}"
            raise UserError(f"{place}: {size} pixels; expected {height}x{width} (resize: true resizes)")
        from PIL import Image, ImageOps

        converted = ImageOps.fit(converted, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(converted).reshape(height, width, channels).transpose(2, 0, 1)


def resident(
    files: Iterable[tuple[bytes, str]], labels: np.ndarray, shape: tuple[int, int, int], resize: bool = False
) -> Split:
    """One split held in memory: every image, given as content and place, decoded into one array."""
    images = np.empty((len(labels), *shape), np.uint8)
    for i, (content, place) in enumerate(files):
        images[i] = pixels(decode(content, place), shape, place, resize)
    return Split(images, labels)


def listed(folder: Path, classes: list[str]) -> tuple[list[str], np.ndarray]:
    """Image files under `folder`/<class>, relative to `folder` and sorted, and their labels. Hidden files and
    folders are left out.

    Raises UserError for a class folder that is missing, not among `classes`, or without an image.
    """
    from torchvision.datasets.folder import is_image_file

    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; it holds one folder of images per class")
    present = class_folders(folder)
    lacking = [name for name in classes if name not in present]
    unknown = [name for name in present if name not in classes]
    if lacking:
        plural, beside = "s" * (len(lacking) > 1), f"; it has {some(unknown)} instead" if unknown else ""
        raise UserError(
            f"{folder}: lacks the class folder{plural} {some(lacking)} (of {len(classes)}){beside}"
        )
    if unknown:
        verb = "are" if len(unknown) > 1 else "is"
        raise UserError(f"{folder}: {some(unknown)} {verb} none of the {len(classes)} class folders")
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = []
        for root, folders, names in os.walk(folder / name, followlinks=True):
            folders[:] = [f for f in folders if not hidden(f)]
            inside = os.path.relpath(root, folder)
            found += [os.path.join(inside, f) for f in names if is_image_file(f) and not hidden(f)]
        if not found:
            raise UserError(f"{folder / name}: holds no image")
        paths += sorted(found)
        labels += [label] * len(found)
    return paths, np.array(labels, np.int64)


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted; a class's label is its position. Hidden ones are left out."""
    try:
        return sorted(e.name for e in os.scandir(folder) if e.is_dir() and not hidden(e.name))
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; it holds one folder of images per class") from error


def hidden(name: str) -> bool:
    """Whether a name is hidden, as those that viewers and notebooks leave: .thumbnails, ._name.png."""
    return name.startswith(".")


def some(names: list[str]) -> str:
    """Up to eight names, and the number of the others."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def interleaved(labels: np.ndarray) -> np.ndarray:
    """An order of positions in which every stretch holds all classes in proportion.

    Training images sorted by class are stored in this order, so that the last ones can be held out.
    """
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    share = (rank + 0.5) / np.bincount(labels)[labels]
    return np.lexsort((labels, share))
