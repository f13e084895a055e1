"""Images of a prepared split by position: resident on the device, or streamed from their files.

Both classes have the same interface: `take` some positions, or walk through an order of them in `batches`.
Worker processes decode streamed images as in the literature (shorter side resized to 256, bilinear and
antialiased, then the centre of 224). With a margin they keep the whole centre square of the resized image,
from which an augmentation cuts boxes on the device (`rs.networks.augmentation`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from rs.errors import UserError
from rs.methods.data.images import decode, read
from rs.provenance.prepared import load_arrays, read_manifest

Positions = Sequence[int] | Tensor
Batch = tuple[Tensor, Tensor]  # float32 [B, C, H, W] in [0, 1], int64 [B], on the device


def as_float(images: Tensor) -> Tensor:
    """Images as networks see them: uint8 stands for value/255."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()


class Resident:
    """A split in the device's memory, in its stored type; `take` converts uint8 to float32."""

    def __init__(self, arrays: dict[str, np.ndarray], device: torch.device | str) -> None:
        self._images = torch.from_numpy(arrays["images"]).to(device)
        self.labels = torch.from_numpy(arrays["labels"]).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: Positions) -> Batch:
        chosen = torch.as_tensor(positions, dtype=torch.int64, device=self.labels.device)
        return as_float(self._images[chosen]), self.labels[chosen]

    def batches(self, order: Positions, batch_size: int) -> Iterator[Batch]:
        """Consecutive pieces of `order`, the last one as short as it comes out."""
        for chosen in torch.as_tensor(order, device=self.labels.device).split(batch_size):
            yield self.take(chosen)


class Streamed:
    """A split on disk, decoded by `workers` processes (0: by this one). Raises UserError that names a bad
    file.
    """

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        entry: dict[str, Any],
        size: Sequence[int],
        device: torch.device | str,
        workers: int = 0,
    ) -> None:
        folder = Path(entry["folder"])
        if not folder.is_dir():
            raise UserError(
                f"{folder}: the images were here when they were prepared; "
                "`rs data --study FILE --again` prepares them where they are now"
            )
        self._files = ImageFiles(folder, arrays, entry["resize"], (size[0], size[1]))
        self._device, self._workers = torch.device(device), workers
        self.labels = torch.from_numpy(arrays["labels"]).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: Positions) -> Batch:
        chosen = torch.as_tensor(positions, dtype=torch.int64)
        return next(self._stream([chosen], 0))

    def batches(self, order: Positions, batch_size: int) -> Iterator[Batch]:
        """Consecutive pieces of `order`, the last one as short as it comes out."""
        return self._stream(list(torch.as_tensor(order, dtype=torch.int64).split(batch_size)), self._workers)

    def _stream(self, pieces: list[Tensor], workers: int) -> Iterator[Batch]:
        on_gpu = self._device.type == "cuda"
        loader: DataLoader[Any] = DataLoader(
            self._files,
            batch_sampler=[piece.tolist() for piece in pieces],
            num_workers=workers,
            collate_fn=collate,
            pin_memory=on_gpu,
            generator=torch.Generator(),  # not the process's generator
        )
        for images, chosen, problem in loader:
            if problem:
                raise UserError(problem)
            x = as_float(images.to(self._device, non_blocking=on_gpu))
            yield x, self.labels[chosen.to(self._device, non_blocking=on_gpu)]


class ImageFiles(TorchDataset[Any]):
    """Decodes one file at a time: uint8 [3, *size], or the text of an error (an exception in a worker process
    would lose its one-line form).
    """

    def __init__(
        self, folder: Path, arrays: dict[str, np.ndarray], resize: int, size: tuple[int, int]
    ) -> None:
        self.folder, self.resize, self.size = folder, resize, size
        self.paths, self.bytes = (
            arrays["paths"],
            arrays["bytes"],
        )  # arrays, whose pages worker processes share
        self.ends = np.flatnonzero(self.paths == 0)

    def path(self, position: int) -> Path:
        start = self.ends[position - 1] + 1 if position else 0
        return self.folder / os.fsdecode(self.paths[start : self.ends[position]].tobytes())

    def __getitem__(self, position: int) -> tuple[Tensor, int] | str:
        try:
            return torch.from_numpy(self.pixels(position)), position
        except UserError as error:
            return str(error)

    def pixels(self, position: int) -> np.ndarray:
        from torchvision.transforms import functional

        path = self.path(position)
        content = read(path)
        if len(content) != self.bytes[position]:
            was = self.bytes[position]
            raise UserError(f"{path}: {len(content)} bytes, but {was} when it was prepared; copy it again")
        resized = functional.resize(decode(content, str(path)).convert("RGB"), [self.resize])
        cropped = functional.center_crop(resized, list(self.size))
        return np.array(cropped).transpose(2, 0, 1)


def collate(items: list[tuple[Tensor, int] | str]) -> tuple[Tensor, Tensor, str]:
    """Images, positions, and the first error text among the items (or an empty one)."""
    problem = next((item for item in items if isinstance(item, str)), "")
    good = [item for item in items if not isinstance(item, str)]
    if problem or not good:
        return torch.empty(0), torch.empty(0), problem
    return torch.stack([image for image, _ in good]), torch.tensor([p for _, p in good]), ""


def open_split(
    manifest_path: Path,
    split: str,
    device: torch.device | str = "cpu",
    workers: int = 0,
    margin: bool = False,
) -> Resident | Streamed:
    """The images of a prepared split. `workers` and `margin` matter only for streamed images."""
    manifest, arrays = read_manifest(manifest_path), load_arrays(manifest_path, split)
    entry = manifest["splits"][split].get("streamed")
    if entry is None:
        return Resident(arrays, device)
    size = [entry["resize"]] * 2 if margin else manifest["shape"][1:]
    return Streamed(arrays, entry, size, device, workers)


def load_images(
    manifest_path: Path, split: str, positions: Positions, device: torch.device | str = "cpu"
) -> Batch:
    """A few images of a split, resident or streamed: float32 [B, C, H, W] in [0, 1] and labels int64 [B]."""
    return open_split(manifest_path, split, device).take(positions)
