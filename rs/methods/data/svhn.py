"""SVHN, cropped digits (Netzer et al. 2011), through torchvision's class: 73,257 training and 26,032 test
images of 32x32. The 531,131 extra images are not used.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

from rs.methods.data.archives import download, find, verify
from rs.methods.interfaces import Split


@dataclass(frozen=True)
class Svhn:
    """House numbers, 32x32 colour, digit 0 as label 0; from `data_dir`, or downloaded."""

    source: ClassVar[str] = "Netzer et al. (2011), Reading digits in natural images"
    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    classes: ClassVar[int] = 10
    sizes: ClassVar[dict[str, int]] = {"train": 73_257, "test": 26_032}
    mean: ClassVar[tuple[float, ...]] = (0.4377, 0.4438, 0.4728)
    std: ClassVar[tuple[float, ...]] = (0.1980, 0.2010, 0.1970)

    def load(self, data_dir: str | None) -> dict[str, Split]:
        from torchvision.datasets import SVHN

        splits = {}
        for split in ("train", "test"):
            _, file, md5 = SVHN.split_list[split]
            found = find(data_dir, "svhn", file)
            if found is None:
                fetch = functools.partial(SVHN, split=split, download=True)
                root = download("SVHN", data_dir, "svhn", file, fetch)
            else:
                verify(found, md5)
                root = found.parent
            data = SVHN(root, split)
            splits[split] = Split(data.data, data.labels)
        return splits
