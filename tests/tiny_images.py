"""Encoded images for tests of data sets that lie in files, and prepared data sets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from rs.methods import catalog
from rs.networks.images import open_split
from rs.stages.data import prepare


def encoded(array: np.ndarray, form: str = "PNG") -> bytes:
    """An image file of uint8 [C, H, W]."""
    buffer = io.BytesIO()
    image = Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0))
    image.save(buffer, form)
    return buffer.getvalue()


def random_images(n: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape)).astype(np.uint8)


def smooth_photo(height: int, width: int, seed: int) -> np.ndarray:
    """uint8 [3, H, W] that JPEG hardly changes: a few waves of colour."""
    a, b, c = np.random.default_rng(seed).uniform(0.02, 0.1, 3)
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(a * rows + b * columns), np.cos(b * rows), np.sin(c * columns + 1)]
    return (127.5 + 100 * np.stack(waves)).astype(np.uint8)


def outputs(folder: Path) -> dict[str, Path]:
    return {
        "manifest": folder / "manifest.json",
        "train": folder / "train.safetensors",
        "test": folder / "test.safetensors",
    }


def prepared(folder: Path, data: dict[str, Any], data_dir: Path | str) -> Path:
    """The manifest of a data set prepared as the data stage does it."""
    prepare({"data": data}, catalog.build("datasets", data), str(data_dir), outputs(folder), "code")
    return folder / "manifest.json"


def load_split(manifest: Path, split: str) -> tuple[Tensor, Tensor]:
    """All images of a prepared split, float32 [N, C, H, W], and labels int64 [N]."""
    images = open_split(manifest, split)
    return images.take(range(len(images)))
