"""scikit-learn's handwritten digits (UCI, Alpaydin & Kaynak 1998): 1,797 real 8x8 images, inside the package.

Departure: the set has no published split. Every fifth image (positions 0, 5, 10, ...) is the test split, so
both hold all writers and all classes: 360 test and 1,437 training images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rs.methods.interfaces import Split


@dataclass(frozen=True)
class Digits:
    """1,797 handwritten digits of 8x8 pixels with 17 grey levels; no download."""

    source: ClassVar[str] = "scikit-learn load_digits (UCI Optical Recognition of Handwritten Digits)"
    shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    classes: ClassVar[int] = 10
    sizes: ClassVar[dict[str, int]] = {"train": 1437, "test": 360}
    mean: ClassVar[tuple[float, ...]] = (0.3055,)
    std: ClassVar[tuple[float, ...]] = (0.3761,)

    def load(self, data_dir: str | None) -> dict[str, Split]:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = (bunch.images[:, None] / 16).astype(np.float32)
        labels = bunch.target.astype(np.int64)
        test = np.arange(len(labels)) % 5 == 0
        return {"train": Split(images[~test], labels[~test]), "test": Split(images[test], labels[test])}
