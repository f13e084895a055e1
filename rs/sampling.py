"""The sample stage: votes (and softmax moments) of one range of images in one block, as one draw file.

An image's noise is seeded by (study seed, purpose, image, block) and nothing else: not by the run, the shard
or the number of votes asked for. A block's noise is drawn in order, in pieces of the batch size, which is
part of the inference form. Batches are multiples of 16 images: torch's CPU generator then gives normal
numbers in the same stream in pieces as at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rs import catalog, checkpoints
from rs.devices import device_name, generator
from rs.draws import Votes, write_votes
from rs.inference import InferenceForm
from rs.interfaces import Noise
from rs.preparation import load_split
from rs.progress import follow
from rs.provenance import provenance


def sample(
    spec: dict[str, Any], model_manifest: Path, data: Path, output: Path, device: torch.device, code: str
) -> None:
    """Draws what `spec` asks for (see rs.plan) and writes it with the inference form in its provenance."""
    noise: Noise = catalog.build("noises", spec["noise"])
    network, manifest = checkpoints.load(model_manifest, data)
    x, y = load_split(data, "test")
    images = range(*spec["images"])
    betas = tuple(float(b) for b in spec.get("betas", ()))
    chosen = x[images.start : images.stop : images.step].to(device)
    classes = int(manifest["classes"])
    form = InferenceForm(network, spec, device, classes)
    counts = np.zeros((len(images), classes), np.int64)
    moments = np.zeros((2, len(betas), len(images), classes))
    label = (
        f"{model_manifest.parent.name} {spec['purpose']} {images.start}-{images.stop} block {spec['block']}"
    )
    for row, index in follow(enumerate(images), len(images), label, f"images of {spec['size']} votes"):
        draws = generator(device, spec["seed"], spec["purpose"], index, spec["block"])

        def draw(rows: int, draws: torch.Generator = draws) -> torch.Tensor:
            return noise.sample((rows, *x.shape[1:]), draws)

        votes, sums, squares = form.vote(chosen[row], spec["size"], draw, betas)
        counts[row] = votes.cpu().numpy()
        moments[0, :, row], moments[1, :, row] = sums.cpu().numpy(), squares.cpu().numpy()
    made = provenance(
        spec,
        code,
        model=manifest["sha256"],
        form=form.description,
        device=device_name(device),
        dimension=x[0].numel(),
        classes=classes,
    )
    observed = Votes(
        counts, dict(zip(betas, moments[0], strict=True)), dict(zip(betas, moments[1], strict=True))
    )
    positions = np.asarray(images, np.int64)
    write_votes(output, positions, y[images.start : images.stop : images.step].numpy(), observed, made)
