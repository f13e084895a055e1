"""The data stage: a data set's splits as tensors on disk, checked once, with a small manifest that jobs
depend on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as packed

from rs.interfaces import Dataset, Split, UserError
from rs.provenance import file_digest, provenance, read_json, whole_file, write_json


def prepare(
    spec: dict[str, Any], dataset: Dataset, data_dir: str | None, outputs: dict[str, Path], code: str
) -> None:
    """Loads, checks and writes `train` and `test` as safetensors, then the manifest."""
    name = spec["data"]["name"]
    splits = dataset.load(data_dir)
    files = {}
    for split, data in splits.items():
        check(name, split, dataset, data)
        with whole_file(outputs[split]) as temporary:
            arrays = {"images": np.ascontiguousarray(data.images), "labels": data.labels}
            temporary.write_bytes(packed(arrays))
        sha256 = file_digest(outputs[split])
        files[split] = {"file": outputs[split].name, "images": len(data.labels), "sha256": sha256}
    manifest = {
        "name": name,
        "shape": list(dataset.shape),
        "classes": dataset.classes,
        "mean": list(dataset.mean),
        "std": list(dataset.std),
        "splits": files,
        "provenance": provenance(spec, code),
    }
    write_json(outputs["manifest"], manifest)


def check(name: str, split: str, dataset: Dataset, data: Split) -> None:
    """Counts, shapes, label range and value range, before anything is trained on them."""
    images, labels = data.images, data.labels
    where = f"data {name}, {split} split"
    if images.shape[1:] != tuple(dataset.shape) or len(images) != len(labels) or len(images) == 0:
        expected = "x".join(map(str, dataset.shape))
        has = "x".join(map(str, images.shape[1:]))
        raise UserError(
            f"{where}: {len(images)} images of {has} for {len(labels)} labels; expected {expected}"
        )
    sizes = getattr(dataset, "sizes", {})
    if split in sizes and len(images) != sizes[split]:
        raise UserError(f"{where}: {len(images)} images; expected {sizes[split]}")
    if labels.min() < 0 or labels.max() >= dataset.classes:
        bad = int(np.flatnonzero((labels < 0) | (labels >= dataset.classes))[0])
        raise UserError(f"{where}: image {bad} has label {labels[bad]}; allowed 0 to {dataset.classes - 1}")
    if images.dtype != np.uint8 and not (images.min() >= 0 and images.max() <= 1):
        raise UserError(f"{where}: pixels between {images.min()} and {images.max()}; allowed 0 to 1")


def read_manifest(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = read_json(path)
    if not isinstance(manifest, dict) or "splits" not in manifest:
        raise UserError(f"{path}: not a data manifest; run the data stage again")
    return manifest


def load_split(
    manifest_path: Path, split: str, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images float32 [N, C, H, W] in [0, 1] and labels int64 [N], resident on `device`."""
    entry = read_manifest(manifest_path)["splits"][split]
    path = manifest_path.with_name(entry["file"])
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        advice = f"remove {manifest_path} and run again"
        raise UserError(f"{path}: missing or truncated ({error}); {advice}") from error
    if file_digest(path) != entry["sha256"]:
        raise UserError(f"{path}: changed since it was prepared; remove {manifest_path} and run again")
    images = torch.from_numpy(arrays["images"]).to(device)
    images = images.float().div_(255) if images.dtype == torch.uint8 else images.float()
    return images, torch.from_numpy(arrays["labels"]).to(device)
