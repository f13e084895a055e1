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

from rs import catalog, checkpoints, forms
from rs.data_loading import load_images
from rs.devices import device_name, generator
from rs.draws import Votes, write_votes
from rs.inference import InferenceForm
from rs.interfaces import Noise
from rs.progress import follow
from rs.provenance import provenance


def sample(
    spec: dict[str, Any],
    model_manifest: Path,
    data: Path,
    output: Path,
    device: torch.device,
    code: str,
    form_file: Path | None = None,
) -> None:
    """Draws what `spec` asks for (see rs.plan) and writes it with the inference form in its provenance.

    `form_file` is what the form stage wrote, for a form that had to be tried out.
    """
    noise: Noise = catalog.build("noises", spec["noise"])
    network, manifest = checkpoints.load(model_manifest, data)
    images = range(*spec["images"])
    x, y = load_images(data, "test", images, device)
    betas = tuple(float(b) for b in spec.get("betas", ()))
    classes = int(manifest["classes"])
    form = InferenceForm(network, forms.wanted(spec, form_file), device, classes)
    observed: list[tuple[torch.Tensor, ...]] = []
    label = (
        f"{model_manifest.parent.name} {spec['purpose']} {images.start}-{images.stop} block {spec['block']}"
    )
    for row, index in follow(enumerate(images), len(images), label, "images", samples=spec["size"]):
        draws = generator(device, spec["seed"], spec["purpose"], index, spec["block"])

        def draw(rows: int, draws: torch.Generator = draws) -> torch.Tensor:
            return noise.sample((rows, *x.shape[1:]), draws)

        observed.append(form.vote(x[row], spec["size"], draw, betas))
    form.check()
    counts, sums, squares = (torch.stack(part).cpu().numpy() for part in zip(*observed, strict=True))
    made = provenance(
        spec,
        code,
        model=manifest["sha256"],
        form=form.description,
        device=device_name(device),
        dimension=x[0].numel(),
        classes=classes,
    )
    votes = Votes(
        counts,
        {beta: sums[:, i] for i, beta in enumerate(betas)},
        {beta: squares[:, i] for i, beta in enumerate(betas)},
    )
    write_votes(output, np.asarray(images, np.int64), y.cpu().numpy(), votes, made)
