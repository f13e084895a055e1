"""The data stage: a data set's splits as tensors on disk, checked once, with a small manifest that jobs
depend on.

For a data set that is too large for memory, the tensors are labels, paths and sizes of its image files. The
files stay where they are (`rs.networks.images` decodes them).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save as packed

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.interfaces import Dataset, Files, Split
from rs.provenance.digests import file_digest
from rs.provenance.files import provenance, whole_file, write_json

if TYPE_CHECKING:
    from rs.plan.jobs import Job


def run_job(job: Job, device: None, code: str) -> None:
    dataset = catalog.build("datasets", job.spec["data"])
    prepare(job.spec, dataset, job.data_dir or os.environ.get("RS_DATA_DIR"), job.outputs, code)


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
            temporary.write_bytes(packed(arrays_of(data)))
        sha256 = file_digest(outputs[split])
        files[split] = {"file": outputs[split].name, "images": len(data.labels), "sha256": sha256}
        if isinstance(data, Files):
            files[split]["streamed"] = {"folder": str(data.folder.resolve()), "resize": data.resize}
    mean, std = getattr(dataset, "mean", None), getattr(dataset, "std", None)
    if mean is None or std is None:
        mean, std = statistics(name, splits["train"])
    manifest = {
        "name": name,
        "shape": list(dataset.shape),
        "classes": dataset.classes,
        "mean": list(mean),
        "std": list(std),
        "splits": files,
        "provenance": provenance(spec, code),
    }
    write_json(outputs["manifest"], manifest)


def arrays_of(data: Split | Files) -> dict[str, np.ndarray]:
    """The arrays that are stored for a split. Paths are joined by zero bytes."""
    if isinstance(data, Split):
        return {"images": np.ascontiguousarray(data.images), "labels": data.labels}
    sizes = []
    for path in data.paths:
        try:
            sizes.append(os.stat(data.folder / path).st_size)
        except OSError as error:
            raise UserError(f"{data.folder / path}: cannot be read: {error.strerror}") from error
        if not sizes[-1]:
            raise UserError(f"{data.folder / path}: empty; copy it again")
    paths = np.frombuffer(b"".join(os.fsencode(path) + b"\0" for path in data.paths), np.uint8)
    return {"paths": paths, "bytes": np.array(sizes, np.int64), "labels": data.labels}


def statistics(name: str, data: Split | Files) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel of uint8 images, in [0, 1], with 4 digits as papers state them.

    They come from the exact counts of the 256 values, so they are the same on every machine.
    """
    assert isinstance(data, Split)
    assert data.images.dtype == np.uint8
    values = np.arange(256) / 255
    mean, std = [], []
    for channel in range(data.images.shape[1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(data.images), 1000):
            part = data.images[start : start + 1000, channel]
            counts += np.bincount(part.ravel(), minlength=256)
        share = counts / counts.sum()
        mean.append(round(float(share @ values), 4))
        std.append(round(float(np.sqrt(share @ (values - share @ values) ** 2)), 4))
        if not std[-1]:
            raise UserError(f"data {name}, train split: channel {channel} is the same in all pixels")
    return mean, std


def check(name: str, split: str, dataset: Dataset, data: Split | Files) -> None:
    """Checks counts, shapes, label range and value range before anything is trained on them."""
    labels = data.labels
    where = f"data {name}, {split} split"
    if isinstance(data, Split):
        check_images(where, dataset, data)
    sizes = getattr(dataset, "sizes", {})
    if split in sizes and len(labels) != sizes[split]:
        raise UserError(f"{where}: {len(labels)} images; expected {sizes[split]}")
    if labels.min() < 0 or labels.max() >= dataset.classes:
        bad = int(np.flatnonzero((labels < 0) | (labels >= dataset.classes))[0])
        raise UserError(f"{where}: image {bad} has label {labels[bad]}; allowed 0 to {dataset.classes - 1}")


def check_images(where: str, dataset: Dataset, data: Split) -> None:
    images = data.images
    if images.shape[1:] != tuple(dataset.shape) or len(images) != len(data.labels) or len(images) == 0:
        expected = "x".join(map(str, dataset.shape))
        shape = "x".join(map(str, images.shape[1:]))
        raise UserError(
            f"{where}: {len(images)} images of {shape} for {len(data.labels)} labels; expected {expected}"
        )
    if images.dtype != np.uint8 and not (images.min() >= 0 and images.max() <= 1):
        low_or_high = (images < 0) | (images > 1) | np.isnan(images)
        bad = int(np.flatnonzero(low_or_high.reshape(len(images), -1).any(1))[0])
        low, high = images.min(), images.max()
        raise UserError(f"{where}: pixels between {low} and {high}; allowed 0 to 1 (image {bad})")
