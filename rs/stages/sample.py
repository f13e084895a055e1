"""The sample stage: votes (and softmax moments) of one range of images in one block, as one draw file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rs.machine.devices import device_class
from rs.machine.progress import follow
from rs.stages import sample_answered, sample_group_sequential, sample_incremental, sample_sequential
from rs.stages.voter import Voter

if TYPE_CHECKING:
    from rs.plan.jobs import Job


def run_job(job: Job, device: torch.device, code: str) -> None:
    """Refuses before the first vote where those of this device would not merge with the ones there."""
    from rs.plan import mixed_draws  # inside: it is no part of the code that makes votes

    inputs, draws, form = job.inputs, job.outputs["draws"], job.inputs.get("form")
    plain = (job.spec, inputs["model"], inputs["data"], draws, device, code, form)
    mixed_draws.check(draws, code, device_class(device), job.device_class, inputs.get("selection"))
    if "rule" in job.spec:
        sample_group_sequential.sample(job.spec, inputs, draws, device, code, form)
    elif "source" in job.spec:
        sample_incremental.sample(job.spec, inputs, draws, device, code, form)
    elif "answers" in job.spec:
        sample_answered.sample(*plain)
    elif "stop" in job.spec:
        sample_sequential.sample(job.spec, inputs, draws, device, code, form)
    else:
        sample(*plain)


def sample(
    spec: dict[str, Any],
    model_manifest: Path,
    data: Path,
    output: Path,
    device: torch.device,
    code: str,
    form_file: Path | None = None,
) -> None:
    """Draws what `spec` asks for (see rs.plan.drawing) and writes it with the inference form in its
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
