"""A user's own images: one folder per split, with one folder per class in it (torchvision's ImageFolder).

Labels are the positions of the class folders' names in sorted order, the same in both splits. Test images are
in the order of their paths. Training images are not sorted by class but interleaved in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from rs.errors import UserError
from rs.methods.data import images
from rs.methods.data.images import Shape, Sizes
from rs.methods.interfaces import Split


@dataclass(frozen=True)
class ImageFolder:
    """Your own images in `data_dir`/`folder`: train/<class>/*.png, test/<class>/*.png (or .jpg, ...).

    They are held in memory. Images of another size than `shape` are refused; with `resize` they are cut to
    its aspect ratio and resized.
    """

    source: ClassVar[str] = "your own images (a folder per class)"

    folder: str
    shape: Shape
    classes: Annotated[int, Field(ge=2, le=1_000_000)]
    sizes: Sizes = field(hash=False)
    train: str = "train"
    test: str = "test"
    resize: bool = False

    def load(self, data_dir: str | None) -> dict[str, Split]:
        folder = Path(data_dir or "data") / self.folder
        names = images.class_folders(folder / self.train)
        if len(names) != self.classes:
            held = f"{len(names)} class folders ({images.some(names) or 'none'})"
            raise UserError(f"{folder / self.train}: {held}; the study says classes: {self.classes}")
        splits = {}
        for split, name in (("train", self.train), ("test", self.test)):
            paths, labels = images.listed(folder / name, names)
            order = images.interleaved(labels) if split == "train" else range(len(labels))
            files = [folder / name / paths[i] for i in order]
            content = ((images.read(file), str(file)) for file in files)
            splits[split] = images.resident(content, labels[order], self.shape, self.resize)
        return splits
