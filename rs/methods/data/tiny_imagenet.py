"""Tiny ImageNet (Stanford CS231n, 2015): 200 classes of 500 training and 50 validation images of 64x64.

Labels are the positions of the 200 WordNet ids in sorted order, as with every folder of class folders. The
labels of the set's test images were never published, so the validation images are the test split, in the
order of their annotation file. Training images are not sorted by class; the classes take turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from rs.errors import UserError
from rs.methods.data import images
from rs.methods.data.archives import find
from rs.methods.interfaces import Split
from rs.provenance.reading import TEXT, read_bytes

FOLDER = "tiny-imagenet-200"


@dataclass(frozen=True)
class TinyImageNet:
    """Photographs of 200 classes, 64x64 colour, in the published folder `tiny-imagenet-200`."""

    source: ClassVar[str] = "Le & Yang (2015), Tiny ImageNet visual recognition challenge (Stanford CS231n)"
    shape: ClassVar[tuple[int, int, int]] = (3, 64, 64)
    classes: ClassVar[int] = 200
    sizes: ClassVar[dict[str, int]] = {"train": 100_000, "test": 10_000}
    mean: ClassVar[tuple[float, ...]] = (0.4802, 0.4481, 0.3975)
    std: ClassVar[tuple[float, ...]] = (0.2770, 0.2691, 0.2821)

    def load(self, data_dir: str | None) -> dict[str, Split]:
        folder = find(data_dir, "tiny-imagenet", FOLDER)
        if folder is None:
            top = Path(data_dir or "data")
            raise UserError(
                f"{top}: Tiny ImageNet is not here; unpack {FOLDER}.zip into it "
                "(or set data_dir or RS_DATA_DIR to where it is)"
            )
        wnids = sorted(_lines(folder / "wnids.txt"))
        if len(wnids) != self.classes:
            raise UserError(f"{folder / 'wnids.txt'}: {len(wnids)} classes; expected {self.classes}")
        paths, labels = images.listed(folder / "train", wnids)
        order = images.interleaved(labels)
        train = [folder / "train" / paths[i] for i in order]
        test, test_labels = _annotated(folder / "val", wnids)
        return {"train": self._split(train, labels[order]), "test": self._split(test, test_labels)}

    def _split(self, files: list[Path], labels: np.ndarray) -> Split:
        return images.resident(((images.read(f), str(f)) for f in files), labels, self.shape)


def _lines(file: Path) -> list[str]:
    try:
        text = read_bytes(file, TEXT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: cannot be read ({error}); copy it again") from error
    return [line for line in text.splitlines() if line.strip()]


def _annotated(folder: Path, wnids: list[str]) -> tuple[list[Path], np.ndarray]:
    """Files and labels from val_annotations.txt, whose lines hold file, WordNet id and box, separated by
    tabs.
    """
    annotations, label_of = folder / "val_annotations.txt", {wnid: i for i, wnid in enumerate(wnids)}
    files, labels = [], []
    for number, line in enumerate(_lines(annotations), 1):
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in label_of:
            raise UserError(f"{annotations}: line {number}: {wnid!r} is none of the {len(wnids)} classes")
        files.append(folder / "images" / name)
        labels.append(label_of[wnid])
    return files, np.array(labels, np.int64)
