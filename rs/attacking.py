"""The attack stage: an attack proposes images at every radius, the harness projects, clips and judges them.

A judged image counts as the majority class of `judge.n` fresh votes in the inference form of the run's draws,
or as what the base classifier says of it without noise (`judge: base`). Attack and judge noise are seeded per
image.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from rs import catalog, checkpoints
from rs.ascent import l2_norm, project_l2, project_linf
from rs.devices import device_name, generator
from rs.inference import InferenceForm
from rs.interfaces import Attack, Noise
from rs.preparation import load_split
from rs.progress import follow
from rs.provenance import provenance, write_table
from rs.smoothing import Smoothed
from rs.spec import AttackUse

IMAGES_PER_BATCH = 50
EXAMPLES = 6  # of the first images, clean, noisy and attacked pixels are kept for the report


def attack(
    spec: dict[str, Any], model_manifest: Path, data: Path, output: Path, device: torch.device, code: str
) -> None:
    """Attacks the run under one smoothing noise; one row per image and radius (0 always among them)."""
    method: Attack = catalog.build("attacks", spec["attack"])
    use: AttackUse = catalog.build_use("attacks", spec["attack"])
    noise: Noise = catalog.build("noises", spec["noise"])
    network, manifest = checkpoints.load(model_manifest, data)
    form = InferenceForm(copy.deepcopy(network), spec, device, manifest["classes"])
    network = network.to(device)
    x, y = load_split(data, "test", device)
    radii = sorted({0.0, *use.radii})
    positions = list(use.images.positions(len(x)))
    batches = [positions[i : i + IMAGES_PER_BATCH] for i in range(0, len(positions), IMAGES_PER_BATCH)]
    rows: list[dict[str, Any]] = []
    name = f"{spec['attack']['name']} on {model_manifest.parent.name}"
    for batch in follow(batches, len(batches), name, f"batches of {IMAGES_PER_BATCH} images"):
        clean = x[batch]
        smoothed = Smoothed(network, noise, [generator(device, use.seed, "attack", i) for i in batch])
        proposed = method.propose(smoothed, clean, y[batch], radii)
        for radius, images in zip(radii, proposed, strict=True):
            attacked = project(clean, images, radius, method.norm)
            distortion = size(attacked - clean, method.norm)
            for row, index in enumerate(batch):
                prediction = judge(form, attacked[row], noise, use, index)
                rows.append(
                    {
                        "image": index,
                        "label": int(y[index]),
                        "radius": radius,
                        "prediction": prediction,
                        "distortion": float(distortion[row]),
                        "success": prediction != int(y[index]),
                        **pixels(clean[row], attacked[row], noise, use, index, positions),
                    }
                )
    made = provenance(
        spec,
        code,
        model=manifest["sha256"],
        form=form.description,
        device=device_name(device),
        norm=method.norm,
        judge="base" if use.judge == "base" else use.judge.n,
        shape=list(x.shape[1:]),
    )
    pixel = pa.list_(pa.float32())
    schema = {"image": pa.int64(), "label": pa.int64(), "radius": pa.float64(), "prediction": pa.int64()}
    schema |= {"distortion": pa.float64(), "success": pa.bool_()}
    schema |= {"clean": pixel, "noisy": pixel, "attacked": pixel}
    write_table(output, pa.Table.from_pylist(rows, pa.schema(schema)), made)


def project(clean: Tensor, images: Tensor, radius: float, norm: float) -> Tensor:
    """Onto [0, 1], then onto the ball around the clean images, which cannot leave the box again."""
    shift = images.clamp(0, 1) - clean
    return clean + (project_l2 if norm == 2 else project_linf)(shift, radius)


def size(delta: Tensor, norm: float) -> Tensor:
    """l2 or l-infinity norm of each image of a batch, float64 [B]."""
    return l2_norm(delta.double()) if norm == 2 else delta.double().flatten(1).abs().amax(1)


def judge(form: InferenceForm, image: Tensor, noise: Noise, use: AttackUse, index: int) -> int:
    """The class that the smoothed classifier (or, for `base`, the network) gives one image [C, H, W]."""
    if use.judge == "base":
        return int(form(image[None]).argmax())
    draws = generator(form.device, use.seed, "judge", index)
    counts, _, _ = form.vote(image, use.judge.n, lambda rows: noise.sample((rows, *image.shape), draws))
    return int(counts.argmax())


def pixels(
    clean: Tensor, attacked: Tensor, noise: Noise, use: AttackUse, index: int, positions: list[int]
) -> dict[str, list[float] | None]:
    """Pixels of an example for the report, or nothing for an image after the first few."""
    if index not in positions[:EXAMPLES]:
        return {"clean": None, "noisy": None, "attacked": None}
    z = noise.sample((1, *clean.shape), generator(clean.device, use.seed, "judge", index))[0]
    shown = {"clean": clean, "noisy": clean + z, "attacked": attacked}
    return {name: image.flatten().tolist() for name, image in shown.items()}
