"""CIFAR-10 (Krizhevsky 2009) through torchvision's class: 50,000 training and 10,000 test images of 32x32.

The batches are pickles, so they are read only if their md5 is the published one.
"""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from rs.methods.data.archives import download, extract, find, verify
from rs.methods.interfaces import Split


@dataclass(frozen=True)
class Cifar10:
    """Photographs of ten classes, 32x32 colour; from `data_dir`, or downloaded where there is a network."""

    source: ClassVar[str] = "Krizhevsky (2009), Learning multiple layers of features from tiny images"
    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    classes: ClassVar[int] = 10
    sizes: ClassVar[dict[str, int]] = {"train": 50_000, "test": 10_000}
    mean: ClassVar[tuple[float, ...]] = (0.4914, 0.4822, 0.4465)
    std: ClassVar[tuple[float, ...]] = (0.2470, 0.2435, 0.2616)

    def load(self, data_dir: str | None) -> dict[str, Split]:
        from torchvision.datasets import CIFAR10

        unpacked, packed = CIFAR10.base_folder, CIFAR10.filename
        with tempfile.TemporaryDirectory() as scratch:
            found = find(data_dir, "cifar10", unpacked, packed)
            if found is None:
                root = download(
                    "CIFAR-10", data_dir, "cifar10", packed, functools.partial(CIFAR10, download=True)
                )
            elif found.name == unpacked:
                root = found.parent
            else:
                verify(found, CIFAR10.tgz_md5)
                extract(found, scratch)
                root = Path(scratch)
            names = [*CIFAR10.train_list, *CIFAR10.test_list, [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]]
            for name, md5 in names:
                verify(root / unpacked / name, md5)
            return {"train": _split(root, True), "test": _split(root, False)}


def _split(root: Path, train: bool) -> Split:
    from torchvision.datasets import CIFAR10

    data = CIFAR10(root, train)
    return Split(np.asarray(data.data).transpose(0, 3, 1, 2), np.asarray(data.targets, np.int64))
