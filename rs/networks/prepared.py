"""Prepared images as networks see them."""

from __future__ import annotations

from pathlib import Path

import torch

from rs.errors import UserError
from rs.provenance.prepared import load_arrays, read_manifest


def load_split(
    manifest_path: Path, split: str, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images float32 [N, C, H, W] in [0, 1] and labels int64 [N], resident on `device`."""
    arrays = load_arrays(manifest_path, split)
    if "images" not in arrays:
        name = read_manifest(manifest_path)["name"]
        raise UserError(f"data {name}: too large to be held in memory, as this stage needs it")
    images = torch.from_numpy(arrays["images"]).to(device)
    return as_float(images), torch.from_numpy(arrays["labels"]).to(device)


def as_float(images: torch.Tensor) -> torch.Tensor:
    """Images as networks see them: uint8 stands for value/255."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()
