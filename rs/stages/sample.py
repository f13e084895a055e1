"""The sample stage: votes (and softmax moments) of one range of images in one block, as one draw file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rs.machine.progress import follow
from rs.stages.voter import Voter


def sample(
    spec: dict[str, Any],
    model_manifest: Path,
    data: Path,
    output: Path,
    device: torch.device,
    code: str,
    form_file: Path | None = None,
) -> None:
    """Draws what `spec` asks for (see rs.plan.observations) and writes it with the inference form in its
    provenance.

    `form_file` is what the form stage wrote, for a form that had to be tried out.
    """
    voter = Voter(spec, model_manifest, data, device, form_file)
    purpose, block, images = spec["purpose"], spec["block"], voter.images
    label = f"{model_manifest.parent.name} {purpose} {images.start}-{images.stop} block {block}"
    rows = follow(range(len(images)), len(images), label, "images", samples=spec["size"])
    drawn = [voter.vote(row, purpose, block, spec["size"]) for row in rows]
    counts, sums, squares = (torch.stack(part) for part in zip(*drawn, strict=True))
    voter.write(output, (counts, sums, squares), code)
