"""MNIST (LeCun, Cortes & Burges) through torchvision's class: 60,000 training and 10,000 test images of
28x28.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from rs.errors import UserError
from rs.methods.interfaces import Split

FILES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


@dataclass(frozen=True)
class Mnist:
    """Handwritten digits, 28x28 grey; from `data_dir`, or downloaded where there is a network."""

    source: ClassVar[str] = "LeCun, Cortes & Burges, The MNIST database"
    shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    classes: ClassVar[int] = 10
    sizes: ClassVar[dict[str, int]] = {"train": 60_000, "test": 10_000}
    mean: ClassVar[tuple[float, ...]] = (0.1307,)
    std: ClassVar[tuple[float, ...]] = (0.3081,)

    def load(self, data_dir: str | None) -> dict[str, Split]:
        from torchvision.datasets import MNIST
        from torchvision.datasets.utils import extract_archive

        folder = Path(data_dir or "data")
        # torchvision reads unpacked files in MNIST/raw; packed ones may lie there, in mnist/ or in the folder
        with tempfile.TemporaryDirectory() as scratch:
            raw = Path(scratch) / "MNIST" / "raw"
            raw.mkdir(parents=True)
            places = [folder / "MNIST" / "raw", folder / "mnist", folder / "MNIST", folder]
            found = {name: self._find(places, name) for name in FILES}
            if all(found.values()):
                for name, path in found.items():
                    assert path is not None
                    try:
                        if path.suffix == ".gz":
                            packed = Path(shutil.copy(path, Path(scratch)))
                            extract_archive(str(packed), str(raw))
                        else:
                            (raw / name).symlink_to(path.resolve())
                    except (OSError, EOFError, zlib.error) as error:
                        raise UserError(f"{path}: truncated or corrupt ({error}); copy it again") from error
                    check_idx(raw / name, path)
                root, download = scratch, False
            else:
                root, download = str(folder), True
            splits = {}
            for split in ("train", "test"):
                try:
                    data = MNIST(root, train=split == "train", download=download)
                except (OSError, RuntimeError) as error:
                    if not download:
                        raise UserError(f"{folder}: MNIST cannot be read ({error}); copy it again") from error
                    lacks = ", ".join(f"{n}.gz" for n, p in found.items() if p is None)
                    raise UserError(
                        f"{folder}: MNIST is not here and could not be downloaded; put {lacks} into "
                        f"{folder / 'mnist'} (or set data_dir or RS_DATA_DIR to where they are)"
                    ) from error
                splits[split] = Split(data.data.numpy()[:, None], data.targets.numpy().astype(np.int64))
        return splits

    @staticmethod
    def _find(places: list[Path], name: str) -> Path | None:
        candidates = [place / f"{name}{suffix}" for place in places for suffix in ("", ".gz")]
        return next((c for c in candidates if c.is_file()), None)


def check_idx(file: Path, source: Path) -> None:
    """Checks that the file has the rank in its name and the length in its header (two zeros, type 8, rank,
    one 32-bit size per axis).
    """
    with open(file, "rb") as f:
        head = f.read(16)
    rank = head[3] if len(head) >= 8 and head[:3] == b"\0\0\x08" else 0
    sizes = [int.from_bytes(head[4 + 4 * i : 8 + 4 * i], "big") for i in range(min(rank, 3))]
    length, needs = file.stat().st_size, 4 + 4 * rank + math.prod(sizes)
    expected = 3 if "idx3" in file.name else 1
    if rank in (1, 3) and rank != expected:
        holds = {1: "labels", 3: "images"}
        raise UserError(
            f"{source}: holds {holds[rank]}, not {holds[expected]}: it and its {holds[rank]} changed places"
        )
    if rank not in (1, 3) or length != needs:
        wrong = f"{length} bytes instead of {needs}" if rank in (1, 3) else "no IDX header"
        raise UserError(f"{source}: truncated or corrupt ({wrong}); copy it again")
