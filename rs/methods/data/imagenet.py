"""ImageNet, ILSVRC 2012 (Russakovsky et al. 2015), in the layout of torchvision's class, which unpacks the
archives: 1,281,167 training images, and the 50,000 validation images as the test split.

It does not fit into memory: preparation lists the files, and they are decoded on use (`rs.networks.images`).
Labels are positions of the WordNet ids in sorted order. Validation images are sorted by class and name, so
every 100th of them is the papers' subset of 500. Training images are not sorted by class but interleaved in
proportion.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rs.errors import UserError
from rs.methods.data import images
from rs.methods.data.archives import find
from rs.methods.interfaces import Files

FOLDERS = {"train": "train", "test": "val"}  # torchvision's


@dataclass(frozen=True)
class ImageNet:
    """Photographs of 1,000 classes, 224x224 colour, streamed from `data_dir`/imagenet."""

    source: ClassVar[str] = "Russakovsky et al. (2015), ImageNet large scale visual recognition challenge"
    shape: ClassVar[tuple[int, int, int]] = (3, 224, 224)
    classes: ClassVar[int] = 1000
    sizes: ClassVar[dict[str, int]] = {"train": 1_281_167, "test": 50_000}
    mean: ClassVar[tuple[float, ...]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, ...]] = (0.229, 0.224, 0.225)

    def load(self, data_dir: str | None) -> dict[str, Files]:
        from torchvision.datasets.imagenet import ARCHIVE_META, META_FILE

        archives = {key: name for key, (name, _) in ARCHIVE_META.items()}
        first = find(data_dir, "imagenet", META_FILE, archives["devkit"])
        root = first.parent if first else Path(data_dir or "data") / "imagenet"
        if first is None:
            raise UserError(
                f"{root}: lacks ImageNet's development kit; put {archives['devkit']} there, beside "
                f"{archives['train']} and {archives['val']} (or the folders train and val that torchvision "
                "made of them)"
            )
        for split in FOLDERS.values():
            if not (root / split).is_dir() and not (root / archives[split]).is_file():
                raise UserError(f"{root}: lacks both {archives[split]} and the folder {split} made of it")
        wnids = self._unpacked(root)
        if len(wnids) != self.classes:
            raise UserError(f"{root / META_FILE}: {len(wnids)} classes; expected {self.classes}")
        splits = {}
        for split, folder in FOLDERS.items():
            paths, labels = images.listed(root / folder, wnids)
            order = images.interleaved(labels) if split == "train" else range(len(labels))
            splits[split] = Files(root / folder, [paths[i] for i in order], labels[order], resize=256)
        return splits

    @staticmethod
    def _unpacked(root: Path) -> list[str]:
        """Lets torchvision unpack the archives; returns the development kit's WordNet ids, sorted."""
        from torchvision.datasets import imagenet

        try:
            if not (root / imagenet.META_FILE).is_file():
                imagenet.parse_devkit_archive(root)
            names, _ = imagenet.load_meta_file(root)
            for split, unpack in (
                ("train", imagenet.parse_train_archive),
                ("val", imagenet.parse_val_archive),
            ):
                if not (root / split).is_dir():
                    unpack(root)
        except Exception as error:  # torch.load and tarfile raise many kinds
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{root}: ImageNet cannot be unpacked or read: {reason}") from error
        return sorted(names)
